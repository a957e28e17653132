"""NumPy rules of matrix product and convolution.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import contraction as p
from rushlight.reference.table import define


def _matmul(x, y, transpose_x, transpose_y):
    if transpose_x:
        x = np.swapaxes(x, -1, -2)
    if transpose_y:
        y = np.swapaxes(y, -1, -2)
    return np.matmul(x, y)


def _unrounded_matmul(x, y, transpose_x, transpose_y):
    return _matmul(x.astype(np.float32), y.astype(np.float32), transpose_x, transpose_y)


def _byte_matmul(x, y, transpose_x, transpose_y):
    return _matmul(x.astype(np.int32), y.astype(np.int32), transpose_x, transpose_y)


def spread_by(x, dilation):
    """Zeros between the elements of the spatial axes."""
    if all(d == 1 for d in dilation):
        return x
    sizes = [(n - 1) * d + 1 if n else 0 for n, d in zip(x.shape[2:], dilation)]
    result = np.zeros((*x.shape[:2], *sizes), x.dtype)
    result[(slice(None), slice(None), *(slice(None, None, d) for d in dilation))] = x
    return result


def padded_by(x, padding):
    """Zeros around the spatial axes; a negative amount removes elements."""
    crop = [slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape[2:], padding)]
    x = x[(slice(None), slice(None), *crop)]
    amounts = [(max(low, 0), max(high, 0)) for low, high in padding]
    if any(a != (0, 0) for a in amounts):
        x = np.pad(x, [(0, 0), (0, 0), *amounts])
    return x


def windows_of(x, sizes, kernel, stride, kernel_dilation):
    """(N, C, *output, *kernel) without copying: each output position sees its window."""
    inner = x.strides[2:]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *sizes, *kernel),
        (
            *x.strides[:2],
            *(s * t for s, t in zip(inner, stride)),
            *(s * d for s, d in zip(inner, kernel_dilation)),
        ),
    )


def _convolution(x, w, stride, padding, dilation, kernel_dilation, groups):
    rank = len(stride)
    x = padded_by(spread_by(x, dilation), padding)
    batch = x.shape[0]
    outputs, per_group = w.shape[:2]
    sizes = tuple(
        max((n - (k - 1) * d - 1) // s + 1, 0)
        for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, kernel_dilation)
    )
    if 0 in sizes or 0 in x.shape or 0 in w.shape:
        return np.zeros((batch, outputs, *sizes), x.dtype)
    windows = windows_of(x, sizes, w.shape[2:], stride, kernel_dilation)
    kernel_axes = tuple(range(2 + rank, 2 + 2 * rank))
    parts = []
    for group in range(groups):
        seen = windows[:, group * per_group : (group + 1) * per_group]
        count = outputs // groups
        weights = w[group * count : (group + 1) * count]
        part = np.tensordot(seen, weights, axes=((1, *kernel_axes), tuple(range(1, 2 + rank))))
        parts.append(np.moveaxis(part, -1, 1))
    return parts[0] if groups == 1 else np.concatenate(parts, axis=1)


def _unrounded_convolution(x, w, *params):
    return _convolution(x.astype(np.float32), w.astype(np.float32), *params)


define(p.matmul, __name__, _matmul)
define(p.unrounded_matmul, __name__, _unrounded_matmul)
define(p.byte_matmul, __name__, _byte_matmul)
define(p.convolution, __name__, _convolution)
define(p.unrounded_convolution, __name__, _unrounded_convolution)
