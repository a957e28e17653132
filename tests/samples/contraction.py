"""Samples of matrix product and convolution."""

from __future__ import annotations

import numpy as np
import torch

from tests.samples.row import INEXACT, INTEGER, Error, Row

_TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2, "complex64": 1e-5}
_UNROUNDED = {"float16": 1e-5, "bfloat16": 1e-5}
_REASON = "products are summed in another order; 16-bit results are rounded once"


def _transposed(x, flag):
    return x.transpose(-1, -2) if flag else x


def _product(x, y, transpose_x, transpose_y):
    return torch.matmul(_transposed(x, transpose_x), _transposed(y, transpose_y))


def _flags(shapes: tuple) -> list:
    """The transpositions under which the inner sizes agree."""
    x, y = (s[-2:] for s in shapes)
    return [
        (a, b) for a in (False, True) for b in (False, True) if x[0 if a else 1] == y[1 if b else 0]
    ]


def _convolved(x, w, stride, padding, dilation, kernel_dilation, groups):
    """The general convolution: x spread with zeros, padded on each side, correlated with w."""
    rank = len(stride)
    sizes = [(n - 1) * d + 1 for n, d in zip(x.shape[2:], dilation)]
    spread = x.new_zeros((*x.shape[:2], *sizes))
    spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = x
    pads = [amount for pair in reversed(padding) for amount in pair]
    spread = torch.nn.functional.pad(spread, pads)
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
    return convolve(spread, w, None, stride, 0, kernel_dilation, groups)


def _convolution_params(shapes: tuple) -> list:
    rank = len(shapes[0]) - 2
    groups = shapes[0][1] // shapes[1][1]
    one, two = (1,) * rank, (2,) * rank
    return [
        (one, ((0, 0),) * rank, one, one, groups),
        (two, ((1, 1),) * rank, one, one, groups),
        (one, ((2, 1),) * rank, two, one, groups),
        (one, ((2, 2),) * rank, one, two, groups),
        (two, ((3, 2),) * rank, two, two, groups),
    ]


def _unrounded_product(x, y, transpose_x, transpose_y):
    return _product(x.float(), y.float(), transpose_x, transpose_y)


def _unrounded_convolved(x, w, *params):
    return _convolved(x.float(), w.float(), *params)


def _byte_product(x, y, transpose_x, transpose_y):
    return _product(x.int(), y.int(), transpose_x, transpose_y)


def _bytes(generator, shapes, dtype, params):
    """All values of both dtypes."""
    first = generator.integers(0, 256, shapes[0])
    return [first.astype(np.uint8), generator.integers(-128, 128, shapes[1]).astype(np.int8)]


ROWS = (
    Row(
        "byte_matmul", _byte_product,
        (((3, 4), (4, 2)), ((2, 1, 3, 4), (5, 4, 3)), ((0, 3), (3, 2)), ((1, 70), (70, 33)),
         ((20, 130), (130, 1))),
        _flags, ("uint8",), operands=_bytes, differentiable=(),
        errors=(
            Error((((2, 3), "uint8"), ((2, 3), "int8")), (False, False), RuntimeError,
                  "mat1 and mat2 shapes cannot be multiplied"),
            Error((((2, 3), "int8"), ((3, 2), "int8")), (False, False), RuntimeError,
                  "expected uint8 @ int8"),
        ),
    ),
    Row(
        "matmul", _product, (((3, 4), (4, 2)), ((3, 3), (3, 3)), ((2, 1, 3, 4), (5, 4, 3)),
                             ((0, 3), (3, 2)), ((2, 3, 0), (2, 0, 4))),
        _flags, INTEGER + INEXACT, differentiable=(0, 1), tolerance=_TOLERANCE, reason=_REASON,
        errors=(
            Error((((2, 3), "float32"), ((2, 3), "float32")), (False, False), RuntimeError,
                  "mat1 and mat2 shapes cannot be multiplied"),
            Error((((2, 3), "float32"), ((3, 2), "float64")), (False, False), RuntimeError,
                  "to have the same dtype"),
        ),
    ),
    Row(
        "unrounded_matmul", _unrounded_product,
        (((3, 4), (4, 2)), ((3, 3), (3, 3)), ((2, 1, 3, 4), (5, 4, 3)), ((0, 3), (3, 2)),
         ((1, 70), (70, 33)), ((20, 130), (130, 1)), ((20, 600), (600, 70))),
        _flags, ("bfloat16", "float16"), differentiable=(), tolerance=_UNROUNDED, reason=_REASON,
        errors=(
            Error((((2, 3), "float16"), ((2, 3), "float16")), (False, False), RuntimeError,
                  "mat1 and mat2 shapes cannot be multiplied"),
        ),
    ),
    Row(
        "unrounded_convolution", _unrounded_convolved,
        (((2, 3, 5), (4, 3, 2)), ((1, 4, 6), (2, 2, 3)), ((2, 2, 4, 5), (3, 2, 2, 3)),
         ((2, 1, 6, 5), (1, 1, 2, 3)), ((1, 4, 6, 5), (2, 2, 5, 4))),
        _convolution_params, ("bfloat16", "float16"), differentiable=(), tolerance=_UNROUNDED,
        reason=_REASON,
        errors=(
            Error((((1, 2, 4), "float16"), ((1, 2, 2), "float32")),
                  ((1,), ((0, 0),), (1,), (1,), 1), RuntimeError, "should be the same"),
        ),
    ),
    Row(
        "convolution", _convolved,
        (((2, 3, 5), (4, 3, 2)), ((1, 4, 6), (2, 2, 3)), ((2, 2, 4, 5), (3, 2, 2, 3)),
         ((2, 6, 7), (3, 2, 6)), ((1, 4, 6, 5), (2, 2, 5, 4))),
        _convolution_params, ("float64", "float32"), differentiable=(0, 1), tolerance=_TOLERANCE,
        reason=_REASON,
        errors=(
            Error((((1, 2, 4), "float32"), ((1, 2, 2), "float64")),
                  ((1,), ((0, 0),), (1,), (1,), 1), RuntimeError, "should be the same"),
        ),
    ),
)  # fmt: skip
