"""Primitives that make values from nothing.  Level 2.

Numbers the program computes with enter as scalar leaves, random numbers of the host and data as
buffer leaves (`tape.leaf_node`), so that only index ranges remain.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.tape.primitive import Primitive


def _iota_result(size):
    return (size,), int64


# 0, 1, ..., size - 1
iota = Primitive("iota", "source", "source", 0, _iota_result, ("size",), grad_name="Arange")
