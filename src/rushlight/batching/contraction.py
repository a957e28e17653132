"""Batching rules of matrix product and convolution.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import as_batch, define, own_rank, with_rank
from rushlight.primitives.contraction import (
    byte_matmul,
    convolution,
    matmul,
    unrounded_convolution,
    unrounded_matmul,
)
from rushlight.primitives.movement import permute, reshape


def _matmul(size, mapped, operands, transpose_x, transpose_y, product=matmul):
    x, y = operands
    if mapped == (True, False) and len(x.shape) == 3 and len(y.shape) == 2 and not transpose_x:
        # One product of all rows instead of many small ones.
        _, rows, inner = x.shape
        found = product(reshape(x, (size * rows, inner)), y, False, transpose_y)
        return reshape(found, (size, rows, found.shape[-1]))
    rank = max(own_rank(z, m) for z, m in zip(operands, mapped))
    x, y = (with_rank(z, m, rank) for z, m in zip(operands, mapped))
    return product(x, y, transpose_x, transpose_y)


def _unrounded_matmul(size, mapped, operands, transpose_x, transpose_y):
    return _matmul(size, mapped, operands, transpose_x, transpose_y, unrounded_matmul)


def _byte_matmul(size, mapped, operands, transpose_x, transpose_y):
    return _matmul(size, mapped, operands, transpose_x, transpose_y, byte_matmul)


def _convolution(
    size, mapped, operands, stride, padding, dilation, kernel_dilation, groups, convolve=convolution
):
    """A batch of images with one weight is a larger batch; of weights with the same images, more
    channels of output; of both, a group for each."""
    x, w = operands

    def run(images, weights, in_groups):
        return convolve(images, weights, stride, padding, dilation, kernel_dilation, in_groups)

    if not mapped[1]:
        _, count, *rest = x.shape
        found = run(reshape(x, (size * count, *rest)), w, groups)
        return reshape(found, (size, count, *tuple(found.shape)[1:]))
    _, outputs, *kernel = w.shape
    weights = reshape(w, (size * outputs, *kernel))
    if not mapped[0] and groups == 1:
        images, in_groups = x, 1
    else:
        x = as_batch(size, mapped[0], x)
        _, count, channels, *sizes = x.shape
        axes = (1, 0, *range(2, len(x.shape)))
        images = reshape(permute(x, axes), (count, size * channels, *sizes))
        in_groups = size * groups
    found = run(images, weights, in_groups)
    count, _, *sizes = found.shape
    parts = reshape(found, (count, size, outputs, *sizes))
    return permute(parts, (1, 0, *range(2, len(parts.shape))))


define(matmul, __name__, _matmul)
define(unrounded_matmul, __name__, _unrounded_matmul)
define(byte_matmul, __name__, _byte_matmul)


def _unrounded_convolution(size, mapped, operands, *params):
    return _convolution(size, mapped, operands, *params, convolve=unrounded_convolution)


define(unrounded_convolution, __name__, _unrounded_convolution)
define(convolution, __name__, _convolution)
