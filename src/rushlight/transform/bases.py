"""Unit vectors of several tensors together, and tables by them cut into the tensors' shapes.

Level: transform.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.primitives.movement import reshape, strided_add, strided_read
from rushlight.tensor.tensor import Tensor
from rushlight.vjp.broadcast import filled


def unit_vectors(tensors: list[Tensor]) -> list[Tensor]:
    """For each tensor, its part of all unit vectors of them together: (total, *shape)."""
    sizes = [numel(x._node.shape) for x in tensors]
    total = sum(sizes)
    parts = []
    start = 0
    for x, size in zip(tensors, sizes):
        ones = filled(x, 1.0, (size,))
        offset = x._scalar(start * size, int64)
        unit = strided_add(ones, offset, (size,), (size + 1,), (total, size))
        parts.append(reshape(unit, (total, *x._node.shape)))
        start += size
    return parts


def pieces(table: Tensor, axis: int, likes: list[Tensor]) -> list[Tensor]:
    """Pieces of a table along an axis of all elements of `likes`, in their shapes."""
    shape = table._node.shape
    strides = contiguous_strides(shape)
    start = 0
    found = []
    for like in likes:
        size = numel(like._node.shape)
        offset = table._scalar(start * strides[axis], int64)
        extent = (*shape[:axis], size, *shape[axis + 1 :])
        part = strided_read(table, offset, extent, strides)
        found.append(reshape(part, (*shape[:axis], *like._node.shape, *shape[axis + 1 :])))
        start += size
    return found
