"""NumPy rules of the reductions.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import reduction as p
from rushlight.reference.contraction import padded_by, spread_by, windows_of
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


def _window_sum(x, kernel, stride, padding, dilation, kernel_dilation):
    x = padded_by(spread_by(x, dilation), padding)
    sizes = tuple(
        max((n - (k - 1) * d - 1) // s + 1, 0)
        for n, k, s, d in zip(x.shape[2:], kernel, stride, kernel_dilation)
    )
    if 0 in sizes or 0 in x.shape:
        return np.zeros((*x.shape[:2], *sizes), x.dtype)
    seen = windows_of(x, sizes, kernel, stride, kernel_dilation)
    return np.sum(seen, axis=tuple(range(2 + len(kernel), 2 + 2 * len(kernel))), dtype=x.dtype)


def _window_argmax(x, kernel, stride, low, kernel_dilation, size):
    """NaN counts as larger than all; the mask tells padding from elements."""
    rank = len(kernel)
    if 0 in x.shape[:2]:
        return np.zeros((*x.shape[:2], *size), np.int64)
    pads = [
        (a, max((o - 1) * s + (k - 1) * d + 1 - n - a, 0))
        for n, k, s, a, d, o in zip(x.shape[2:], kernel, stride, low, kernel_dilation, size)
    ]

    def seen(array):
        windows = windows_of(padded_by(array, pads), size, kernel, stride, kernel_dilation)
        return windows.reshape(*windows.shape[: 2 + rank], -1)

    values = seen(x)
    inside = seen(np.ones((1, 1, *x.shape[2:]), bool))
    if x.dtype.kind == "f":
        lowest = -np.inf
        nan = np.isnan(values) & inside
        values = np.where(nan, 0, values)
    else:
        lowest, nan = np.iinfo(x.dtype).min, np.zeros(values.shape, bool)
    best = np.where(inside, values, lowest).max(-1, keepdims=True)
    chosen = inside & np.where(nan.any(-1, keepdims=True), nan, values == best)
    places = np.arange(np.prod(x.shape[2:])).reshape(1, 1, *x.shape[2:])
    first = np.argmax(chosen, -1)[..., None]
    places = np.broadcast_to(seen(places), chosen.shape)
    return np.take_along_axis(places, first, -1)[..., 0]


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
define(p.window_sum, __name__, _window_sum)
define(p.window_argmax, __name__, _window_argmax)
