"""Kernels over windows of each channel: sums, largest elements, convolutions of single channels.

Neighboring outputs of one row stand in the lanes of a vector, and the elements of the window are
walked in order.  Where x is spread by zeros, each phase of the outputs has a nest of its own, which
meets no zeros.  Level 6.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rushlight.base.shapes import contiguous_strides, numel
from rushlight.base.symbolic import is_likely_less, surely_less
from rushlight.loopnest.ir import (
    DTYPES,
    Accumulator,
    Cast,
    Const,
    Expr,
    Load,
    Reduce,
    Stmt,
    Var,
    call,
)
from rushlight.lowering.alone import Maker
from rushlight.lowering.scalars import HALF
from rushlight.tape.program import Value

_RANK = 3
# Indices below 1 << HALF_WORD are divided by a product with a rounded reciprocal.
HALF_WORD = 16
# Rows of outputs up to here are joined: where neighbors are gathered anyway, and where they are
# beside each other in memory.
_GATHERED_ROW, _CONTIGUOUS_ROW = 8, 4
# Elements of a window up to which its sum has no loops: what rows have in common is done once.
_WRITTEN_OUT = 9
# From so many planes on threads share planes, and walk the rows of one in order.
_MANY_PLANES = 64


@dataclass(frozen=True)
class WindowAxis:
    """One spatial axis of a window; `spread` and `spacing` are the dilations of x and the window.

    x_step, w_step: distances in memory between neighbors of x and of the window's weights.
    """

    size: int
    kernel: int
    output: int
    stride: int
    low: int
    spread: int = 1
    spacing: int = 1
    x_step: int = 0
    w_step: int = 0

    @property
    def period(self) -> int:
        """Outputs that are a multiple of it apart meet the same elements of the window."""
        return self.spread // math.gcd(self.stride, self.spread)

    def taps(self, phase: int) -> list[tuple[int, int]]:
        """(element of the window, its distance in x) that the outputs of a phase meet."""
        found = []
        for k in range(self.kernel):
            reached = phase * self.stride + k * self.spacing - self.low
            if reached % self.spread == 0:
                found.append((k, reached // self.spread))
        return found


NO_AXIS = WindowAxis(1, 1, 1, 1, 0)


def three_axes(axes: Sequence[WindowAxis]) -> list[WindowAxis]:
    """The axes without those of one element, filled up to three."""
    kept = [a for a in axes if (a.size, a.kernel, a.output, a.low) != (1, 1, 1, 0)]
    return [NO_AXIS] * (_RANK - len(kept)) + kept


def phases(axes: Sequence[WindowAxis]):
    """(phase, number of outputs) along each axis, for all phases that have outputs."""
    for phase in itertools.product(*(range(a.period) for a in axes)):
        sizes = tuple(-(-(a.output - f) // a.period) for a, f in zip(axes, phase))
        if min(sizes) > 0:
            yield phase, sizes


def output_place(
    maker: Maker, axes: Sequence[WindowAxis], phase, lead: Expr, at: Sequence[Expr]
) -> Expr:
    """Where the output `at` of a phase lies; `lead` counts the axes before the spatial ones."""
    sizes = tuple(a.output for a in axes)
    steps = contiguous_strides(sizes)
    start = sum(f * s for f, s in zip(phase, steps))
    place = lead * maker.size(numel(sizes)) + maker.size(start)
    for index, step, axis in zip(at, steps, axes):
        place = place + index * maker.size(step * axis.period)
    return place


class _Window:
    """The window of one output: where its elements lie, and which of them exist."""

    def __init__(self, maker: Maker, axes: Sequence[WindowAxis], phase, sizes, at) -> None:
        self.maker, self.axes = maker, axes
        taps = [a.taps(f) for a, f in zip(axes, phase)]
        self.counts = [len(t) for t in taps]
        self.firsts = [t[0] for t in taps]
        self.steps = [
            (t[1][0] - t[0][0], t[1][1] - t[0][1]) if len(t) > 1 else (0, 0) for t in taps
        ]
        self.sizes, self.at = sizes, at
        self._numbers: dict[tuple[str, int], Expr] = {}

    def number(self, role: str, axis: int, value: int) -> Expr:
        """A size, step or start: the same parameter for all elements of the window."""
        found = self._numbers.get((role, axis))
        if found is None:
            found = self._numbers[role, axis] = self.maker.size(value)
        return found

    def element(self, x: Value, lead: Expr, taps: Sequence[Expr]) -> tuple[Expr, Expr | None]:
        """(the element at `taps` of the window, whether it is one of x if that is not sure)."""
        index = lead * self.number("plane", 0, numel(tuple(a.size for a in self.axes)))
        inside: Expr | None = None
        for n, axis in enumerate(self.axes):
            place = self.along(n, taps[n])
            index = index + place * self.number("x step", n, axis.x_step)
            # Axis by axis: what one axis allows is the same for several elements.
            allowed = self._bounds(n, place)
            for more in allowed[1:]:
                allowed[0] = call("and", allowed[0], more)
            for known in allowed[:1]:
                inside = known if inside is None else call("and", inside, known)
        loaded = self.maker.load(x, index)
        if inside is not None and isinstance(loaded, Load):
            loaded = replace(loaded, mask=inside)
        return loaded, inside

    def along(self, n: int, tap: Expr) -> Expr:
        """The index in x along an axis."""
        axis = self.axes[n]
        factor = axis.period * axis.stride // axis.spread
        # A step of two has code of its own.
        place = self.at[n] * (
            Const(2, "int64") if factor == 2 else self.number("factor", n, factor)
        )
        if self.counts[n] > 1:
            place = place + tap * self.number("tap", n, self.steps[n][1])
        return place + self.number("first", n, self.firsts[n][1])

    def _bounds(self, n: int, place: Expr) -> list[Expr]:
        axis = self.axes[n]
        factor = axis.period * axis.stride // axis.spread
        first = self.firsts[n][1]
        last = first + (self.counts[n] - 1) * self.steps[n][1] + (self.sizes[n] - 1) * factor
        found: list[Expr] = []
        if first < 0:
            found.append(call("ge", place, Const(0, "int64")))
        # Where sizes vary and some windows may reach beyond, all of them are asked.
        if not surely_less(last, axis.size):
            found.append(call("lt", place, self.number("size", n, axis.size)))
        return found

    def weight(self, w: Value, row: Expr, taps: Sequence[Expr]) -> Expr:
        """The weight of an element of the window."""
        index = row * self.number("weights", 0, numel(tuple(a.kernel for a in self.axes)))
        for n, axis in enumerate(self.axes):
            start = self.firsts[n][0] * axis.w_step
            step = self.number("weight", n, self.steps[n][0] * axis.w_step)
            index = index + self.number("weight start", n, start) + taps[n] * step
        return self.maker.load(w, index)


def summed_windows(
    maker: Maker,
    x: Value,
    target: Value,
    axes: Sequence[WindowAxis],
    weights: Value | None = None,
) -> None:
    """Adds the nests that sum the windows of each channel into `target`, of arithmetic dtype.

    weights: (outputs, 1, *kernel), as many outputs for each channel of x as there are.
    """
    batch, channels, outputs = x.shape[0], x.shape[1], target.shape[1]
    dtype = target.dtype.name
    for phase, sizes in phases(axes):
        empty = any(not a.taps(f) for a, f in zip(axes, phase))

        def body(leading, at, place_of, phase=phase, sizes=sizes, empty=empty):
            image, output = leading
            place = place_of(image * maker.size(outputs) + output)
            if empty:
                return [maker.store(target, place, Const(0, dtype))]
            window = _Window(maker, axes, phase, sizes, at)
            channel = output
            if channels != outputs:
                channel = call("floordiv", output, maker.size(outputs // channels))
            lead = image * maker.size(channels) + channel

            def term(taps):
                loaded = _as(window.element(x, lead, taps)[0], dtype)
                if weights is None:
                    return loaded
                return call("mul", loaded, _as(window.weight(weights, output, taps), dtype))

            statements, total = _nested_sum(maker, window, term)
            return [*statements, maker.store(target, place, total)]

        _each_output(maker, axes, phase, sizes, (batch, outputs), body)


def _each_output(
    maker: Maker, axes: Sequence[WindowAxis], phase, sizes, leading: Sequence[int], body
) -> None:
    """Adds the nest over all outputs of a phase.

    body: function of the leading indices, of the output's index along each axis, and of a function
    from the row-major leading index to the output's place.  Short rows are joined to one another.
    """
    if _is_narrow(axes, sizes):

        def joined(shared, ordered, c):
            *lead, z = shared
            whole = maker.size(sizes[1] * sizes[2])

            def place_of(row):
                return (row * maker.size(sizes[0]) + z) * whole + c

            return body(lead, [z, *split_flat(maker, c, sizes[1:])], place_of)

        maker.loops((*leading, sizes[0]), (), sizes[1] * sizes[2], joined)
        return

    def rows(shared, ordered, c):
        outer = shared + ordered
        lead, at = outer[:-2], [*outer[-2:], c]
        return body(lead, at, lambda row: output_place(maker, axes, phase, row, at))

    planes = (*leading, sizes[0])
    if is_likely_less(numel(planes), _MANY_PLANES):
        maker.loops((*planes, sizes[1]), (), sizes[2], rows)
    else:
        maker.loops(planes, (sizes[1],), sizes[2], rows)


def _is_narrow(axes: Sequence[WindowAxis], sizes) -> bool:
    """Whether rows fill so few lanes that gathering over several of them costs less."""
    if any(a.period != 1 for a in axes) or sizes[1] == 1:
        return False
    if sizes[1] * sizes[2] >= 1 << HALF_WORD:
        return False
    gathered = axes[2].stride // axes[2].spread != 1
    return not is_likely_less(_GATHERED_ROW if gathered else _CONTIGUOUS_ROW, sizes[2])


def _as(element: Expr, dtype: str) -> Expr:
    return element if element.dtype == dtype else Cast(element, dtype)


def _nested_sum(
    maker: Maker, window: _Window, term: Callable[[Sequence[Expr]], Expr]
) -> tuple[list[Stmt], Expr]:
    """(statements that add the terms of a window row by row, the sum)."""
    zero: Expr = Const(0, "int64")
    walked = [n for n in range(_RANK) if window.counts[n] > 1]
    if numel(tuple(window.counts)) <= _WRITTEN_OUT:
        return [], _written_out(window, term)
    taps = [Var(f"t{n}") if n in walked else zero for n in range(_RANK)]
    current = term(taps)
    statements: list[Stmt] = []
    for n in reversed(walked):
        total = Accumulator((f"sum{n}",), "sum", current)
        extent = maker.size(window.counts[n])
        statements = [Reduce(f"t{n}", extent, 1, tuple(statements), (total,))]
        current = Var(f"sum{n}", current.dtype)
    return statements, current


def _written_out(window: _Window, term: Callable[[Sequence[Expr]], Expr]) -> Expr:
    """The sum of a small window, term after term in the order of `_nested_sum`."""

    def total(taps: tuple[Expr, ...]) -> Expr:
        n = len(taps)
        if n == _RANK:
            return term(taps)
        found = total((*taps, Const(0, "int64")))
        for tap in range(1, window.counts[n]):
            found = call("add", found, total((*taps, Const(tap, "int64"))))
        return found

    return total(())


# ---- operations ----------------------------------------------------------------------------------


def window_sum(maker: Maker, value: Value) -> None:
    """The nests of the primitive window_sum."""
    kernel, stride, padding, spread, spacing = value.params
    x = maker.operand(value, 0)
    steps = contiguous_strides(x.shape)[2:]
    axes = [
        WindowAxis(n, k, o, s, low, d, kd, step)
        for n, k, o, s, (low, _), d, kd, step in zip(
            x.shape[2:], kernel, value.shape[2:], stride, padding, spread, spacing, steps
        )
    ]
    rounded_once(maker, value, lambda total: summed_windows(maker, x, total, three_axes(axes)))


def is_single(value: Value, x: Value, w: Value) -> bool:
    """Whether a convolution gives every channel windows of its own, and few outputs."""
    groups = value.params[4]
    small = numel(w.shape[2:]) <= numel(tuple(value.shape[2:]))
    return w.shape[1] == 1 and groups > 1 and w.shape[0] <= 2 * groups and small


def single_convolution(maker: Maker, value: Value) -> None:
    """The nests of a convolution of single channels."""
    x, w = maker.operand(value, 0), maker.operand(value, 1)
    axes = convolution_axes(value, x, w)
    rounded_once(maker, value, lambda total: summed_windows(maker, x, total, axes, w))


def convolution_axes(value: Value, x: Value, w: Value) -> list[WindowAxis]:
    """The three spatial axes of a convolution, seen as windows."""
    stride, padding, spread, spacing, _ = value.params
    steps = zip(contiguous_strides(x.shape)[2:], contiguous_strides(w.shape)[2:])
    return three_axes([
        WindowAxis(n, k, o, s, low, d, kd, *both)
        for n, k, o, s, (low, _), d, kd, both in zip(
            x.shape[2:], w.shape[2:], value.shape[2:], stride, padding, spread, spacing, steps
        )
    ])  # fmt: skip


def rounded_once(maker: Maker, value: Value, make: Callable[[Value], None]) -> None:
    """Makes the nests for memory in the dtype of arithmetic, and the one that rounds."""
    total = maker.temporary(value)
    if total.dtype is value.dtype:
        make(value)
        return
    make(total)
    maker.copy(total, value)


def window_argmax(maker: Maker, value: Value) -> None:
    """The nest of the primitive window_argmax: taps in order, the first largest wins.

    An element outside of x counts as the lowest.  It wins only where all are as low, and then it
    is the first of the window: the first one inside of x stands at the border.
    """
    kernel, stride, low, spacing, size = value.params
    x = maker.operand(value, 0)
    steps = contiguous_strides(x.shape)[2:]
    axes = three_axes([
        WindowAxis(n, k, o, s, a, 1, kd, step)
        for n, k, o, s, a, kd, step in zip(
            x.shape[2:], kernel, size, stride, low, spacing, steps
        )
    ])  # fmt: skip
    sizes = tuple(a.output for a in axes)

    def body(leading, at, place_of):
        (lead,) = leading
        window = _Window(maker, axes, (0,) * _RANK, sizes, at)
        taps = split_flat(maker, Var("t"), window.counts)
        loaded, inside = window.element(x, lead, taps)
        element = _as(loaded, "float32" if loaded.dtype in HALF else loaded.dtype)
        if inside is not None:
            element = call("where", inside, element, _lowest(element.dtype))
        best = Accumulator(("best", "first"), "argmax", element)
        reduce = Reduce("t", maker.size(numel(tuple(window.counts))), 1, (), (best,))
        chosen = split_flat(maker, Var("first"), window.counts)
        found: Expr = Const(0, "int64")
        for n, axis in enumerate(axes):
            place = _after_border(maker, window.along(n, chosen[n]), axis)
            found = found + place * maker.size(axis.x_step)
        return [reduce, maker.store(value, place_of(lead), found)]

    _each_output(maker, axes, (0,) * _RANK, sizes, (x.shape[0] * x.shape[1],), body)


def split_flat(maker: Maker, flat: Expr, counts: Sequence[int]) -> list[Expr]:
    """The index along each axis of a row-major index; divides by multiplying, as lanes cannot."""
    result: list[Expr] = [Const(0, "int64")] * len(counts)
    rest = flat
    for n in range(len(counts) - 1, 0, -1):
        if numel(tuple(counts[:n])) == 1:
            result[n] = rest
            return result
        if counts[n] == 1:
            continue
        if numel(tuple(counts)) < 1 << HALF_WORD:
            factor = maker.size((1 << 2 * HALF_WORD) // counts[n] + 1)
            quotient: Expr = call("shr", rest * factor, Const(2 * HALF_WORD, "int64"))
        else:
            quotient = call("floordiv", rest, maker.size(counts[n]))
        result[n] = rest - quotient * maker.size(counts[n])
        rest = quotient
    result[0] = rest
    return result


def _after_border(maker: Maker, place: Expr, axis: WindowAxis) -> Expr:
    """An index before x becomes the first one of its window that is inside."""
    zero = Const(0, "int64")
    if axis.low == 0:
        return place
    if axis.spacing == 1:
        return call("maximum", place, zero)
    inside = call("mod", place, maker.size(axis.spacing))
    inside = call("where", call("lt", place, zero), inside, place)
    # A window so far apart that it holds no element of x at all still needs an index.
    return call("minimum", inside, maker.size(axis.size - 1))


def _lowest(dtype: str) -> Const:
    if dtype in ("float32", "float64"):
        return Const(-math.inf, dtype)
    bits, kind = DTYPES[dtype]
    return Const(0 if kind == "u" else -(1 << (bits - 1)), dtype)
