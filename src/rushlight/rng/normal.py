"""Normal numbers (level 1).

In: a generator, a count, a dtype name, mean and standard deviation, and whether the destination is
contiguous. Out: a flat array. Invariant: there are two recipes, as in PyTorch: pairs in double
precision with a cached spare (fewer than 16 values, or a destination that is not contiguous), and
blocks of 16 uniforms; which one runs decides how many words are consumed.
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.rng import machine, rounding
from rushlight.rng.mt19937 import MersenneTwister

BLOCK = 16
HALF_BLOCK = 8

#: Pairs per pass over the float32 recipe: its few double arrays of 64 KiB stay in the L2 cache.
CHUNK_PAIRS = 8192

_TWO_PI_F32 = np.float32(2.0 * math.pi)


def normal(
    generator: MersenneTwister,
    count: int,
    dtype: str,
    mean: float = 0.0,
    std: float = 1.0,
    contiguous: bool = True,
) -> np.ndarray:
    """`count` normal numbers of `dtype`.  Source: at::normal_ on CPU."""
    if count < BLOCK or not contiguous:
        values = standard_pairs(generator, count)
        return rounding.round_to(rounding.fused_multiply_add_f64(values, std, mean), dtype)
    if dtype == "float64":
        if machine.is_worth(count):
            return _filled_blocks(generator.pairs, count, _wide_blocks_by_machine, mean, std)
        return _filled_blocks(generator.doubles, count, _transform_f64, mean, std)
    if dtype == "float32":
        if machine.is_worth(count):
            return _filled_blocks(generator.words, count, _blocks_by_machine, mean, std)
        return _filled_blocks(generator.floats, count, _transform_f32, mean, std)
    # Half types go block by block through a small float32 buffer, so a tail draws 16 words of
    # its own instead of redrawing the whole run's last places.
    tail = count % BLOCK
    full = count - tail
    drawn = full + (BLOCK if tail else 0)
    if machine.is_worth(count):
        normals = _blocks_by_machine(generator.words(drawn), mean, std)
    else:
        normals = _transform_f32(generator.floats(drawn), mean, std)
    blocks = rounding.round_to(normals, dtype)
    if not tail:
        return blocks
    return np.concatenate([blocks[: count - BLOCK], blocks[full:]])


def standard_pairs(generator: MersenneTwister, count: int) -> np.ndarray:
    """`count` standard normals in double precision by pairs, using and leaving the spare."""
    if count == 0:
        return np.empty(0, np.float64)
    spare = generator.spare_normal
    reused = 0 if spare is None else 1
    pairs = (count - reused + 1) // 2
    uniforms = generator.doubles(2 * pairs).reshape(pairs, 2)
    # The C library's functions one by one: NumPy's vector versions may differ in the last bit.
    radius = np.sqrt(-2.0 * libm("log1p", -uniforms[:, 1]))
    angle = (2.0 * math.pi) * uniforms[:, 0]
    values = np.empty(reused + 2 * pairs, np.float64)
    if spare is not None:
        values[0] = spare
    values[reused::2] = radius * libm("cos", angle)
    values[reused + 1 :: 2] = radius * libm("sin", angle)
    generator.spare_normal = float(values[-1]) if values.size > count else None
    return values[:count]


def _log_from_zero(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf


def _exp_to_infinity(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


_LIBM = {
    "log": _log_from_zero, "log1p": math.log1p, "exp": _exp_to_infinity, "cos": math.cos,
    "sin": math.sin, "tan": math.tan,
}  # fmt: skip


def libm(name: str, x: np.ndarray) -> np.ndarray:
    """A function of the C library at each element of a float64 array, -inf and inf included."""
    if machine.is_worth(x.size):
        return machine.run(name, np.ascontiguousarray(x), np.empty(x.shape, np.float64), x.size)
    return np.fromiter(map(_LIBM[name], x.tolist()), np.float64, x.size)


def _filled_blocks(draw, count: int, transform, mean: float, std: float) -> np.ndarray:
    drawn = draw(count)
    tail = count % BLOCK
    full = count - tail
    normals = transform(drawn[:full], mean, std)
    if tail == 0:
        return normals
    values = np.empty(count, normals.dtype)
    values[:full] = normals
    # Fresh ones for the last 16 places, overlapping the block before.
    values[count - BLOCK :] = transform(draw(BLOCK), mean, std)
    return values


def _blocks_by_machine(words: np.ndarray, mean: float, std: float) -> np.ndarray:
    """`_transform_f32` of the uniforms that words make, in the words' memory."""
    return machine.run("normals", words, words.view(np.float32), words.size // BLOCK, std, mean)


def _wide_blocks_by_machine(pairs: np.ndarray, mean: float, std: float) -> np.ndarray:
    """`_transform_f64` of the uniforms that pairs of words make, in the words' memory."""
    target = pairs.view(np.float64)
    return machine.run("wide_normals", pairs, target, pairs.size // BLOCK, std, mean)


def _transform_f64(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    blocks = uniforms.reshape(-1, 2, HALF_BLOCK)
    radius = np.sqrt(-2.0 * libm("log", (1.0 - blocks[:, 0]).ravel()))
    angle = (2.0 * math.pi) * blocks[:, 1].ravel()
    normals = np.empty_like(blocks)
    normals[:, 0] = (radius * libm("cos", angle)).reshape(-1, HALF_BLOCK)
    normals[:, 1] = (radius * libm("sin", angle)).reshape(-1, HALF_BLOCK)
    return rounding.fused_multiply_add_f64(normals.ravel(), std, mean)


def _transform_f32(uniforms: np.ndarray, mean: float, std: float) -> np.ndarray:
    blocks = uniforms.reshape(-1, 2, HALF_BLOCK)
    normals = np.empty_like(blocks)
    step = CHUNK_PAIRS // HALF_BLOCK
    for start in range(0, len(blocks), step):
        chunk = blocks[start : start + step]
        first = np.float32(1.0) - chunk[:, 0]
        radius = np.sqrt(np.float32(-2.0) * log_f32(first))
        sine, cosine = sin_cos_f32(_TWO_PI_F32 * chunk[:, 1])
        np.multiply(radius, cosine, out=normals[start : start + step, 0])
        np.multiply(radius, sine, out=normals[start : start + step, 1])
    flat = normals.reshape(-1)
    if std == 1.0 and mean == 0.0:
        flat += np.float32(0.0)  # fma(x, 1, 0) turns a negative zero into a positive one
        return flat
    return rounding.fused_multiply_add_f32(flat, np.float32(std), np.float32(mean))


# The polynomials of the Cephes library in single precision, with the fused operations that
# PyTorch's x86-64 build contains. They are evaluated in float64 and rounded to float32 after each
# step. Such a second rounding could be wrong if the first one landed on the midpoint of two
# float32 values; over all 2**24 uniforms that can be drawn it never does (checked exhaustively,
# tests/rng/test_normal.py), so no correction is spent here.

_LOG_COEFFICIENTS = tuple(
    float(np.float32(coefficient))
    for coefficient in (
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    )
)
_LOG2_LOW = float(np.float32(-2.12194440e-4))
_LOG2_HIGH = 0.693359375  # exact in float32
_SQRT_HALF = float(np.float32(0.707106781186547524))
_FOUR_OVER_PI = float(np.float32(1.27323954473516))
_QUARTER_PI_PARTS = tuple(
    float(np.float32(part))
    for part in (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
)
_COS_COEFFICIENTS = tuple(
    float(np.float32(coefficient))
    for coefficient in (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
)
_SIN_COEFFICIENTS = tuple(
    float(np.float32(coefficient))
    for coefficient in (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
)


def _rounded(x: np.ndarray) -> np.ndarray:
    """float64 values rounded to float32, still held as float64."""
    return x.astype(np.float32).astype(np.float64)


def _fused(x: np.ndarray | float, y: np.ndarray, term: np.ndarray | float) -> np.ndarray:
    """x y + term for float32 values held as float64, rounded to float32."""
    return _rounded(x * y + term)


def log_f32(x: np.ndarray) -> np.ndarray:
    """Natural logarithm of float32 x in (0, 1].  Source: Cephes logf, with fused operations."""
    bits = x.view(np.int32)
    exponent = (bits >> 23) - 126
    mantissa = ((bits & 0x7FFFFF) | 0x3F000000).view(np.float32).astype(np.float64)
    small = mantissa < _SQRT_HALF
    exponent = (exponent - small).astype(np.float64)
    t = mantissa * (1.0 + small) - 1.0  # exact
    square = _rounded(t * t)
    y = _fused(_LOG_COEFFICIENTS[0], t, _LOG_COEFFICIENTS[1])
    for coefficient in _LOG_COEFFICIENTS[2:]:
        y = _fused(y, t, coefficient)
    y = _rounded(y * t)
    y = _fused(y, square, _rounded(exponent * _LOG2_LOW))
    y = _fused(-0.5, square, y)
    return _fused(_LOG2_HIGH, exponent, _fused(1.0, t, y)).astype(np.float32)


def sin_cos_f32(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine and cosine of float32 x in [0, 2 pi).  Source: Cephes sinf and cosf, fused."""
    wide = x.astype(np.float64)
    octant = (wide * _FOUR_OVER_PI).astype(np.float32).astype(np.int32)
    octant = (octant + 1) & ~1
    pieces = octant.astype(np.float64)
    for part in _QUARTER_PI_PARTS:
        wide = _fused(part, pieces, wide)
    square = _rounded(wide * wide)
    cosine = _fused(_COS_COEFFICIENTS[0], square, _COS_COEFFICIENTS[1])
    cosine = _fused(cosine, square, _COS_COEFFICIENTS[2])
    cosine = _rounded(cosine * square)
    cosine = _fused(cosine, square, _rounded(square * -0.5))
    cosine = _fused(1.0, cosine, 1.0).astype(np.float32)
    sine = _fused(_SIN_COEFFICIENTS[0], square, _SIN_COEFFICIENTS[1])
    sine = _fused(sine, square, _SIN_COEFFICIENTS[2])
    sine = _rounded(sine * square)
    sine = _fused(sine, wide, wide).astype(np.float32)
    # Signs by the sign bit: bit 2 of the octant moves to bit 31 (three times faster than a masked
    # negation).
    swapped = (octant & 2) != 0
    sine_result = np.where(swapped, cosine, sine)
    cosine_result = np.where(swapped, sine, cosine)
    sine_result.view(np.int32)[...] ^= (octant & 4) << 29
    cosine_result.view(np.int32)[...] ^= (~(octant - 2) & 4) << 29
    return sine_result, cosine_result
