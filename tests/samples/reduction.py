"""Samples of the reductions and scans."""

from __future__ import annotations

import math

import numpy as np
import torch

from tests.samples.row import FLOATING, INEXACT, INTEGER, Row

_SHAPES = (((2, 3, 4),), ((5,),), ((),), ((3, 1),))
# An empty axis is reduced to the identity; the spellings refuse where there is none.
_WITH_EMPTY = (*_SHAPES, ((0, 3),), ((2, 0),))
_SUMS = {"float32": 1e-5, "float16": 4e-3, "bfloat16": 4e-2, "complex64": 1e-5}
_SUMS_REASON = "terms are added in another order; 16-bit results are rounded once"


def _axes(shapes: tuple) -> list:
    rank = len(shapes[0])
    choices = {(), tuple(range(rank)), tuple(range(rank))[:1], tuple(range(rank))[-2:]}
    return [(axes, keepdim) for axes in sorted(choices) for keepdim in (False, True)]


def _one_axis(shapes: tuple) -> list:
    return [(axis,) for axis in range(len(shapes[0]))]


def _axis_and_keepdim(shapes: tuple) -> list:
    return [(axis, keep) for axis in range(len(shapes[0])) for keep in (False, True)]


def _summed(x, axes, keepdim):
    return x.sum(axes, keepdim=keepdim, dtype=x.dtype) if axes else x.clone()


def _multiplied(x, axes, keepdim):
    for axis in reversed(axes):
        x = x.prod(axis, keepdim=keepdim, dtype=x.dtype)
    return x.clone()


def _extremum(function):
    def compute(x, axes, keepdim):
        return function(x, axes, keepdim=keepdim) if axes else x.clone()

    return compute


def _distinct(generator, shapes, dtype, params):
    """Values that differ from one another, in random order, so that extrema have a derivative."""
    size = math.prod(shapes[0])
    values = generator.permutation(size) - (0 if dtype == "uint8" else size // 2)
    return [np.asarray(values.reshape(shapes[0])).astype(_numpy_name(dtype))]


def _numpy_name(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype


_REAL = INTEGER + FLOATING

ROWS = (
    Row("reduce_sum", _summed, _WITH_EMPTY, _axes, INTEGER + INEXACT, tolerance=_SUMS,
        reason=_SUMS_REASON),
    Row("reduce_prod", _multiplied, _WITH_EMPTY, _axes, INTEGER + INEXACT, 0.5, 2.0,
        tolerance=_SUMS, reason="factors are multiplied in another order"),
    Row("reduce_max", _extremum(torch.amax), _SHAPES, _axes, _REAL, operands=_distinct),
    Row("reduce_min", _extremum(torch.amin), _SHAPES, _axes, _REAL, operands=_distinct),
    Row("argmax", torch.argmax, _SHAPES, _axis_and_keepdim, _REAL, operands=_distinct,
        differentiable=()),
    Row("argmin", torch.argmin, _SHAPES, _axis_and_keepdim, _REAL, operands=_distinct,
        differentiable=()),
    Row("cumsum", lambda x, axis: x.cumsum(axis, dtype=x.dtype), _WITH_EMPTY, _one_axis,
        INTEGER + INEXACT, tolerance=_SUMS, reason=_SUMS_REASON),
    Row("cumprod", lambda x, axis: x.cumprod(axis, dtype=x.dtype), _WITH_EMPTY, _one_axis,
        INTEGER + INEXACT, 0.5, 2.0, tolerance=_SUMS,
        reason="PyTorch rounds 16-bit products at other places"),
    Row("cummax", lambda x, axis: x.cummax(axis).values, _WITH_EMPTY, _one_axis, _REAL,
        differentiable=()),
    Row("cummin", lambda x, axis: x.cummin(axis).values, _WITH_EMPTY, _one_axis, _REAL,
        differentiable=()),
)  # fmt: skip
