"""NumPy rules of the reductions.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import reduction as p
from rushlight.reference.table import define


def _sum(x, axes, keepdim):
    return np.sum(x, axis=axes, keepdims=keepdim, dtype=x.dtype)


def _prod(x, axes, keepdim):
    return np.prod(x, axis=axes, keepdims=keepdim, dtype=x.dtype)


def _max(x, axes, keepdim):
    if x.dtype == np.bool_:  # has an identity: false
        return np.any(x, axis=axes, keepdims=keepdim)
    return np.max(x, axis=axes, keepdims=keepdim)


def _min(x, axes, keepdim):
    if x.dtype == np.bool_:  # has an identity: true
        return np.all(x, axis=axes, keepdims=keepdim)
    return np.min(x, axis=axes, keepdims=keepdim)


def _argmax(x, axis, keepdim):
    return np.argmax(x, axis=axis, keepdims=keepdim)


def _argmin(x, axis, keepdim):
    return np.argmin(x, axis=axis, keepdims=keepdim)


def _cumsum(x, axis):
    return np.cumsum(x, axis=axis, dtype=x.dtype)


def _cumprod(x, axis):
    return np.cumprod(x, axis=axis, dtype=x.dtype)


def _cummax(x, axis):
    return np.maximum.accumulate(x, axis=axis)


def _cummin(x, axis):
    return np.minimum.accumulate(x, axis=axis)


define(p.reduce_sum, __name__, _sum)
define(p.reduce_prod, __name__, _prod)
define(p.reduce_max, __name__, _max)
define(p.reduce_min, __name__, _min)
define(p.argmax, __name__, _argmax)
define(p.argmin, __name__, _argmin)
define(p.cumsum, __name__, _cumsum)
define(p.cumprod, __name__, _cumprod)
define(p.cummax, __name__, _cummax)
define(p.cummin, __name__, _cummin)
