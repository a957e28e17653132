"""Lowerings of the movement primitives: index maps, and kernels that move elements.  Level 6."""

from __future__ import annotations

from rushlight.base.shapes import contiguous_strides, numel
from rushlight.loopnest.ir import Cast, call
from rushlight.lowering.alone import Axis, Maker, axes_of, split_at
from rushlight.lowering.position import ZERO
from rushlight.lowering.table import STRUCTURAL, Alone, Opaque, define
from rushlight.primitives import movement as p
from rushlight.tape.program import Value


def _concatenate(maker: Maker, value: Value) -> None:
    outer, total, inner = split_at(value.shape, value.params[0])
    start = 0
    for position in range(len(value.inputs)):
        operand = maker.operand(value, position)
        width = operand.shape[value.params[0]] * inner
        _place_rows(maker, value, operand, (outer, total * inner), start, width)
        start += width


def _pack(maker: Maker, value: Value) -> None:
    start = 0
    for position in range(len(value.inputs)):
        operand = maker.operand(value, position)
        _place_rows(maker, value, operand, (1, value.numel), start, operand.numel)
        start += operand.numel


def _place_rows(maker: Maker, value: Value, operand: Value, rows, start: int, width: int) -> None:
    """Rows of `width` elements, from `start` on in the rows of the result."""
    count, whole = rows
    if width == 0:
        return

    def body(shared, ordered, c):
        place = shared[0] * maker.size(whole) + maker.size(start) + c
        element = maker.load(operand, shared[0] * maker.size(width) + c)
        return [maker.store(value, place, element)]

    maker.loops((count,), (), width, body)


def _strided_write(maker: Maker, value: Value) -> None:
    base, source, offset = (maker.operand(value, i) for i in range(3))
    size, strides = value.params
    maker.copy(base, value)
    steps = contiguous_strides(size) if source.numel != 1 else (0,) * len(size)
    axes = axes_of(size, strides, steps)

    def body(at):
        place = maker.load(offset, ZERO) + at[0]
        return [maker.store(value, place, maker.load(source, at[1]))]

    maker.each(axes, body)


def _unlike_window(value: Value, operands: list[Value]) -> bool:
    source = operands[1]
    return numel(value.params[0]) == 0 or source.numel not in (1, numel(value.params[0]))


def _strided_add(maker: Maker, value: Value) -> None:
    source, offset = (maker.operand(value, i) for i in range(2))
    size, strides, _ = value.params
    total = maker.temporary(value)
    if total.dtype is value.dtype:
        total = value
    maker.fill(total, 0)
    shared, ordered, inner = _plan_of_addition(axes_of(size, strides, contiguous_strides(size)))
    axes = [*shared, *ordered, inner]

    def body(outer, middle, c):
        at = [maker.place(axes, [*outer, *middle, c], walker) for walker in range(2)]
        place = maker.load(offset, ZERO) + at[0]
        addition = "or" if total.dtype.name == "bool" else "add"
        sum_ = call(addition, maker.load(total, place), _wide(maker.load(source, at[1]), total))
        return [maker.store(total, place, sum_)]

    maker.loops([a.size for a in shared], [a.size for a in ordered], inner.size, body)
    if total is not value:
        maker.copy(total, value)


def _wide(element, like: Value):
    return element if element.dtype == like.dtype.name else Cast(element, like.dtype.name)


def _plan_of_addition(axes: list[Axis]) -> tuple[list[Axis], list[Axis], Axis]:
    """(axes whose slices share no element, axes to walk in order, axis without repeated elements).

    Ascending by stride, an axis that strides over all that lies below it divides the window into
    slices without common elements.
    """
    ascending = sorted(axes, key=lambda a: abs(a.steps[0]))
    reach = 0
    shared: list[Axis] = []
    below: list[Axis] = []
    for axis in ascending:
        if abs(axis.steps[0]) > reach:
            shared.insert(0, axis)
        else:
            below += shared
            shared = []
            below.append(axis)
        reach += abs(axis.steps[0]) * (axis.size - 1)
    free = [axis for axis in below if axis.steps[0] != 0]
    if free and (not shared or abs(free[0].steps[0]) == 1):
        inner = free[0]
        below.remove(inner)
    elif shared:
        inner = shared.pop()
    else:
        inner = Axis(1, (0, 0))
    return shared, below[::-1], inner


def _empty_window(value: Value, operands: list[Value]) -> bool:
    return numel(value.params[0]) != operands[0].numel


for _primitive in (p.copy, p.reshape, p.permute, p.expand, p.strided_read):
    define(_primitive, __name__, STRUCTURAL)
define(p.to_device, __name__, Opaque("it copies between devices"))
define(p.concatenate, __name__, Alone(_concatenate))
define(p.pack, __name__, Alone(_pack))
define(p.strided_write, __name__, Alone(_strided_write, _unlike_window))
define(p.strided_add, __name__, Alone(_strided_add, _empty_window))
# Taken apart before the schedule where its parts are plain.
define(p.unpack, __name__, Opaque("its parts are complex or empty"))
