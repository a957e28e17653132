"""Batching rules of the indexing primitives.  Level 5.

Where each member has indices of its own, slices are read and written element by element, with the
indices repeated over the slice: an index out of bounds is then found as in one member.
"""

from __future__ import annotations

from rushlight.base.shapes import numel
from rushlight.batching.table import as_batch, broadcasting, define
from rushlight.primitives import indexing as p
from rushlight.primitives.movement import expand, permute, reshape


def _repeated(index, shape, axis):
    """Indices (size, n) in the axis of `shape` that they index, repeated over the others."""
    size, count = index.shape
    ones = [1] * len(shape)
    ones[0], ones[axis] = size, count
    return expand(reshape(index, tuple(ones)), tuple(shape))


def _take(size, mapped, operands, axis):
    x, index = operands
    if not mapped[1]:
        return p.take(x, index, axis + 1)
    if not mapped[0]:
        found = p.take(x, index, axis)  # (before, size, of index, after)
        return permute(found, (axis, *range(axis), *range(axis + 1, len(found.shape))))
    _, *places = index.shape
    before, after = tuple(x.shape)[1 : axis + 1], tuple(x.shape)[axis + 2 :]
    flat = reshape(index, (size, numel(places)))
    shape = (size, *before, numel(places), *after)
    found = p.gather(x, _repeated(flat, shape, axis + 1), axis + 1)
    return reshape(found, (size, *before, *places, *after))


def _put(size, mapped, operands, axis, mode):
    x, index, source = operands
    x, source = as_batch(size, mapped[0], x), as_batch(size, mapped[2], source)
    if not mapped[1]:
        return p.put(x, index, source, axis + 1, mode)
    where = _repeated(index, tuple(source.shape), axis + 1)
    return p.scatter(x, where, source, axis + 1, mode)


def _gather(size, mapped, operands, axis):
    x, index = (as_batch(size, m, z) for z, m in zip(operands, mapped))
    return p.gather(x, index, axis + 1)


def _scatter(size, mapped, operands, axis, mode):
    x, index, source = (as_batch(size, m, z) for z, m in zip(operands, mapped))
    return p.scatter(x, index, source, axis + 1, mode)


broadcasting(p.ravel_index, __name__)
define(p.take, __name__, _take)
define(p.put, __name__, _put)
define(p.gather, __name__, _gather)
define(p.scatter, __name__, _scatter)
