"""Lowerings of the reductions: names of accumulators, and running results.  Level 6."""

from __future__ import annotations

from collections.abc import Callable

from rushlight.loopnest.ir import Cast, call
from rushlight.lowering.alone import Maker, split_at
from rushlight.lowering.table import Alone, define
from rushlight.lowering.windows import window_argmax, window_sum
from rushlight.primitives import reduction as p
from rushlight.tape.program import Value


def _running(operation: str) -> Callable[[Maker, Value], None]:
    """Each element along the axis from the one before it, in order."""

    def rule(maker: Maker, value: Value) -> None:
        x = maker.operand(value, 0)
        outer, size, inner = split_at(x.shape, value.params[0]) if x.shape else (1, 1, 1)
        total = maker.temporary(value)
        if total.dtype is value.dtype:
            total = value
        dtype = total.dtype.name
        width = inner

        def element(index):
            loaded = maker.load(x, index)
            return loaded if loaded.dtype == dtype else Cast(loaded, dtype)

        def first(shared, ordered, c):
            place = shared[0] * maker.size(size) * maker.size(width) + c
            return [maker.store(total, place, element(place))]

        def rest(shared, ordered, c):
            before = (shared[0] * maker.size(size) + ordered[0]) * maker.size(width) + c
            place = before + maker.size(width)
            combined = call(operation, maker.load(total, before), element(place))
            return [maker.store(total, place, combined)]

        maker.loops((outer,), (), inner, first)
        if size > 1:
            maker.loops((outer,), (size - 1,), inner, rest)
        if total is not value:
            maker.copy(total, value)

    return rule


define(p.reduce_sum, __name__, "sum")
define(p.reduce_prod, __name__, "prod")
define(p.reduce_max, __name__, "max")
define(p.reduce_min, __name__, "min")
define(p.argmax, __name__, "argmax")
define(p.argmin, __name__, "argmin")
define(p.cumsum, __name__, Alone(_running("add")))
define(p.cumprod, __name__, Alone(_running("mul")))
define(p.cummax, __name__, Alone(_running("maximum")))
define(p.cummin, __name__, Alone(_running("minimum")))
define(p.window_sum, __name__, Alone(window_sum))
define(p.window_argmax, __name__, Alone(window_argmax))
