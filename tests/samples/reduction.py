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


def _windows_summed(x, kernel, stride, padding, dilation, kernel_dilation):
    """A convolution of each channel with ones, in a dtype that PyTorch convolves."""
    rank, channels = len(kernel), x.shape[1]
    wide = x if x.is_floating_point() or x.is_complex() else x.double()
    sizes = [(n - 1) * d + 1 for n, d in zip(x.shape[2:], dilation)]
    spread = wide.new_zeros((*x.shape[:2], *sizes))
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = wide
    pads = [amount for pair in reversed(padding) for amount in pair]
    spread = torch.nn.functional.pad(spread, pads)
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
    ones = torch.ones((channels, 1, *kernel), dtype=wide.dtype)
    return convolve(spread, ones, None, stride, 0, kernel_dilation, channels).to(x.dtype)


def _window_sums(shapes: tuple) -> list:
    rank = len(shapes[0]) - 2
    one, two, three = (1,) * rank, (2,) * rank, (3,) * rank
    none = ((0, 0),) * rank
    return [
        (two, one, none, one, one),
        (two, two, ((1, 1),) * rank, one, one),
        (three, two, ((0, -1),) * rank, one, one),
        (two, one, ((2, 1),) * rank, two, one),
        (three, two, ((3, 2),) * rank, three, two),
    ]


def _windows_searched(x, kernel, stride, low, kernel_dilation, size):
    pool = getattr(torch.nn.functional, f"max_pool{len(kernel)}d")
    return pool(x, kernel, stride, low, kernel_dilation, return_indices=True)[1]


def _window_searches(shapes: tuple) -> list:
    found = []
    for k, s, a, d in ((2, 1, 0, 1), (2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2), (2, 1, 1, 2)):
        numbers = [(n, (n + 2 * a - d * (k - 1) - 1) // s + 1) for n in shapes[0][2:]]
        if all(o > 0 and n > 1 for n, o in numbers):
            rank = len(numbers)
            each = [(v,) * rank for v in (k, s, a, d)]
            found.append((*each, tuple(o for _, o in numbers)))
    return found


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
    Row("window_sum", _windows_summed,
        (((2, 3, 5),), ((1, 2, 5, 6),), ((2, 1, 4, 4, 5),), ((0, 2, 5),)), _window_sums,
        INTEGER + ("float64", "float32"), tolerance=_SUMS, reason=_SUMS_REASON),
    Row("window_argmax", _windows_searched,
        (((2, 3, 5),), ((1, 2, 5, 6),), ((2, 1, 4, 3, 5),)), _window_searches,
        INTEGER + FLOATING, operands=_distinct, differentiable=()),
    Row("cummin", lambda x, axis: x.cummin(axis).values, _WITH_EMPTY, _one_axis, _REAL,
        differentiable=()),
)  # fmt: skip
