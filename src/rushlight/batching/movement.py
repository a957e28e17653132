"""Batching rules of the movement primitives.  Level 5.

The strided ones see an operand as its elements in row-major order: a batch puts those of one member
behind those of the other, one more axis whose stride is a member's number of elements.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.errors import InternalError
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.batching.table import as_batch, define, own_shape, with_rank
from rushlight.primitives import movement as p


def _copy(size, mapped, operands, *order):
    if order:
        return p.copy(operands[0], (0, *[axis + 1 for axis in order[0]]))
    return p.copy(operands[0])


def _sent(size, mapped, operands, target, source):
    return p.to_device(operands[0], target, source)


def _reshape(size, mapped, operands, shape):
    return p.reshape(operands[0], (size, *shape))


def _permute(size, mapped, operands, axes):
    return p.permute(operands[0], (0, *(axis + 1 for axis in axes)))


def _expand(size, mapped, operands, shape):
    return p.expand(with_rank(operands[0], True, len(shape)), (size, *shape))


def _refuse_offsets(mapped: bool) -> None:
    if mapped:  # offsets are numbers of the program, which vmap does not map
        raise InternalError("vmap: an offset within a tensor's memory differs by member")


def _strided_read(size, mapped, operands, extent, strides):
    x, offset = operands
    _refuse_offsets(mapped[1])
    return p.strided_read(x, offset, (size, *extent), (numel(tuple(x.shape)[1:]), *strides))


def _strided_write(size, mapped, operands, extent, strides):
    base, source, offset = operands
    _refuse_offsets(mapped[2])
    base = as_batch(size, mapped[0], base)
    source = as_batch(size, mapped[1], source)
    step = numel(tuple(base.shape)[1:])
    return p.strided_write(base, source, offset, (size, *extent), (step, *strides))


def _strided_add(size, mapped, operands, extent, strides, shape):
    source, offset = operands
    _refuse_offsets(mapped[1])
    return p.strided_add(source, offset, (size, *extent), (numel(shape), *strides), (size, *shape))


def _concatenate(size, mapped, operands, axis):
    return p.concatenate(tuple(as_batch(size, m, x) for x, m in zip(operands, mapped)), axis + 1)


def _pack(size, mapped, operands):
    flat = []
    for x, m in zip(operands, mapped):
        flat.append(p.reshape(as_batch(size, m, x), (size, numel(own_shape(x, m)))))
    return flat[0] if len(flat) == 1 else p.concatenate(tuple(flat), 1)


def _unpack(size, mapped, operands, shapes):
    (x,) = operands
    total = x.shape[1]
    start = 0
    parts = []
    for shape in shapes:
        offset = x._scalar(start, int64)
        strides = (total, *contiguous_strides(shape))
        parts.append(p.strided_read(x, offset, (size, *shape), strides))
        start += numel(shape)
    return parts


define(p.copy, __name__, _copy)
define(p.to_device, __name__, _sent)
define(p.reshape, __name__, _reshape)
define(p.permute, __name__, _permute)
define(p.expand, __name__, _expand)
define(p.strided_read, __name__, _strided_read)
define(p.strided_write, __name__, _strided_write)
define(p.strided_add, __name__, _strided_add)
define(p.concatenate, __name__, _concatenate)
define(p.pack, __name__, _pack)
define(p.unpack, __name__, _unpack)
