"""Sizes for each axis, under the names that code written for PyTorch imports.  Level 12."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight.nn.modules.sizes import per_axis


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple]:
    """A function that makes its argument a tuple of `n` values."""
    return partial(per_axis, count=n)


_single = _ntuple(1)
_pair = _ntuple(2)
_triple = _ntuple(3)
_quadruple = _ntuple(4)
