"""NumPy rules of sorting and searching.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import ordering as p
from rushlight.reference.table import define


def _argsort(x, axis, descending):
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Sorting the reversed sequence and reversing the result keeps equal elements in order.
    backwards = np.flip(x, axis)
    order = np.flip(np.argsort(backwards, axis=axis, kind="stable"), axis)
    return x.shape[axis] - 1 - order


def _searchsorted(boundaries, values, right):
    side = "right" if right else "left"
    if boundaries.ndim == 1:
        return np.searchsorted(boundaries, values, side=side)
    result = np.empty(values.shape, np.int64)
    for row in np.ndindex(*values.shape[:-1]):
        result[row] = np.searchsorted(boundaries[row], values[row], side=side)
    return result


define(p.argsort, __name__, _argsort)
define(p.searchsorted, __name__, _searchsorted)
