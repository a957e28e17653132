"""NumPy rules of the indexing primitives; they raise on indices out of bounds.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import indexing as p
from rushlight.reference.table import define

_COMBINE = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


def _check(index, size, axis) -> None:
    if index.size == 0:
        return
    low, high = int(index.min()), int(index.max())
    if low < -size or high >= size:
        wrong = high if high >= size else low
        raise IndexError(
            f"index {wrong} is out of bounds for dimension {axis} with size {size}"
        )


def _ravel_index(*arguments):
    *indices, sizes = arguments
    flat = np.int64(0)
    for axis, (index, size) in enumerate(zip(indices, sizes)):
        _check(index, size, axis)
        flat = flat * size + np.where(index < 0, index + size, index)
    return flat


def _take(x, index, axis):
    _check(index, x.shape[axis], axis)
    return np.take(x, index, axis=axis)


def _combine_at(result, where, source, mode) -> None:
    if mode == "set":
        result[where] = source
    else:
        _COMBINE[mode].at(result, where, source)


def _put(x, index, source, axis, mode):
    _check(index, x.shape[axis], axis)
    result = np.array(x, order="C")
    _combine_at(result, (slice(None),) * axis + (index,), source, mode)
    return result


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
    _combine_at(result, _positions(index, x.shape, axis), source, mode)
    return result


define(p.ravel_index, __name__, _ravel_index)
define(p.take, __name__, _take)
define(p.put, __name__, _put)
define(p.gather, __name__, _gather)
define(p.scatter, __name__, _scatter)
