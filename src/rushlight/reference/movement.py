"""NumPy rules of the movement primitives.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.base.shapes import numel
from rushlight.primitives import movement as p
from rushlight.reference.table import define


def _copy(x):
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


def _strided_add(source, offset, size, strides, shape):
    result = np.zeros(shape, source.dtype)
    flat = result.reshape(-1)
    index = np.full(size, int(offset), np.int64)
    for axis, stride in enumerate(strides):
        along = np.arange(size[axis]) * stride
        index += along.reshape((-1,) + (1,) * (len(size) - axis - 1))
    if _is_injective(size, strides):
        flat[index] = source
    else:
        np.add.at(flat, index, source)
    return result


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
define(p.reshape, __name__, np.reshape)
define(p.permute, __name__, _permute)
define(p.expand, __name__, np.broadcast_to)
define(p.strided_read, __name__, _strided_read)
define(p.strided_write, __name__, _strided_write)
define(p.strided_add, __name__, _strided_add)
define(p.concatenate, __name__, _concatenate)
define(p.pack, __name__, _pack)
define(p.unpack, __name__, _unpack)
