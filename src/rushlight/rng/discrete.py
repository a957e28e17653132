"""Integers, permutations, coin flips, geometric and Poisson numbers (level 1).

In: a generator, a count, a dtype name and the distribution's numbers. Out: a flat array of that
dtype (bfloat16 as bit patterns). Invariant: word counts are PyTorch's, so streams stay in step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rushlight.rng import machine, rounding
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.rng.normal import libm

#: From this range on an integer takes two words, so that the remainder's bias stays below 2**-4
#: of a percent (PyTorch 2.13; older releases switched at 2**32).
WIDE_RANGE = 1 << 28

#: Largest integer up to which a floating dtype holds every integer.
_FLOAT_DIGITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}

#: From this length on PyTorch shuffles with 64-bit draws.
_LONG_PERMUTATION = (2**32 - 1) // 20


def integers(generator: MersenneTwister, count: int, dtype: str, low: int, high: int) -> np.ndarray:
    """`count` integers in [low, high) as `dtype`.  Source: at::random_(from, to) on CPU."""
    low, high = whole_bounds(dtype, low, high)
    span = high - low
    if span >= 1 << 64:
        values = generator.long_words(count).view(np.int64)  # every pattern; nothing to add
    elif span >= WIDE_RANGE:
        values = (generator.long_words(count) % np.uint64(span)).view(np.int64) + np.int64(low)
    else:
        values = _remainders(generator.words(count), span) + np.int64(low)
    if dtype == "uint64":
        return values.view(np.uint64)
    return rounding.round_to(values, dtype)


def whole_bounds(dtype: str, low: int, high: int) -> tuple[int, int]:
    """The bounds of integers in [low, high) that a floating `dtype` holds; others as they are."""
    if dtype not in _FLOAT_DIGITS:
        return low, high
    return _low_moved_inwards(low, dtype), _high_moved_inwards(high, dtype)


def full_range(dtype: str) -> tuple[int, bool]:
    """(how many integers from 0 on `random_()` draws from, whether one takes two words)."""
    if dtype == "bool":
        return 2, False
    if dtype in _FLOAT_DIGITS:
        return (1 << _FLOAT_DIGITS[dtype]) + 1, dtype == "float64"
    return int(np.iinfo(np.dtype(dtype)).max) + 1, dtype == "int64"


def _remainders(words: np.ndarray, span: int) -> np.ndarray:
    """Words modulo a span below 2**32, as int64."""
    if machine.is_worth(words.size):
        values = np.empty(words.size, np.int64)
        return machine.run("remainders", words, values, words.size, k=span)
    return (words % np.uint32(span)).astype(np.int64)


def _low_moved_inwards(low: int, dtype: str) -> int:
    """PyTorch's correction of a lower end that lies where the floating `dtype` has gaps."""
    rounded = int(rounding.round_number(float(low + 1), dtype))
    if rounded >= low:
        return low
    return rounded + (1 << (abs(low + 1).bit_length() - _FLOAT_DIGITS[dtype]))


def _high_moved_inwards(high: int, dtype: str) -> int:
    """The same for the upper end, which itself is excluded."""
    rounded = int(rounding.round_number(float(high - 1), dtype))
    if rounded < high:
        return high
    return rounded - (1 << (abs(high - 1).bit_length() - _FLOAT_DIGITS[dtype]))


def full_range_integers(generator: MersenneTwister, count: int, dtype: str) -> np.ndarray:
    """Integers in [0, largest] of an integer dtype, or up to where `dtype` is exact.

    Source: at::random_() on CPU.
    """
    if dtype == "bool":
        return (generator.words(count) & np.uint32(1)).astype(np.bool_)
    limit, wide = full_range(dtype)
    if wide:
        return rounding.round_to(generator.long_words(count) % np.uint64(limit), dtype)
    return rounding.round_to(generator.words(count).astype(np.int64) % limit, dtype)


def permutation(generator: MersenneTwister, count: int, dtype: str = "int64") -> np.ndarray:
    """A random order of 0 … count-1.  Source: at::randperm on CPU."""
    return rounding.round_to(_random_order(generator, count), dtype)


def _random_order(generator: MersenneTwister, count: int) -> np.ndarray:
    if count >= _LONG_PERMUTATION:
        return _long_permutation(generator, count)
    if count < 2:
        return np.arange(count)
    words = generator.words(count - 1)
    if machine.is_worth(count):
        return machine.run("shuffle", words, np.empty(count, np.int64), count)
    remaining = np.arange(count, 1, -1, dtype=np.uint32)
    targets = (words % remaining).astype(np.int64)
    return _after_swaps(count, targets + np.arange(count - 1))


def _after_swaps(count: int, targets: np.ndarray) -> np.ndarray:
    """The identity after swapping places i and targets[i] >= i for i = 0, 1, … in turn.

    Computed without the loop over swaps, which takes ten times as long from a million places on.
    Step i moves what stands at place i out to its target, where the next step with the same target
    picks it up. So place i ends with what the previous step of the same target moved out; without
    such a step, with its target's own number.
    """
    places = np.arange(count)
    previous, last = _previous_equal(targets, count)
    # What stands at place j when step j begins was moved there by the last earlier step that aims
    # at j, and stood before at that step's own place: follow those links to their end.
    origin = np.where(last >= 0, last, places)
    while True:
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    order = origin
    moved = np.where(previous >= 0, origin[previous], targets)
    order[: len(targets)] = moved
    return order


def _previous_equal(targets: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For each step the step before with the same target, and for each place the last step that
    aims at it from another place; -1 where there is none.

    Each round strips the latest step of every target; there are about log(count) rounds, most of
    them short.
    """
    previous = np.full(len(targets), -1, np.int64)
    last = np.full(count, -1, np.int64)
    latest = np.full(count, -1, np.int64)
    stripped = np.full(count, -1, np.int64)
    steps = np.arange(len(targets))
    outward = steps[targets != steps]
    last[targets[outward]] = outward  # with repeated targets the last one stays
    while steps.size:
        aims = targets[steps]
        latest[aims] = steps
        is_latest = latest[aims] == steps
        heads = steps[is_latest]
        head_aims = aims[is_latest]
        following = stripped[head_aims]
        linked = following >= 0
        previous[following[linked]] = heads[linked]
        stripped[head_aims] = heads
        steps = steps[~is_latest]
    return previous, last


def _long_permutation(generator: MersenneTwister, count: int) -> np.ndarray:
    """Inside-out shuffle: each next number takes a random place, whose content moves to the end."""
    order = np.arange(count)
    block = 1 << 20
    for start in range(0, count, block):
        sizes = np.arange(start + 1, min(start + block, count) + 1, dtype=np.uint64)
        targets = (generator.long_words(len(sizes)) % sizes).tolist()
        for place, target in enumerate(targets, start):
            order[place] = order[target]
            order[target] = place
    return order


def bernoulli(generator: MersenneTwister, count: int, dtype: str, probability: float) -> np.ndarray:
    """`count` ones with one `probability`, else zeros; two words each.

    Source: at::bernoulli_(p) on CPU.
    """
    return coins_as(dropout_mask(generator, count, probability), dtype)


def dropout_mask(generator: MersenneTwister, count: int, probability: float) -> np.ndarray:
    """The same flips as `bernoulli`, as a bool array."""
    if machine.is_worth(count):
        flips = np.empty(count, np.bool_)
        return machine.run("coins", generator.words(2 * count), flips, count, probability)
    return generator.doubles(count) < probability


def bernoulli_each(
    generator: MersenneTwister, dtype: str, probabilities: np.ndarray, probability_dtype: str
) -> np.ndarray:
    """One flip for each of `probabilities` (flat, in filling order), as `dtype`.

    Double probabilities take two words each, all others one.  Source: at::bernoulli on CPU.
    """
    if probability_dtype == "float64":
        return coins_as(generator.doubles(probabilities.size) < probabilities, dtype)
    if probability_dtype == "bfloat16":
        probabilities = rounding.from_bfloat16_bits(probabilities)
    narrow = probabilities.astype(np.float32)
    return coins_as(generator.floats(probabilities.size) < narrow, dtype)


def coins_as(flips: np.ndarray, dtype: str) -> np.ndarray:
    """A bool array as zeros and ones of `dtype`."""
    if dtype == "bfloat16":
        return flips * np.uint16(0x3F80)
    return flips.astype(np.dtype(dtype))


def geometric(generator: MersenneTwister, count: int, dtype: str, probability: float) -> np.ndarray:
    """Trials up to the first success.  Source: at::geometric_ on CPU."""
    logarithms = libm("log", generator.doubles(count))
    return rounding.round_to(np.ceil(logarithms / math.log1p(-probability)), dtype)


def poisson(generator: MersenneTwister, rates: np.ndarray, dtype: str) -> np.ndarray:
    """One Poisson number for each rate (flat, float64).  Source: at::poisson on CPU.

    Raises: RuntimeError if a rate is negative.
    """
    uniforms = RejectionDoubles(generator)
    drawn = np.empty(rates.size, np.float64)
    for place, rate in enumerate(rates.tolist()):
        if not rate >= 0.0:
            uniforms.close()
            raise RuntimeError(
                f"poisson: invalid Poisson rate, expected rate to be non-negative, got {rate}"
            )
        drawn[place] = _poisson_number(uniforms, rate)
    uniforms.close()
    return rounding.round_to(drawn, dtype)


def _poisson_number(uniforms: Iterator[float], rate: float) -> int:
    if rate >= 10.0:
        return _poisson_by_rejection(uniforms, rate)
    if rate == 0.0:
        return 0
    limit = math.exp(-rate)
    count = 0
    product = next(uniforms)
    while product > limit:
        count += 1
        product *= next(uniforms)
    return count


def _poisson_by_rejection(uniforms: Iterator[float], rate: float) -> int:
    """Transformed rejection.  Source: W. Hörmann 1993, algorithm PTRS."""
    log_rate = math.log(rate)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = next(uniforms) - 0.5
        v = next(uniforms)
        margin = 0.5 - abs(u)
        count = math.floor((2 * a / margin + b) * u + rate + 0.43) if margin > 0.0 else -1
        if margin >= 0.07 and v <= quick:
            return count
        if count < 0 or (margin < 0.013 and v > margin):
            continue
        if v == 0.0:
            return count
        proposal = math.log(v) + math.log(inverse_alpha) - math.log(a / (margin * margin) + b)
        if proposal <= -rate + count * log_rate - math.lgamma(count + 1.0):
            return count


class RejectionDoubles:
    """Doubles one at a time, for draws whose number is not known before they are made.

    Words are taken in blocks; `close` puts the unread ones back.
    """

    BLOCK = 256

    def __init__(self, generator: MersenneTwister) -> None:
        self._generator = generator
        self._before = generator.state_bytes()
        self._values: list[float] = []
        self._read = 0

    def __iter__(self) -> RejectionDoubles:
        return self

    def __next__(self) -> float:
        if self._read == len(self._values):
            self._before = self._generator.state_bytes()
            self._values = self._generator.doubles(self.BLOCK).tolist()
            self._read = 0
        self._read += 1
        return self._values[self._read - 1]

    def close(self) -> None:
        """Leave the generator exactly behind the last double that was read."""
        self._generator.restore(self._before)
        self._generator.words(2 * self._read)
        self._values = []
        self._read = 0
