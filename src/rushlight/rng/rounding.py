"""Exact roundings that NumPy lacks: fused multiply-add and the half formats (level 1).

In: float64 (or float32) arrays. Out: arrays rounded once, as the hardware instruction would.
Source: T. Dekker 1971 (exact product), S. Boldo and G. Melquiond 2008 (sum rounded to odd).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.rng import machine

_SPLITTER = 134217729.0  # 2**27 + 1 cuts a double into two halves of 26 bits
_HUGE = 2.0**900  # above it the cut itself could overflow
_SCALE = 2.0**-200


def fused_multiply_add_f64(x: np.ndarray, factor: float, term: float) -> np.ndarray:
    """x * factor + term in float64 with one rounding.

    Results below the normal range may be rounded twice; everything else is exact.
    """
    if machine.is_worth(x.size):
        x = np.ascontiguousarray(x)
        return machine.run("fused_f64", x, np.empty_like(x), x.size, factor, term)
    if term == 0.0 or factor in (0.0, 1.0, -1.0) or not np.isfinite(factor + term):
        return x * factor + term
    if max(abs(factor), abs(term)) > _HUGE:
        return _fused_normal_range(x, factor * _SCALE, term * _SCALE) / _SCALE
    return _fused_normal_range(x, factor, term)


def _fused_normal_range(x: np.ndarray, factor: float, term: float) -> np.ndarray:
    product = x * factor
    product_error = _product_error(x, np.float64(factor), product)
    # factor x + term = high + (low parts); the low parts are summed with rounding to odd, which
    # makes the last addition round the exact value.
    upper, upper_error = _two_sum(product_error, np.float64(term))
    high, high_error = _two_sum(product, upper)
    return high + _sum_to_odd(high_error, upper_error)


def _product_error(x: np.ndarray, y: np.float64, product: np.ndarray) -> np.ndarray:
    x_high, x_low = _halves(x)
    y_high, y_low = _halves(y)
    return x_low * y_low - (((product - x_high * y_high) - x_low * y_high) - x_high * y_low)


def _halves(x: Any) -> tuple[Any, Any]:
    scaled = x * _SPLITTER
    high = scaled - (scaled - x)
    return high, x - high


def _two_sum(x: np.ndarray, y: np.ndarray | np.float64) -> tuple[np.ndarray, np.ndarray]:
    total = x + y
    y_part = total - x
    return total, (x - (total - y_part)) + (y - y_part)


def _sum_to_odd(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total, error = _two_sum(x, y)
    even = (total.view(np.int64) & 1) == 0
    inexact = (error != 0.0) & even
    toward = np.where(error > 0.0, np.inf, -np.inf)
    return np.where(inexact, np.nextafter(total, toward), total)


def fused_multiply_add_f32(
    x: np.ndarray, factor: np.float32 | np.ndarray, term: np.float32 | np.ndarray
) -> np.ndarray:
    """x * factor + term for float32 operands with one rounding to float32."""
    if machine.is_worth(x.size) and np.ndim(factor) == 0 and np.ndim(term) == 0:
        x = np.ascontiguousarray(x)
        return machine.run("fused_f32", x, np.empty_like(x), x.size, float(factor), float(term))
    wide_term = np.asarray(term, np.float64)
    product = x.astype(np.float64) * np.asarray(factor, np.float64)  # exact: 24 + 24 bits
    total = product + wide_term
    # Rounding to 53 and then to 24 bits differs from one rounding only if the first one landed
    # exactly between two float32 values (the 29 lower bits are 100…0) and was not exact.
    between = (total.view(np.int64) << 35) == np.int64(-(2**63))
    if between.any():
        terms = np.broadcast_to(wide_term, total.shape)[between]
        total[between] = _sum_to_odd(product[between], terms)
    return total.astype(np.float32)


def to_bfloat16_bits(x: np.ndarray) -> np.ndarray:
    """float32 to the nearest bfloat16 (ties to even), as uint16 bit patterns."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(x), np.uint32(0x7FC0), rounded).astype(np.uint16)


def from_bfloat16_bits(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bit patterns to float32, exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def round_to(x: np.ndarray, dtype: str) -> np.ndarray:
    """Cast computed values to `dtype` (a name) as a C++ conversion does; halves pass by float32."""
    if dtype == "bfloat16":
        return to_bfloat16_bits(x.astype(np.float32))
    if dtype == "float16":
        with np.errstate(over="ignore"):
            return x.astype(np.float32).astype(np.float16)
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(np.dtype(dtype))


def round_number(value: float, dtype: str) -> float:
    """One Python number rounded to `dtype`, returned as a Python float."""
    rounded = round_to(np.asarray([value], np.float64), dtype)
    if dtype == "bfloat16":
        rounded = from_bfloat16_bits(rounded)
    return float(rounded[0])
