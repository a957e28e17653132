"""Lowerings of sorting and searching.  Level 6.

Short rows are ranked: each element counts those before it, in the lanes of a vector.  Longer rows
are sorted by digits (codegen/sorting.py), few of them in pieces that threads share.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.shapes import numel
from rushlight.base.symbolic import largest, smallest
from rushlight.loopnest.ir import Accumulator, Cast, Const, Expr, Reduce, Stmt, Var, call
from rushlight.lowering.alone import Maker, split_at
from rushlight.lowering.position import ZERO
from rushlight.lowering.scalars import HALF
from rushlight.lowering.table import Alone, define
from rushlight.primitives import ordering as p
from rushlight.tape.program import Value

# Rows up to this long are ranked: squares of it are walked by lanes.
_SHORT = 64
# Groups of rows sorted at one time, each with memory for one row.
_GROUPS = 16
# So few rows are cut into pieces of at least so many elements, of which a thread sorts several in
# the time that it takes to wake another; more pieces only lengthen the sums over their counts.
_PIECE = 1 << 14
_PIECES = 16
_LONGEST = 1 << 31


@dataclass(frozen=True)
class Sort:
    """One sort of rows; slots and sizes as codegen/sorting.py names them."""

    dtype: str
    descending: bool
    x: int
    order: int
    rows: int
    groups: int
    size: int
    inner: int
    pieces: int


def _argsort(maker: Maker, value: Value) -> None:
    axis, descending = value.params
    x = maker.operand(value, 0)
    outer, size, inner = split_at(x.shape, axis) if x.shape else (1, 1, 1)
    if size <= _SHORT:
        _rank(maker, value, x, (outer, size, inner), descending)
        return
    rows = outer * inner
    groups = smallest([rows, _GROUPS])
    pieces = 1
    if rows <= _GROUPS:
        pieces = smallest([_PIECES, largest([1, size // _PIECE])])
    items: list = maker.nests
    items.append(
        Sort(x.dtype.name, descending, x.slot, value.slot, rows, groups, size, inner, pieces)
    )


def _rank(maker: Maker, value: Value, x: Value, sizes, descending: bool) -> None:
    """Adds the nest that puts each position where so many elements come before it."""
    outer, size, inner = sizes

    def body(shared, ordered, c):
        base = shared[0] * maker.size(size * inner) + shared[1]
        here = _comparable(maker.load(x, base + c * maker.size(inner)))
        there = _comparable(maker.load(x, base + Var("j") * maker.size(inner)))
        first, second = (here, there) if descending else (there, here)
        earlier = call("lt", Var("j"), c)
        before = call("or", _less(first, second),
                      call("and", earlier, call("not", _less(second, first))))  # fmt: skip
        count = Accumulator(("rank",), "sum", Cast(before, "int64"))
        reduce = Reduce("j", maker.size(size), 1, (), (count,))
        place = base + Var("rank") * maker.size(inner)
        return [reduce, maker.store(value, place, c)]

    maker.loops((outer, inner), (), size, body)


def _comparable(element: Expr) -> Expr:
    return Cast(element, "float32") if element.dtype in HALF else element


def _less(x: Expr, y: Expr) -> Expr:
    """x before y; NaN is larger than everything."""
    less = call("lt", x, y)
    if x.dtype not in ("float32", "float64"):
        return less
    return call("or", less, call("and", call("isnan", y), call("not", call("isnan", x))))


def _too_long(value: Value, operands: list[Value]) -> bool:
    return max(operands[0].shape, default=1) >= _LONGEST


def _searchsorted(maker: Maker, value: Value) -> None:
    """Halving: the place grows by powers of two while what lies below belongs before."""
    boundaries, values = maker.operand(value, 0), maker.operand(value, 1)
    (right,) = value.params
    size, count = boundaries.shape[-1], value.shape[-1] if value.shape else 1
    shared = len(boundaries.shape) == 1
    rows = 1 if shared else numel(tuple(value.shape[:-1]))
    width = value.numel if shared else count

    def body(outer, ordered, c):
        at = outer[0] * maker.size(width) + c
        start = outer[0] * maker.size(size) if not shared else ZERO
        bound, wanted = maker.bind(_comparable(maker.load(values, at)))
        statements: list[Stmt] = [bound]
        place: Expr = ZERO
        step = 1
        while 2 * step <= size:
            step *= 2
        while step:
            reached = place + Const(step, "int64")
            inside = call("le", reached, maker.size(size))
            last = call("minimum", reached, maker.size(size)) - Const(1, "int64")
            element = _comparable(maker.load(boundaries, start + last))
            before = _less(element, wanted)
            if right:
                before = call("not", _less(wanted, element))
            moved = call("where", call("and", inside, before), reached, place)
            let, place = maker.bind(moved)
            statements.append(let)
            step //= 2
        return [*statements, maker.store(value, at, place)]

    maker.loops((rows,), (), width, body)


def _unlike_rows(value: Value, operands: list[Value]) -> bool:
    boundaries, values = operands
    if boundaries.dtype is not values.dtype:
        return True
    return len(boundaries.shape) > 1 and boundaries.shape[:-1] != values.shape[:-1]


define(p.argsort, __name__, Alone(_argsort, _too_long))
define(p.searchsorted, __name__, Alone(_searchsorted, _unlike_rows))
