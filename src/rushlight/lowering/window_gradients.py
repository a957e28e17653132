"""Convolutions of single channels whose kernel is larger than their result: gradients of weights.

Each channel gives a few sums over whole planes.  They are made together in one pass over both
planes: neighbors along a row stand in the lanes of a vector, each lane adds up its own column in
order, and a second nest adds the columns.  Rows shorter than a vector are joined to one another: a
lane adds up one position of all planes, and what is inside of x is known beforehand.  Level 6.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from rushlight.base.shapes import numel
from rushlight.base.symbolic import is_likely_less
from rushlight.loopnest.ir import (
    Accumulator,
    Cast,
    Const,
    Expr,
    Load,
    Reduce,
    Stmt,
    Var,
    call,
    reduce_lanes,
)
from rushlight.lowering.alone import Maker
from rushlight.lowering.windows import (
    HALF_WORD,
    WindowAxis,
    convolution_axes,
    rounded_once,
    split_flat,
)
from rushlight.tape.program import Value

# Sums that one pass makes: with two operands they fill the registers of most machines.
_TOGETHER = 9
_RANK = 3
# Elements of a row from which on it is not joined to the next: the lanes of the widest vectors.
_WHOLE_ROW = 16
# Planes from which on the sums of their positions are worth keeping apart.
_MANY_PLANES = 4


def is_single_gradient(value: Value, x: Value, w: Value) -> bool:
    """Whether a convolution gives each group few sums over whole planes."""
    _, _, spread, _, groups = value.params
    if groups == 1 or w.shape[0] != groups or any(d != 1 for d in spread):
        return False
    outputs = tuple(value.shape[2:])
    return numel(tuple(w.shape[2:])) > numel(outputs) and max(outputs) <= _TOGETHER


def single_gradient(maker: Maker, value: Value) -> None:
    """The nests of such a convolution."""
    x, w = maker.operand(value, 0), maker.operand(value, 1)
    axes = convolution_axes(value, x, w)
    rounded_once(maker, value, lambda total: _Planes(maker, x, w, total, axes).run())


class _Planes:
    """Sums over the planes of each image and group."""

    def __init__(
        self, maker: Maker, x: Value, w: Value, target: Value, axes: Sequence[WindowAxis]
    ) -> None:
        self.maker, self.x, self.w, self.target, self.axes = maker, x, w, target, axes
        self.groups, self.channels = w.shape[0], w.shape[1]
        self.outputs = tuple(a.output for a in axes)
        # What one pass makes: all sums, or those of one row of the result.
        self.rank = _RANK if numel(self.outputs) <= _TOGETHER else 1
        self.joined = self._are_rows_joined()

    def _are_rows_joined(self) -> bool:
        """Whether short rows of both operands lie alike, one after the other."""
        _, y, x = self.axes
        if y.kernel == 1 or not is_likely_less(x.kernel, _WHOLE_ROW):
            return False
        if y.kernel * x.kernel >= 1 << HALF_WORD or is_likely_less(self.channels, _MANY_PLANES):
            return False
        return (y.spacing, x.spacing) == (1, 1) and x.size == x.kernel

    def run(self) -> None:
        """Adds both nests."""
        maker, width = self.maker, self.axes[-1].kernel
        if self.joined:
            width = self.axes[1].kernel * width
        count = numel((self.x.shape[0], self.groups, *self.outputs))
        columns = maker.program.new_value((count, width), self.target.dtype)
        outer = self.outputs[: _RANK - self.rank]
        inner = self.outputs[_RANK - self.rank :]
        places = list(itertools.product(*map(range, inner)))

        def sums(shared, ordered, c):
            image, group, *rows = shared
            statements, totals = self._added(image, group, rows, places, c)
            first = image * maker.size(self.groups) + group
            for row, size in zip(rows, outer):
                first = first * maker.size(size) + row
            first = first * maker.size(len(places))
            step = maker.size(width)
            return [
                *statements,
                *[
                    maker.store(columns, (first + Const(n, "int64")) * step + c, total)
                    for n, total in enumerate(totals)
                ],
            ]

        maker.loops((self.x.shape[0], self.groups, *outer), (), width, sums)

        def joined(shared, ordered, c):
            (row,) = shared
            load = maker.load(columns, row * maker.size(width) + Var("k"))
            total = Accumulator(("total",), "sum", load)
            lanes = reduce_lanes(load.dtype)
            return [
                Reduce("k", maker.extent(width), lanes, (), (total,)),
                maker.store(self.target, row, Var("total", load.dtype)),
            ]

        maker.loops((count,), (), 1, joined)

    def _added(
        self, image: Expr, group: Expr, rows: Sequence[Expr], places, c: Expr
    ) -> tuple[list[Stmt], list[Expr]]:
        """(statements that add up one column of both planes, the sum of each place)."""
        maker, dtype = self.maker, self.target.dtype.name
        taps: list[Expr] = [Var("z"), Var("y"), c]
        if self.joined:
            taps[1:] = split_flat(maker, c, [a.kernel for a in self.axes[1:]])
        channel = Var("i")
        plane = group * maker.size(self.channels) + channel
        at_w = plane * maker.size(numel(tuple(a.kernel for a in self.axes)))
        if self.joined:
            at_w = at_w + taps[0] * maker.size(self.axes[0].w_step) + c
        else:
            for axis, tap in zip(self.axes, taps):
                at_w = at_w + tap * maker.size(axis.w_step)
        weight = _as(maker.load(self.w, at_w), dtype)
        planes = maker.size(self.groups * self.channels)
        start = (image * planes + plane) * maker.size(numel(tuple(a.size for a in self.axes)))
        starts = [tap * self._factor(axis.spacing) for axis, tap in zip(self.axes, taps)]
        lows = [maker.size(-axis.low) for axis in self.axes]
        sizes = [maker.size(axis.size) for axis in self.axes]
        steps = [maker.size(axis.x_step) for axis in self.axes]
        strides = [maker.size(axis.stride) for axis in self.axes]
        terms: list[Expr] = []
        for place in places:
            index, inside = start + c if self.joined else start, None
            outputs = [*rows, *[Const(o, "int64") for o in place]]
            for n, axis in enumerate(self.axes):
                at = starts[n] + (outputs[n] * strides[n] + lows[n])
                # Where rows are joined, the position is both operands' own.
                moved = outputs[n] * strides[n] + lows[n] if self.joined and n > 0 else at
                index = index + moved * steps[n]
                allowed = self._bounds(axis, at, sizes[n])
                for more in allowed[1:]:
                    allowed[0] = call("and", allowed[0], more)
                for known in allowed[:1]:
                    inside = known if inside is None else call("and", inside, known)
            loaded = maker.load(self.x, index)
            if inside is not None and isinstance(loaded, Load):
                loaded = replace(loaded, mask=inside)
            terms.append(call("mul", _as(loaded, dtype), weight))
        statements: list[Stmt] = []
        walked = [("i", self.channels), ("z", self.axes[0].kernel), ("y", self.axes[1].kernel)]
        if self.joined:
            walked.pop()
        for name, size in reversed(walked):
            sums = [Accumulator((f"{name}{n}",), "sum", term) for n, term in enumerate(terms)]
            statements = [Reduce(name, maker.extent(size), 1, tuple(statements), tuple(sums))]
            terms = [Var(f"{name}{n}", dtype) for n in range(len(terms))]
        return statements, terms

    def _factor(self, spacing: int) -> Expr:
        # A step of two has code of its own.
        return Const(2, "int64") if spacing == 2 else self.maker.size(spacing)

    @staticmethod
    def _bounds(axis: WindowAxis, at: Expr, size: Expr) -> list[Expr]:
        found: list[Expr] = []
        if axis.low > 0:
            found.append(call("ge", at, Const(0, "int64")))
        last = (axis.output - 1) * axis.stride + (axis.kernel - 1) * axis.spacing - axis.low
        if last >= axis.size:
            found.append(call("lt", at, size))
        return found


def _as(element: Expr, dtype: str) -> Expr:
    return element if element.dtype == dtype else Cast(element, dtype)
