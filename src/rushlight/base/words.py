"""Arrays of 8-byte words that machine code reads, and the ways to fill and to use them.

The functions here are what they do; `selfcompile/` writes the same as a few instructions, for NumPy
and ctypes take longer for one word than a kernel for a hundred.  Nothing checks places: they come
from plans.  Level 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.hot import hot


@hot
class Words:
    """An int64 array.  integers, floats: its memory as numbers.  address: of the first word."""

    __slots__ = ("array", "integers", "floats", "address")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.integers = array.data
        self.floats = array.data.cast("B").cast("d")
        self.address: int = array.ctypes.data


def put_integer(words: Words, place: int, value: Any) -> None:
    """Store an int."""
    words.integers[place] = value


def put_float(words: Words, place: int, value: Any) -> None:
    """Store a number as float64."""
    words.floats[place] = value


def gather(words: Words, source: Words, places: Words, count: int) -> None:
    """Store source[places[i]] at i, for i below `count`."""
    # Mode "clip" because "raise" would gather into a copy first.
    source.array.take(places.array[:count], out=words.array[:count], mode="clip")


def call_released(
    function: Callable[[int, int, int], None], address: int, x: int, y: int, z: int
) -> None:
    """Call a machine function of three words, while other threads run Python.

    address: of what `function` calls.
    """
    function(x, y, z)
