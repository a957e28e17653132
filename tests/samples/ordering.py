"""Samples of sorting and searching."""

from __future__ import annotations

import numpy as np
import torch

from tests.samples.row import Row, random_array

_REAL = ("float64", "float32", "bfloat16", "int64", "uint8", "bool")


def _orders(shapes: tuple) -> list:
    return [(axis, down) for axis in range(len(shapes[0])) for down in (False, True)]


def _with_ties(generator, shapes, dtype, params):
    """Few different values, so that stability shows; among floats a NaN."""
    array = random_array(generator, shapes[0], "int64", 0, 3).astype(np.float64)
    if dtype in ("float64", "float32") and array.size > 3:
        array.flat[1] = np.nan
    kind = "float32" if dtype == "bfloat16" else dtype
    return [array.astype(kind)]


def _ascending(generator, shapes, dtype, params):
    arrays = [random_array(generator, s, dtype, -3, 3) for s in shapes]
    return [np.sort(arrays[0], -1), arrays[1]]


def _sorted_order(x, axis, descending):
    return torch.sort(x, dim=axis, descending=descending, stable=True).indices


ROWS = (
    Row("argsort", _sorted_order, (((9,),), ((3, 5),), ((0, 2),), ((2, 3, 4),)), _orders, _REAL,
        operands=_with_ties, differentiable=()),
    Row("searchsorted", lambda b, v, right: torch.searchsorted(b, v, right=right),
        (((6,), (3, 4)), ((2, 5), (2, 3)), ((4,), (0,)), ((0,), (2,))), ((False,), (True,)),
        ("float64", "float32", "int64"), operands=_ascending, differentiable=()),
)  # fmt: skip
