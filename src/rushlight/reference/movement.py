"""NumPy rules of the movement primitives.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.base.shapes import numel
from rushlight.primitives import movement as p
from rushlight.reference.table import define


def _copy(x, axes=None):
    return x.copy()


def _sent(x, target, source):
    return x.copy()


def _permute(x, axes):
    return np.transpose(x, axes)


def _window(flat, offset, size, strides):
    """The window of a flat array as a view; `flat` must be contiguous."""
    if 0 in size:
        return np.empty(size, flat.dtype)
    itemsize = flat.itemsize
    return np.lib.stride_tricks.as_strided(
        flat[int(offset) :], size, tuple(s * itemsize for s in strides)
    )


def _strided_read(x, offset, size, strides):
    return _window(np.ascontiguousarray(x).reshape(-1), offset, size, strides).copy()


def _strided_write(base, source, offset, size, strides):
    result = np.array(base, order="C")
    _window(result.reshape(-1), offset, size, strides)[...] = source
    return result


# Overlapping windows are added one slice after another up to this many slices.
_MOST_SLICES = 4096


def _strided_add(source, offset, size, strides, shape):
    result = np.zeros(shape, source.dtype)
    if 0 in size:
        return result
    flat = result.reshape(-1)
    loops = _axes_that_overlap(size, strides)
    counts = [size[axis] for axis in loops]
    if np.prod(counts, dtype=np.int64) > _MOST_SLICES:
        _add_by_index(flat, source, offset, size, strides)
        return result
    kept = [axis for axis in range(len(size)) if axis not in loops]
    kept_size = [size[axis] for axis in kept]
    kept_strides = [strides[axis] for axis in kept]
    for place in np.ndindex(*counts):
        at = int(offset)
        index: list = [slice(None)] * len(size)
        for axis, position in zip(loops, place):
            at += position * strides[axis]
            index[axis] = position
        _window(flat, at, kept_size, kept_strides)[...] += source[tuple(index)]
    return result


def _axes_that_overlap(size, strides) -> list[int]:
    """Short axes without which no two indices of the window name one element."""
    kept = [axis for axis in range(len(size)) if size[axis] > 1]
    loops: list[int] = []
    while not _is_injective([size[a] for a in kept], [strides[a] for a in kept]):
        shortest = min(kept, key=lambda axis: size[axis])
        kept.remove(shortest)
        loops.append(shortest)
    return loops


def _add_by_index(flat, source, offset, size, strides) -> None:
    index = np.full(size, int(offset), np.int64)
    for axis, stride in enumerate(strides):
        along = np.arange(size[axis]) * stride
        index += along.reshape((-1,) + (1,) * (len(size) - axis - 1))
    np.add.at(flat, index, source)


def _is_injective(size, strides) -> bool:
    reach = 0
    for stride, n in sorted((abs(s), n) for s, n in zip(strides, size) if n > 1):
        if stride <= reach:
            return False
        reach += stride * (n - 1)
    return True


def _concatenate(*arguments):
    *operands, axis = arguments
    return np.concatenate(operands, axis=axis)


def _pack(*operands):
    return np.concatenate([x.reshape(-1) for x in operands])


def _unpack(x, shapes):
    parts = []
    start = 0
    for shape in shapes:
        count = numel(shape)
        parts.append(x[start : start + count].reshape(shape).copy())
        start += count
    return parts


define(p.copy, __name__, _copy)
define(p.to_device, __name__, _sent)
define(p.reshape, __name__, np.reshape)
define(p.permute, __name__, _permute)
define(p.expand, __name__, np.broadcast_to)
define(p.strided_read, __name__, _strided_read)
define(p.strided_write, __name__, _strided_write)
define(p.strided_add, __name__, _strided_add)
define(p.concatenate, __name__, _concatenate)
define(p.pack, __name__, _pack)
define(p.unpack, __name__, _unpack)
