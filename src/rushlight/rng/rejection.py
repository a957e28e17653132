"""Gamma, Dirichlet and binomial numbers: draws whose number of words is not known before (level 1).

In: a generator, flat float64 arrays of parameters and a dtype name. Out: a flat array of that
dtype. Invariant: PyTorch's words in PyTorch's order, the cached spare normal included, so the
generator is left where PyTorch leaves it.
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.rng import rounding
from rushlight.rng.discrete import RejectionDoubles
from rushlight.rng.mt19937 import MersenneTwister

#: The least normal number of each dtype: no gamma number is smaller.
TINY = {
    "float16": 2.0**-14,
    "bfloat16": 2.0**-126,
    "float32": 2.0**-126,
    "float64": 2.0**-1022,
}

#: The largest number below 1 of each dtype: no part of a Dirichlet number is larger.
BELOW_ONE = {
    "float16": 1.0 - 2.0**-11,
    "bfloat16": 1.0 - 2.0**-8,
    "float32": 1.0 - 2.0**-24,
    "float64": 1.0 - 2.0**-53,
}

# PyTorch writes these constants in single precision, and the numbers show it.
_THIRD = float(np.float32(1.0) / np.float32(3.0))
_SQUEEZE = float(np.float32(0.0331))

#: What Stirling's formula lacks of log k!, for k below 10; above, its series is good enough.
_STIRLING_TAILS = tuple(
    math.lgamma(k + 1.0) - (0.5 * math.log(2.0 * math.pi) + (k + 0.5) * math.log(k + 1.0) - k - 1.0)
    for k in range(10)
)


class _Numbers(RejectionDoubles):
    """Doubles and normal numbers one at a time; the spare normal is the generator's."""

    def __init__(self, generator: MersenneTwister) -> None:
        super().__init__(generator)
        self._spare = generator.spare_normal

    def normal(self) -> float:
        spare = self._spare
        if spare is not None:
            self._spare = None
            return spare
        angle = 2.0 * math.pi * next(self)
        radius = math.sqrt(-2.0 * math.log1p(-next(self)))
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)

    def close(self) -> None:
        super().close()
        self._generator.spare_normal = self._spare


def gamma(generator: MersenneTwister, shapes: np.ndarray, dtype: str) -> np.ndarray:
    """One gamma number of rate 1 for each shape parameter.  Source: at::_standard_gamma on CPU."""
    numbers = _Numbers(generator)
    narrow = dtype != "float64"
    try:
        drawn = [_gamma_number(numbers, shape, narrow) for shape in shapes.tolist()]
    finally:
        numbers.close()
    return rounding.round_to(np.fmax(np.asarray(drawn, np.float64), TINY[dtype]), dtype)


def _gamma_number(numbers: _Numbers, shape: float, narrow: bool) -> float:
    """Squeezed rejection.  Source: G. Marsaglia and W. W. Tsang 2000.

    narrow: whether the shape is a float32 and computed with as such.
    """
    scale = 1.0
    if shape < 1.0:
        if shape == 0.0:
            return 0.0
        exponent = _rounded(1.0 / shape) if narrow else 1.0 / shape
        scale = _power(1.0 - next(numbers), exponent)
        shape = _rounded(shape + 1.0) if narrow else shape + 1.0
    d = _rounded(shape - _THIRD) if narrow else shape - _THIRD
    if math.isnan(d):
        return math.nan
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = numbers.normal()
        y = 1.0 + c * x
        while y <= 0.0:
            x = numbers.normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - next(numbers)
        square = x * x
        if u < 1.0 - _SQUEEZE * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _rounded(value: float) -> float:
    return float(np.float32(value)) if value < 3e38 else value


def _power(base: float, exponent: float) -> float:
    """`base` in (0, 1] to a positive exponent, which may be infinite."""
    if math.isinf(exponent):
        return 1.0 if base == 1.0 else 0.0
    return math.pow(base, exponent)


def dirichlet(generator: MersenneTwister, shapes: np.ndarray, dtype: str) -> np.ndarray:
    """Dirichlet numbers for the rows of `shapes` (float64), in its form.

    Source: at::_sample_dirichlet on CPU.
    """
    weights = gamma(generator, shapes.ravel(), "float64").reshape(shapes.shape)
    parts = weights / _row_sums(weights)[..., None]
    return rounding.round_to(np.clip(parts, TINY[dtype], BELOW_ONE[dtype]), dtype)


def _row_sums(rows: np.ndarray) -> np.ndarray:
    """Sums over the last axis in the order of PyTorch's kernel, which decides the last bit.

    Four lanes, each in four strands; what is left over comes first.  (From some 256 elements on
    PyTorch cascades further.)
    """
    whole = rows.shape[-1] // 4 * 4
    lanes = rows[..., :whole].reshape(*rows.shape[:-1], whole // 4, 4)
    total = np.zeros(rows.shape[:-1])
    for place in range(whole, rows.shape[-1]):
        total = total + rows[..., place]
    for lane in range(4):
        total = total + _strand_sums(lanes[..., lane])
    return total


def _strand_sums(rows: np.ndarray) -> np.ndarray:
    whole = rows.shape[-1] // 4 * 4
    strands = [np.zeros(rows.shape[:-1]) for _ in range(4)]
    for place in range(rows.shape[-1]):
        strand = place % 4 if place < whole else 0
        strands[strand] = strands[strand] + rows[..., place]
    return strands[0] + strands[1] + strands[2] + strands[3]


def binomial(
    generator: MersenneTwister, counts: np.ndarray, chances: np.ndarray, dtype: str
) -> np.ndarray:
    """Successes among `counts` trials of probability `chances`.  Source: at::binomial on CPU."""
    numbers = RejectionDoubles(generator)
    pairs = zip(counts.tolist(), chances.tolist(), strict=True)
    try:
        drawn = [_binomial_number(numbers, count, chance) for count, chance in pairs]
    finally:
        numbers.close()
    return rounding.round_to(np.asarray(drawn, np.float64), dtype)


def _binomial_number(numbers: RejectionDoubles, count: float, chance: float) -> float:
    if count <= 0.0 or chance <= 0.0:
        return 0.0
    if chance >= 1.0:
        return count
    if chance <= 0.5:
        return _successes(numbers, count, chance)
    if chance > 0.5:
        return count - _successes(numbers, count, 1.0 - chance)
    return math.nan


def _successes(numbers: RejectionDoubles, count: float, chance: float) -> float:
    if count * chance >= 10.0:
        return _successes_by_rejection(numbers, count, chance)
    # Waiting times between successes, until the trials are used up.
    logarithm = math.log1p(-chance)
    trials = 0.0
    successes = 0.0
    while True:
        uniform = next(numbers)
        trials += math.ceil(math.log(uniform) / logarithm) if uniform > 0.0 else math.inf
        if trials > count:
            return successes
        successes += 1.0


def _successes_by_rejection(numbers: RejectionDoubles, count: float, chance: float) -> float:
    """Transformed rejection.  Source: W. Hörmann 1993, algorithm BTRS."""
    deviation = math.sqrt(count * chance * (1.0 - chance))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * chance
    center = count * chance + 0.5
    quick = 0.92 - 4.2 / b
    odds = chance / (1.0 - chance)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = math.floor((count + 1.0) * chance)
    while True:
        u = next(numbers) - 0.5
        v = next(numbers)
        margin = 0.5 - abs(u)
        if margin == 0.0:
            continue
        successes = math.floor((2.0 * a / margin + b) * u + center)
        if margin >= 0.07 and v <= quick:
            return float(successes)
        if successes < 0 or successes > count:
            continue
        scaled = v * alpha / (a / (margin * margin) + b)
        if scaled == 0.0:
            return float(successes)
        bound = (
            (mode + 0.5) * math.log((mode + 1.0) / (odds * (count - mode + 1.0)))
            + (count + 1.0) * math.log((count - mode + 1.0) / (count - successes + 1.0))
            + (successes + 0.5) * math.log(odds * (count - successes + 1.0) / (successes + 1.0))
            + _stirling_tail(mode)
            + _stirling_tail(count - mode)
            - _stirling_tail(successes)
            - _stirling_tail(count - successes)
        )
        if math.log(scaled) <= bound:
            return float(successes)


def _stirling_tail(k: float) -> float:
    if k <= 9:
        return _STIRLING_TAILS[int(k)]
    inverse = 1.0 / ((k + 1.0) * (k + 1.0))
    return (1.0 / 12.0 - (1.0 / 360.0 - inverse / 1260.0) * inverse) / (k + 1.0)
