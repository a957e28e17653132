"""How the axes of a value lie in memory: what is known of strides without the sizes.

The machine code keeps every value row-major.  What a program sees as strides is a fact about the
value beside shape and dtype: its order, inferred once for each operation that is recorded anew, by
the rules that PyTorch's results follow.  None stands for row-major order.  Level 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from rushlight.base.shapes import Shape, contiguous_strides, is_contiguous, numel, view_strides

_MOST_KNOWN = 1 << 14


class Order(NamedTuple):
    """axes: from the one whose neighbors are farthest apart in memory to the nearest.

    dense: whether the elements fill their memory without gaps and overlaps.
    still: axes along which memory does not move on (expanded ones).
    """

    axes: tuple[int, ...]
    dense: bool
    still: tuple[int, ...]


def _farther(shape: Shape, strides: Sequence[Shape], x: int, y: int) -> int:
    """1 if axis x, taken to be nearer than y, is farther; -1 if it is nearer; 0 if none can tell.

    The first operand that moves along both axes decides.
    """
    for steps in strides:
        if steps[x] and steps[y]:
            if steps[x] != steps[y]:
                return -1 if steps[x] < steps[y] else 1
            if shape[x] > shape[y]:
                return 1
    return 0


def _sorted_axes(shape: Shape, strides: Sequence[Shape]) -> tuple[int, ...]:
    """The axes, farthest first; row-major where the operands' strides leave it open."""
    nearest = list(range(len(shape) - 1, -1, -1))
    for place in range(1, len(nearest)):
        moving = place
        for other in range(place - 1, -1, -1):
            found = _farther(shape, strides, nearest[other], nearest[moving])
            if found > 0:
                nearest[other], nearest[moving] = nearest[moving], nearest[other]
                moving = other
            elif found < 0:
                break
    return tuple(reversed(nearest))


def _packed(shape: Shape, axes: Iterable[int]) -> Shape:
    """Strides of a value without gaps whose axes lie in this order."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(tuple(axes)):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def dense_order(axes: Sequence[int]) -> Order | None:
    """The order of a value without gaps."""
    axes = tuple(axes)
    return None if axes == tuple(range(len(axes))) else Order(axes, True, ())


@lru_cache(_MOST_KNOWN)
def order_of(shape: Shape, strides: Shape) -> Order | None:
    """The order that a value of these strides has."""
    if strides == contiguous_strides(shape) or numel(shape) == 0:
        return None
    axes = _sorted_axes(shape, (strides,))
    still = tuple([a for a, (n, s) in enumerate(zip(shape, strides)) if s == 0 and n > 1])
    packed = _packed(shape, axes)
    dense = all(s == p or n == 1 for n, s, p in zip(shape, strides, packed))
    if dense:
        return dense_order(axes)
    return Order(axes, False, still)


@lru_cache(_MOST_KNOWN)
def strides_in(shape: Shape, order: Order | None) -> Shape:
    """Strides of a value of this order that has memory of its own, without gaps."""
    return contiguous_strides(shape) if order is None else _packed(shape, order.axes)


def steps_in(shape: Shape, order: Order | None) -> Shape:
    """The same, with zeros for the axes along which memory does not move on."""
    steps = strides_in(shape, order)
    if order is not None and order.still:
        return tuple([0 if a in order.still else s for a, s in enumerate(steps)])
    return steps


def _like(shape: Shape, strides: Shape, order: Order | None) -> Order | None:
    """The order of a window that has these strides of those that stand for `order`."""
    found = order_of(shape, strides)
    if order is None or order.dense or numel(shape) == 0:
        return found
    if found is None:
        return Order(tuple(range(len(shape))), False, ())
    return Order(found.axes, False, found.still)


# ---- rules of results: functions of the operands, the parameters and the result's shape ----------


def followed(shape: Shape, operands: Sequence[tuple[Shape, Order | None]]) -> Order | None:
    """The order of an elementwise result: that of its operands, the first ones first."""
    if all([order is None for _, order in operands]):
        return None
    steps = [steps_in(*operand) for operand in operands]
    if all([own == shape for own, _ in operands]):
        if all([is_contiguous(shape, s) and _has_no_gaps(o) for s, (_, o) in zip(steps, operands)]):
            return None
        first = operands[0][1]
        if all([order == first for _, order in operands]) and _has_no_gaps(first):
            return first
    return dense_order(
        _sorted_axes(shape, [_spread(shape, own, s) for (own, _), s in zip(operands, steps)])
    )


def _has_no_gaps(order: Order | None) -> bool:
    return order is None or order.dense


def _spread(shape: Shape, own: Shape, steps: Shape) -> Shape:
    """Strides of an operand along the axes of what it broadcasts to."""
    moved = [0 if n == 1 and wide != 1 else s
             for n, s, wide in zip(own, steps, shape[len(shape) - len(own) :])]  # fmt: skip
    return (*([0] * (len(shape) - len(own))), *moved)


def as_operands(inputs, params, shape) -> Order | None:
    """The rule of elementwise operations."""
    for node in inputs:
        if node.step.order is not None:
            return followed(shape, [(n.shape, n.step.order) for n in inputs])
    return None


def as_it_lies(shape: Shape, order: Order | None) -> Order | None:
    """The order of a copy that keeps a value's order, but no gaps."""
    if order is None or order.dense:
        return order
    return followed(shape, [(shape, order)])


@lru_cache(_MOST_KNOWN)
def axes_of_copy(shape: Shape, strides: Shape) -> tuple[int, ...] | None:
    """The axes, farthest first, of what lies as a value of these strides does, but for gaps; None:
    row-major."""
    order = as_it_lies(shape, order_of(shape, strides))
    return None if order is None else order.axes


def as_first(inputs, params, shape) -> Order | None:
    """The rule of operations whose result lies as their first operand does, without gaps."""
    return as_it_lies(inputs[0].shape, inputs[0].step.order)


def permuted(inputs, params, shape) -> Order | None:
    """The rule of exchanged axes."""
    (axes,) = params
    (x,) = inputs
    steps = steps_in(x.shape, x.step.order)
    return _like(shape, tuple([steps[a] for a in axes]), x.step.order)


def reshaped(inputs, params, shape) -> Order | None:
    """The rule of another shape: the same memory where it can show it, else row-major."""
    (x,) = inputs
    order = x.step.order
    if order is None:
        return None
    strides = view_strides(x.shape, steps_in(x.shape, order), shape)
    return None if strides is None else _like(shape, strides, order)


def expanded(inputs, params, shape) -> Order | None:
    """The rule of repeated axes."""
    (x,) = inputs
    steps = _spread(shape, x.shape, steps_in(x.shape, x.step.order))
    return _like(shape, steps, x.step.order)


def read_through(inputs, params, shape) -> Order | None:
    """The rule of a window, whose strides are those among row-major elements."""
    x = inputs[0]
    size, strides = params
    order = x.step.order
    if min(strides, default=0) < 0:  # elements in the opposite order, which no view has
        strides = tuple([abs(s) for s in strides])
    if order is None:
        return order_of(size, strides)
    steps = steps_in(x.shape, order)
    plain = contiguous_strides(x.shape)
    return _like(size, tuple([_translated(s, x.shape, plain, steps) for s in strides]), order)


def _translated(stride: int, shape: Shape, plain: Shape, steps: Shape) -> int:
    """How far memory moves on where the row-major position moves on by `stride`."""
    found = 0
    for size, step, own in zip(shape, plain, steps):
        if size > 1:
            found += (stride // step) * own
            stride %= step
    return found


def transformed_axes(shape: Shape, steps: Shape, axes: Sequence[int], last: int | None = None):
    """The axes of a Fourier transform's result: those left alone, then those transformed, each
    from the farthest to the nearest; `last` stays last."""
    alone = [a for a in range(len(shape)) if a not in axes]
    moved = [a for a in axes if a != last]
    found = sorted(alone, key=lambda a: -steps[a]) + sorted(moved, key=lambda a: -steps[a])
    return found if last is None else [*found, last]


def transformed(inputs, params, shape) -> Order | None:
    """The rule of Fourier transforms."""
    x, axes = inputs[0], params[0]
    return dense_order(transformed_axes(shape, steps_in(shape, x.step.order), axes))


# ---- channels last -----------------------------------------------------------------------------


def channels_last_axes(rank: int) -> tuple[int, ...]:
    """The axes with the channels, which are axis 1, nearest."""
    return (0, *range(2, rank), 1)


def shows_channels_last(shape: Shape, order: Order | None) -> bool:
    """Whether an operation takes a value of 4 or 5 axes to be in the channels last format.

    Where axes of one element leave it open, their strides decide.
    """
    if order is None or len(shape) not in (4, 5):
        return False
    steps = steps_in(shape, order)
    if steps[1] == 0:
        return False
    least = 0
    for axis in reversed(channels_last_axes(len(shape))):
        if shape[axis] == 0 or steps[axis] < least:
            return False
        if axis == 0 and least == steps[1]:
            return False
        least = steps[axis]
        if shape[axis] > 1:
            least *= shape[axis]
    return True


def channels_last_if_any(inputs, params, shape) -> Order | None:
    """The rule of operations on pictures that go by the operand's memory format."""
    for node in inputs:
        if node.step.order is not None and shows_channels_last(node.shape, node.step.order):
            return dense_order(channels_last_axes(len(shape)))
    return None


def channels_last_if_all(inputs, params, shape) -> Order | None:
    """The rule of operands put together: channels last if each of them is."""
    for node in inputs:
        if node.step.order is None or not shows_channels_last(node.shape, node.step.order):
            return None
    return dense_order(channels_last_axes(len(shape)))
