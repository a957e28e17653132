"""The meaning of each scalar operation of the IR, in NumPy: what the generated code must equal.

Arithmetic is exact to the bit; transcendental functions are the float64 result rounded once, and
generated code may differ from them by the error stated in ``codegen/math.py``.  bfloat16 values
are their 16 bits as uint16.  Level 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rushlight.loopnest.ir import DTYPES, kind_of
from rushlight.rng.philox import philox

Array = np.ndarray


def numpy_dtype(dtype: str) -> np.dtype:
    """The NumPy dtype that holds an IR dtype in memory; bfloat16 is held as uint16."""
    return np.dtype("uint16" if dtype == "bfloat16" else dtype)


def widen_bfloat16(bits: Array) -> Array:
    """bfloat16 bits to float32, exact."""
    return (np.asarray(bits, np.uint16).astype(np.uint32) << 16).view(np.float32)


def round_to_bfloat16(x: Array) -> Array:
    """float32 to bfloat16 bits, nearest even; every NaN becomes the quiet NaN 0x7fc0 or 0xffc0."""
    x = np.asarray(x, np.float32)
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16
    quiet = (bits >> 16) & np.uint32(0x8000) | np.uint32(0x7FC0)
    return np.where(np.isnan(x), quiet, rounded).astype(np.uint16)


def _saturate(x: Array, dtype: str) -> Array:
    info = np.iinfo(dtype)
    # The largest float below 2^63 differs from the largest integer: compare, then choose.
    inside = np.where(np.isfinite(x), x, 0)
    too_large = x >= float(info.max) if float(info.max) > info.max else x > float(info.max)
    too_small = x < float(info.min)
    inside = np.where(too_large | too_small, 0, inside).astype(dtype)
    result = np.where(too_large, dtype_max(dtype), np.where(too_small, info.min, inside))
    return np.where(np.isnan(x), 0, result).astype(dtype)


def dtype_max(dtype: str) -> np.generic:
    """The largest integer of a dtype, as that dtype."""
    return np.dtype(dtype).type(np.iinfo(dtype).max)


def cast(x: Array, source: str, target: str) -> Array:
    """The IR's Cast."""
    with np.errstate(all="ignore"):
        return _cast(np.asarray(x), source, target)


def _cast(x: Array, source: str, target: str) -> Array:
    if source == target:
        return x
    if source == "bfloat16":
        return cast(widen_bfloat16(x), "float32", target)
    if target == "bool":
        return x != 0
    if target == "bfloat16":
        return round_to_bfloat16(cast(x, source, "float32"))
    if target == "float16":  # through float32, as PyTorch does: two roundings from float64
        return x.astype(np.float32).astype(np.float16)
    if kind_of(source) in "fs" and kind_of(target) in "iu":
        return _saturate(x.astype(np.float64), target)
    return x.astype(numpy_dtype(target))


def identity_of(op: str, dtype: str) -> np.generic:
    """What a reduction starts from."""
    kind = kind_of(dtype)
    make = numpy_dtype(dtype).type
    if op in ("sum", "or"):
        return make(0)
    if op in ("prod", "and"):
        return make(1)
    lowest = op in ("max", "argmax")
    if kind == "f":
        return make(-np.inf if lowest else np.inf)
    if kind == "b":
        return make(not lowest)
    info = np.iinfo(dtype)
    return make(info.min if lowest else info.max)


def _floordiv(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.floor_divide(x, y)
    safe = np.where(y == 0, 1, y).astype(y.dtype)
    if x.dtype.kind == "i":
        minimum = np.iinfo(x.dtype).min
        wraps = (x == minimum) & (safe == -1)
        quotient = np.floor_divide(x, np.where(wraps, 1, safe).astype(y.dtype))
        return np.where(y == 0, 0, np.where(wraps, minimum, quotient)).astype(x.dtype)
    return np.where(y == 0, 0, np.floor_divide(x, safe)).astype(x.dtype)


def _mod(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.remainder(x, y)
    safe = np.where(y == 0, 1, y).astype(y.dtype)
    safe = np.where((safe == -1) if x.dtype.kind == "i" else False, 1, safe).astype(y.dtype)
    return np.where(y == 0, 0, np.remainder(x, safe)).astype(x.dtype)


def _fmod(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.fmod(x, y)
    safe = np.where(y == 0, 1, y).astype(y.dtype)
    safe = np.where((safe == -1) if x.dtype.kind == "i" else False, 1, safe).astype(y.dtype)
    return np.where(y == 0, 0, np.fmod(x, safe)).astype(x.dtype)


def _shift(x: Array, y: Array, left: bool) -> Array:
    bits = x.dtype.itemsize * 8
    valid = (y >= 0) & (y < bits)
    amount = np.where(valid, y, 0).astype(x.dtype)
    shifted = np.left_shift(x, amount) if left else np.right_shift(x, amount)
    beyond = np.zeros_like(x)
    if not left and x.dtype.kind == "i":
        beyond = np.where(x < 0, -1, 0).astype(x.dtype)
    return np.where(valid, shifted, beyond).astype(x.dtype)


def _wide(function: Callable) -> Callable:
    """Evaluates in float64 and rounds once to the operand's dtype."""

    def rounded(*args: Array) -> Array:
        return np.asarray(function(*[a.astype(np.float64) for a in args])).astype(args[0].dtype)

    return rounded


def _expand(function: Callable[[float], float]) -> Callable:
    vectorized = np.vectorize(function, otypes=[np.float64])
    return _wide(lambda x: vectorized(x) if x.size else x)


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _fma(x: Array, y: Array, z: Array) -> Array:
    if x.dtype == np.float32:  # the product is exact in float64; double rounding is 1 in 2^29
        return (x.astype(np.float64) * y + z).astype(np.float32)
    return np.vectorize(_fma_float64, otypes=[np.float64])(x, y, z)


def _fma_float64(x: float, y: float, z: float) -> float:
    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        return x * y + z
    from_ratio = [float(v).as_integer_ratio() for v in (x, y, z)]
    (a, b), (c, d), (e, f) = from_ratio
    numerator, denominator = a * c * f + e * b * d, b * d * f
    if numerator == 0:
        return x * y + z
    return numerator / denominator


def _erfinv(x: float) -> float:
    """Newton's iteration on erf; three steps from a rational start reach float64's last bits."""
    if abs(x) >= 1.0 or x != x:
        return math.copysign(math.inf, x) if abs(x) == 1.0 else math.nan
    w = math.log1p(-x * x)
    a = 0.147
    term = 2 / (math.pi * a) + w / 2
    y = math.copysign(math.sqrt(math.sqrt(term * term - w / a) - term), x)
    for _ in range(4):
        error = math.erf(y) - x if abs(x) < 0.5 else _tail_error(y, x)
        slope = 2 / math.sqrt(math.pi) * math.exp(-y * y)
        if slope == 0.0:
            break
        y -= error / (slope + y * error)
    return y


def _tail_error(y: float, x: float) -> float:
    return (1 - abs(x)) - math.erfc(abs(y)) if x > 0 else math.erfc(abs(y)) - (1 - abs(x))


def _lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


# B(2k) / 2k
_DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def _digamma(x: float) -> float:
    if x == 0:
        return math.copysign(math.inf, -x)
    if x < 0:
        if x == math.floor(x):
            return math.nan
        return _digamma(1 - x) - math.pi / math.tan(math.pi * (x - round(x)))
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    series = sum(c / x ** (2 * k + 2) for k, c in enumerate(_DIGAMMA_SERIES))
    return total + math.log(x) - 0.5 / x - series


def _intpow(x: Array, y: Array) -> Array:
    negative = y < 0
    inverse = np.where(x == 1, 1, np.where(x == -1, np.where(y % 2 == 0, 1, -1), 0))
    return np.where(negative, inverse, np.power(x, np.where(negative, 0, y))).astype(x.dtype)


def _philox(place: Array, call: Array, seed: Array) -> Array:
    place, call, seed = np.broadcast_arrays(place, call, seed)
    words = philox(seed, call, place // np.uint64(4))
    number = (place % np.uint64(4)).astype(np.int64)
    return np.take_along_axis(words, number[..., None], -1)[..., 0].astype(np.uint64)


RULES: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "neg": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "div": np.divide,
    "pow": _wide(np.power),
    "atan2": _wide(np.arctan2),
    "copysign": np.copysign,
    "fdim": lambda x, y: np.where(x > y, x - y, np.where(x <= y, 0, np.nan)).astype(x.dtype),
    "hypot": _wide(np.hypot),
    "fma": _fma,
    "floordiv": _floordiv,
    "mod": _mod,
    "fmod": _fmod,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "not": np.invert,
    "shl": lambda x, y: _shift(x, y, left=True),
    "shr": lambda x, y: _shift(x, y, left=False),
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "signbit": np.signbit,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: (np.ones_like(x) / np.sqrt(x)).astype(x.dtype),
    "reciprocal": lambda x: (np.ones_like(x) / x).astype(x.dtype),
    "exp": _wide(np.exp),
    "exp2": _wide(np.exp2),
    "expm1": _wide(np.expm1),
    "log": _wide(np.log),
    "log2": _wide(np.log2),
    "log10": _wide(np.log10),
    "log1p": _wide(np.log1p),
    "sin": _wide(np.sin),
    "cos": _wide(np.cos),
    "tan": _wide(np.tan),
    "asin": _wide(np.arcsin),
    "acos": _wide(np.arccos),
    "atan": _wide(np.arctan),
    "sinh": _wide(np.sinh),
    "cosh": _wide(np.cosh),
    "tanh": _wide(np.tanh),
    "asinh": _wide(np.arcsinh),
    "acosh": _wide(np.arccosh),
    "atanh": _wide(np.arctanh),
    "sigmoid": _wide(_sigmoid),
    "softplus_unit": _wide(lambda x: np.logaddexp(0, x)),
    "erf": _expand(math.erf),
    "erfc": _expand(math.erfc),
    "erfinv": _expand(_erfinv),
    "lgamma": _expand(_lgamma),
    "digamma": _expand(_digamma),
    "nextafter": np.nextafter,
    "gcd": np.gcd,
    "intpow": _intpow,
    "philox": _philox,
    "where": np.where,
}


def apply(name: str, args: list[Array], dtype: str) -> Array:
    """One operation on arrays that broadcast; the result has the IR's dtype."""
    arrays = [np.asarray(arg) for arg in args]
    with np.errstate(all="ignore"):
        result = np.asarray(RULES[name](*arrays))
    if dtype in DTYPES and result.dtype != numpy_dtype(dtype):
        raise TypeError(f"{name} gave {result.dtype}, not {dtype}")
    return result


def _pick_first(op: str, left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple:
    (x, i), (y, j) = left, right
    better = y > x if op == "argmax" else y < x
    x_nan, y_nan = (x != x), (y != y)
    tie = (x == y) | (x_nan & y_nan)
    take = (y_nan & ~x_nan) | (better & ~x_nan) | (tie & (j < i))
    return np.where(take, y, x), np.where(take, j, i)


_COMBINE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum,
            "and": np.logical_and, "or": np.logical_or}  # fmt: skip


def combine(op: str, left: tuple[Array, ...], right: tuple[Array, ...]) -> tuple[Array, ...]:
    """Two partial results of a reduction into one."""
    with np.errstate(all="ignore"):
        if op in ("argmax", "argmin"):
            return _pick_first(op, left, right)
        return (np.asarray(_COMBINE[op](left[0], right[0])),)
