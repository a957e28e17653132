"""Floating numbers of eight bits: what each code means, and the code nearest to a number.  Level 0.

Names say the bits of exponent and fraction: e4m3, e5m2, e8m0 (a power of two).  `fn` has no
infinities, `uz` has one zero and its NaN in the place of the other.  Source: Micikevicius et al.
2022; the formats of the Open Compute Project.
"""

from __future__ import annotations

import functools

import numpy as np

# Bits of exponent, bits of fraction, bias.
_FORMS = {
    "float8_e4m3fn": (4, 3, 7),
    "float8_e5m2": (5, 2, 15),
    "float8_e4m3fnuz": (4, 3, 8),
    "float8_e5m2fnuz": (5, 2, 16),
    "float8_e8m0fnu": (8, 0, 127),
}
# The positive codes from which on values are not finite, and the code of NaN.
_NOT_FINITE = {
    "float8_e4m3fn": 0x7F,
    "float8_e5m2": 0x7C,
    "float8_e4m3fnuz": 0x80,
    "float8_e5m2fnuz": 0x80,
    "float8_e8m0fnu": 0xFF,
}
_NAN = {"float8_e4m3fnuz": 0x80, "float8_e5m2fnuz": 0x80, "float8_e8m0fnu": 0xFF}


@functools.cache
def values(name: str) -> np.ndarray:
    """The float32 that each of the 256 codes means."""
    exponent_bits, fraction_bits, bias = _FORMS[name]
    codes = np.arange(256)
    if name == "float8_e8m0fnu":
        made = np.exp2(codes.astype(np.float64) - bias)
        made[0xFF] = np.nan
        return made.astype(np.float32)
    exponent = (codes >> fraction_bits) & ((1 << exponent_bits) - 1)
    fraction = (codes & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    normal = exponent > 0
    power = np.exp2((np.where(normal, exponent, 1) - bias).astype(np.float64))
    made = np.where(normal, 1 + fraction, fraction) * power
    made = np.where(codes & 0x80, -made, made)
    if name == "float8_e5m2":
        made[[0x7C, 0xFC]] = np.inf, -np.inf
        made[[0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]] = np.nan
    elif name == "float8_e4m3fn":
        made[[0x7F, 0xFF]] = np.nan
    else:
        made[0x80] = np.nan
    return made.astype(np.float32)


@functools.cache
def _middles(name: str) -> np.ndarray:
    """The numbers halfway between neighbours among the positive finite values."""
    finite = values(name)[: _NOT_FINITE[name]].astype(np.float64)
    last = finite[-1] + (finite[-1] - finite[-2]) / 2
    return np.append((finite[:-1] + finite[1:]) / 2, last)


def widen_float8(codes: np.ndarray, name: str) -> np.ndarray:
    """Codes to float32, exact."""
    return values(name)[codes]


def narrow_float8(array: np.ndarray, name: str) -> np.ndarray:
    """Numbers to codes, to the nearest, ties to the even code; what is too large as PyTorch does.

    e4m3fn takes its largest value for it, e5m2 infinity, the others NaN.
    """
    array = np.asarray(array, np.float32)
    if name == "float8_e8m0fnu":
        return _narrow_power(array)
    middles = _middles(name)
    size = np.abs(array.astype(np.float64))
    codes = np.searchsorted(middles, size, side="left")
    # A tie stands at the lower of its two neighbours, and belongs to the even one.
    nearest = np.minimum(codes, len(middles) - 1)
    codes = codes + ((size == middles[nearest]) & (codes % 2 == 1))
    beyond = codes >= _NOT_FINITE[name]
    nan = _NAN.get(name, 0x7F)
    if name == "float8_e4m3fn":
        codes = np.where(beyond, 0x7E, codes)
    elif name == "float8_e5m2":
        codes = np.where(beyond, 0x7C, codes)
    negative = np.signbit(array)
    if name.endswith("uz"):
        codes = np.where(beyond, nan, codes)
        negative = negative & (codes != 0) & (codes != nan)  # there is one zero
        return np.where(np.isnan(array), nan, codes | (negative * 0x80)).astype(np.uint8)
    codes = np.where(np.isnan(array), nan, codes)
    return (codes | (negative * 0x80)).astype(np.uint8)


def _narrow_power(array: np.ndarray) -> np.ndarray:
    """The exponent's bits, one more from the middle on; the sign is lost."""
    bits = np.ascontiguousarray(array).view(np.uint32).reshape(array.shape) & np.uint32(0x7FFFFFFF)
    exponent = (bits >> np.uint32(23)).astype(np.int64)
    guard = (bits >> np.uint32(22)) & 1
    rest = (bits & np.uint32(0x3FFFFF)) > 0
    up = guard.astype(bool) & ((exponent > 0) | rest)
    made = np.where(exponent == 0xFF, 0xFF, np.minimum(exponent + up, 0xFF))
    return made.astype(np.uint8)
