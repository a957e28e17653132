"""One number at a time, as Python numbers (level 1).

In: PyTorch's Mersenne Twister and the distribution's numbers.  Out: a float or an int.  Invariant:
the bits are those of `continuous.uniform` and `discrete.integers` for a count of one in float32
and int64, and so is the place in the stream afterwards.  A data loader's transforms draw half a
dozen such numbers for each picture, and an array of one element costs ten times as much.
"""

from __future__ import annotations

import functools
import math
import struct

import numpy as np

from rushlight.rng import rounding
from rushlight.rng.discrete import WIDE_RANGE, integers
from rushlight.rng.mt19937 import MersenneTwister

_DOUBLE, _LONG = struct.Struct("<d"), struct.Struct("<q")

# The part of a double that float32 has no room for, and its value halfway between two float32.
_LOWER_BITS, _HALFWAY = (1 << 29) - 1, 1 << 28


@functools.lru_cache(maxsize=64)
def _bounds(low: float, high: float) -> tuple[float, float, float]:
    """(low, high, their distance), each rounded to float32."""
    low, high = (rounding.round_number(bound, "float32") for bound in (low, high))
    return low, high, rounding.round_number(high - low, "float32")


def uniform(engine: MersenneTwister, low: float = 0.0, high: float = 1.0) -> float:
    """A float32 number in [low, high)."""
    share = (engine.word() & 0xFFFFFF) * 2.0**-24
    if low == 0.0 and high == 1.0:
        return share
    low, high, span = _bounds(low, high)
    total = share * span + low  # the product is exact: 24 + 24 bits
    (bits,) = _LONG.unpack(_DOUBLE.pack(total))
    if bits & _LOWER_BITS == _HALFWAY:
        # Only here rounding to 53 and then to 24 bits may differ from rounding once.
        drawn = np.array([share], np.float32)
        value = float(
            rounding.fused_multiply_add_f32(drawn, np.float32(span), np.float32(low)).item()
        )
    else:
        value = float(np.float32(total))
    return low if value == high else value


def integer(engine: MersenneTwister, low: int, high: int) -> int:
    """A whole number in [low, high)."""
    if high - low >= WIDE_RANGE:
        return int(integers(engine, 1, "int64", low, high)[0])
    return engine.word() % (high - low) + low


def exponential(exponent: float) -> float:
    """e to a power, both float32; the nearest one, as PyTorch's is in 99 of 100 cases."""
    return float(np.float32(math.exp(exponent)))
