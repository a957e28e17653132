"""The order in which a strided destination is filled (level 1).

In: a flat run of values, the destination's shape and strides (in elements). Out: the values as an
array of that shape, such that memory order follows the run. Invariant: PyTorch sorts the
dimensions by stride before it fills, so a transposed tensor is filled in memory order.
"""

from __future__ import annotations

import numpy as np


def fill_axes(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """The axes from the slowest to the fastest of the filling order.

    An insertion sort that leaves axes of stride 0 and size 1 where they stand, as PyTorch's
    iterator does; a plain sort would move them.
    """
    fastest_first = list(range(len(shape)))[::-1]
    for start in range(1, len(fastest_first)):
        moving = start
        for before in range(start - 1, -1, -1):
            order = _stride_order(shape, strides, fastest_first[before], fastest_first[moving])
            if order > 0:
                swapped = fastest_first[before]
                fastest_first[before] = fastest_first[moving]
                fastest_first[moving] = swapped
                moving = before
            elif order < 0:
                break
    return tuple(fastest_first[::-1])


def _stride_order(shape: tuple[int, ...], strides: tuple[int, ...], first: int, second: int) -> int:
    """1 if `first` has to be slower than `second`, -1 if faster, 0 if nothing decides."""
    if strides[first] == 0 or strides[second] == 0:
        return 0
    if strides[first] != strides[second]:
        return 1 if strides[first] > strides[second] else -1
    return 1 if shape[first] > shape[second] else 0


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the strides are those of row-major order (axes of size 1 do not count)."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def arrange(values: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """The flat run `values` as an array of `shape` filled in the order of `strides`."""
    if is_contiguous(shape, strides):
        return values.reshape(shape)
    axes = fill_axes(shape, strides)
    ordered = values.reshape([shape[axis] for axis in axes])
    return ordered.transpose(np.argsort(axes))
