"""NumPy rules of the indexing primitives; they raise on indices out of bounds.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.base.errors import OutOfBounds
from rushlight.primitives import indexing as p
from rushlight.reference.table import define

_COMBINE = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def _check(index, size, axis, lowest=0) -> None:
    if index.size == 0:
        return
    low, high = int(index.min()), int(index.max())
    if low < lowest or high >= size:
        first = int(np.argmax((index < lowest) | (index >= size)))
        position = tuple(int(i) for i in np.unravel_index(first, index.shape))
        raise OutOfBounds.at(int(index[position]), size, axis, position)


def _ravel_index(*arguments):
    *indices, sizes = arguments
    flat = np.int64(0)
    for axis, (index, size) in enumerate(zip(indices, sizes)):
        _check(index, size, axis, -size)
        flat = flat * size + np.where(index < 0, index + size, index)
    return flat


def _take(x, index, axis):
    _check(index, x.shape[axis], axis)
    return np.take(x, index, axis=axis)


def _put(x, index, source, axis, mode):
    _check(index, x.shape[axis], axis)
    result = np.array(x, order="C")
    where = (slice(None),) * axis + (index,)
    if mode == "set":
        result[where] = source
    elif mode == "add" and x.dtype.kind in "fc":
        _add_rows(np.moveaxis(result, axis, 0), index, np.moveaxis(source, axis, 0))
    else:
        _COMBINE[mode].at(result, where, source)
    return result


def _add_rows(rows, index, source) -> None:
    """rows[index] += source with repetitions: sorted by row, then one sum for each row."""
    if index.size == 0:
        return
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if starts.size == index.size:
        rows[index] += source
    else:
        rows[ordered[starts]] += np.add.reduceat(source[order], starts, axis=0)


def _positions(index, shape, axis):
    """Index arrays that name, for each element of index, its place in x."""
    grids = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grids[axis] = index
    return tuple(grids)


def _gather(x, index, axis):
    _check(index, x.shape[axis], axis)
    return x[_positions(index, x.shape, axis)]


def _scatter(x, index, source, axis, mode):
    _check(index, x.shape[axis], axis)
    result = np.array(x, order="C")
    where = _positions(index, x.shape, axis)
    if mode == "set":
        result[where] = source
    elif index.shape[axis] == 1:
        # Every index names another place: no repetition to look after.
        result[where] = _COMBINE[mode](result[where], source)
    elif mode == "add" and x.dtype.kind == "f":
        _add_flat(result, where, source)
    else:
        _COMBINE[mode].at(result, where, source)
    return result


def _add_flat(result, where, source) -> None:
    """Addition at repeated places by counting; sums are formed in double precision."""
    flat = np.ravel_multi_index(np.broadcast_arrays(*where), result.shape).reshape(-1)
    if flat.size:
        total = np.bincount(flat, source.reshape(-1), result.size)
        result += total.reshape(result.shape).astype(result.dtype)


define(p.ravel_index, __name__, _ravel_index)
define(p.take, __name__, _take)
define(p.put, __name__, _put)
define(p.gather, __name__, _gather)
define(p.scatter, __name__, _scatter)
