"""Batching rules of the reductions.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import define, with_axes_moved
from rushlight.primitives import reduction as p
from rushlight.primitives.movement import reshape


def _windows(primitive):
    """Windows lie in the spatial axes: the batch joins the images."""

    def rule(size, mapped, operands, *params):
        (x,) = operands
        _, count, *rest = x.shape
        found = primitive(reshape(x, (size * count, *rest)), *params)
        return reshape(found, (size, count, *tuple(found.shape)[1:]))

    return rule


for _primitive in (
    p.reduce_sum, p.reduce_prod, p.reduce_max, p.reduce_min, p.argmax, p.argmin,
    p.cumsum, p.cumprod, p.cummax, p.cummin,
):  # fmt: skip
    with_axes_moved(_primitive, __name__)
define(p.window_sum, __name__, _windows(p.window_sum))
define(p.window_argmax, __name__, _windows(p.window_argmax))
