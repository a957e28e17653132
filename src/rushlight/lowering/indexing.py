"""Lowerings of the indexing primitives.  Level 6.

Where an element can be written more than once, the indices are walked in order by one thread, so
that the result is the same at every number of threads.
"""

from __future__ import annotations

from rushlight.base.shapes import contiguous_strides, numel
from rushlight.loopnest.ir import Cast, Expr, call
from rushlight.lowering.alone import Axis, Maker, axes_of, broadcast_steps, split_at
from rushlight.lowering.position import ZERO
from rushlight.lowering.table import Alone, define
from rushlight.primitives import indexing as p
from rushlight.tape.program import Value

_COMBINE = {"add": "add", "multiply": "mul", "maximum": "maximum", "minimum": "minimum"}
_COMBINE_BOOL = {"add": "or", "multiply": "and", "maximum": "or", "minimum": "and"}


def _ravel_index(maker: Maker, value: Value) -> None:
    (sizes,) = value.params
    operands = [maker.operand(value, i) for i in range(len(sizes))]
    for operand, size in zip(operands, sizes):
        maker.checked(operand, size, from_end=True)
    steps = [broadcast_steps(value.shape, operand.shape) for operand in operands]

    def body(at):
        flat: Expr = ZERO
        for operand, size, place in zip(operands, sizes, at):
            chosen = maker.bounded(operand, place, size, from_end=True)[0]
            flat = flat * maker.size(size) + chosen
        return [maker.store(value, at[-1], flat)]

    maker.each(axes_of(value.shape, *steps), body)


def _take(maker: Maker, value: Value) -> None:
    x, index = maker.operand(value, 0), maker.operand(value, 1)
    outer, size, inner = split_at(x.shape, value.params[0])
    count = index.numel
    maker.checked(index, size)

    def one_by_one(shared, ordered, c):
        chosen = maker.bounded(index, c, size)[0]
        element = maker.load(x, shared[0] * maker.size(size) + chosen)
        return [maker.store(value, shared[0] * maker.size(count) + c, element)]

    if inner == 1:
        maker.loops((outer,), (), count, one_by_one)
        return
    chosen = {}

    def before(shared, ordered):
        let, chosen["row"] = maker.bind(maker.bounded(index, shared[1], size)[0])
        return [let]

    def rows(shared, ordered, c):
        width = maker.size(inner)
        element = maker.load(x, (shared[0] * maker.size(size) + chosen["row"]) * width + c)
        return [
            maker.store(value, (shared[0] * maker.size(count) + shared[1]) * width + c, element)
        ]

    maker.loops((outer, count), (), inner, rows, before)


def _gather(maker: Maker, value: Value) -> None:
    x, index = maker.operand(value, 0), maker.operand(value, 1)
    axis = value.params[0]
    size = x.shape[axis]
    maker.checked(index, size)
    steps = list(contiguous_strides(x.shape))
    along = steps[axis]
    steps[axis] = 0

    def body(at):
        chosen = maker.bounded(index, at[-1], size)[0]
        element = maker.load(x, at[0] + chosen * maker.size(along))
        return [maker.store(value, at[-1], element)]

    maker.each(axes_of(index.shape, steps), body)


def _put(maker: Maker, value: Value) -> None:
    x, index, source = (maker.operand(value, i) for i in range(3))
    axis, mode = value.params
    outer, size, inner = split_at(x.shape, axis)
    count = index.numel
    total = _begin(maker, value, x, index, size, mode)
    chosen = {}

    def before(shared, ordered):
        let, chosen["row"] = maker.bind(maker.bounded(index, ordered[0], size)[0])
        return [let]

    def body(shared, ordered, c):
        width = maker.size(inner)
        place = (shared[0] * maker.size(size) + chosen["row"]) * width + c
        element = maker.load(source, (shared[0] * maker.size(count) + ordered[0]) * width + c)
        return [maker.store(total, place, _combined(maker, total, place, element, mode))]

    maker.loops((outer,), (count,), inner, body, before)
    if total is not value:
        maker.copy(total, value)


def _scatter(maker: Maker, value: Value) -> None:
    x, index, source = (maker.operand(value, i) for i in range(3))
    axis, mode = value.params
    size = x.shape[axis]
    total = _begin(maker, value, x, index, size, mode)
    x_steps, i_steps = contiguous_strides(x.shape), contiguous_strides(index.shape)
    axes = [
        Axis(n, (s, t))
        for a, (n, s, t) in enumerate(zip(index.shape, x_steps, i_steps))
        if a != axis and n != 1
    ]
    # Lanes that lie far apart gain nothing: along the last axis rows are walked one by one.
    last = numel(x.shape[axis + 1 :]) == 1
    inner = axes.pop() if axes and not last else Axis(1, (0, 0))
    walked = Axis(index.shape[axis], (0, i_steps[axis]))
    along = x_steps[axis]
    everywhere = [*axes, walked, inner]

    def body(shared, ordered, c):
        at = [maker.place(everywhere, [*shared, *ordered, c], walker) for walker in range(2)]
        chosen = maker.bounded(index, at[1], size)[0]
        place = at[0] + chosen * maker.size(along)
        element = maker.load(source, at[1])
        return [maker.store(total, place, _combined(maker, total, place, element, mode))]

    maker.loops([a.size for a in axes], (walked.size,), inner.size, body)
    if total is not value:
        maker.copy(total, value)


def _begin(maker: Maker, value: Value, x: Value, index: Value, size: int, mode: str) -> Value:
    """Checks the index; the memory to combine in, filled with x."""
    maker.checked(index, size)
    total = value
    if mode != "set":
        total = maker.temporary(value)
        if total.dtype is value.dtype:
            total = value
    maker.copy(x, total)
    return total


def _combined(maker: Maker, total: Value, place: Expr, element: Expr, mode: str) -> Expr:
    dtype = total.dtype.name
    if mode == "set":
        return element
    wide = element if element.dtype == dtype else Cast(element, dtype)
    names = _COMBINE_BOOL if dtype == "bool" else _COMBINE
    return call(names[mode], maker.load(total, place), wide)


def _unlike_slices(value: Value, operands: list[Value]) -> bool:
    x, index, source = operands
    axis = value.params[0]
    return source.shape != (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _unlike_index(value: Value, operands: list[Value]) -> bool:
    return operands[2].shape != operands[1].shape


define(p.ravel_index, __name__, Alone(_ravel_index))
define(p.take, __name__, Alone(_take))
define(p.gather, __name__, Alone(_gather))
define(p.put, __name__, Alone(_put, _unlike_slices))
define(p.scatter, __name__, Alone(_scatter, _unlike_index))
