"""What one run of a kernel does, counted: arithmetic operations, elements read and written, loops.

In: a kernel and the integers it is launched with.  Out: a `Cost`, for reports; nothing is decided
by it.  Loops are multiplied out: a loop counts its first iteration for all but the last, which may
be shorter.  That is exact for what lowering writes, where only a last piece has another extent.  A
loop whose extent is read from memory counts once, and `exact` says so.  Level 5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rushlight.loopnest.ir import (
    Cast,
    Const,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Op,
    Param,
    Reduce,
    Stmt,
    Store,
    Var,
    kind_of,
)
from rushlight.loopnest.visit import has_loop

_INTEGER: dict[str, Callable[[int, int], int]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "minimum": min,
    "maximum": max,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
}
_OPERATIONS = "operations"


@dataclass(frozen=True)
class Cost:
    """operations: floating-point operations, a function such as exp counting as one.

    read, written: buffer -> elements, each access counted.
    loops: the loops and their extents, outermost first, as `r 64 parallel (c 128 vector)`.
    """

    operations: int
    read: dict[str, int]
    written: dict[str, int]
    loops: str
    exact: bool


class _Unknown(Exception):
    """An extent that depends on what memory holds."""


def cost_of(kernel: Kernel, words: Mapping[str, int]) -> Cost:
    """The cost of a launch; words: the integer parameters by name."""
    counter = _Counter(dict(words))
    counts = counter.body(kernel.body, {})
    read = {name: count for (kind, name), count in counts.items() if kind == "read"}
    written = {name: count for (kind, name), count in counts.items() if kind == "written"}
    loops = counter.outline(kernel.body, {})
    return Cost(counts[(_OPERATIONS, "")], read, written, loops, counter.exact)


class _Counter:
    def __init__(self, words: dict[str, int]) -> None:
        self.words = words
        self.exact = True
        self.known: dict[int, Counter] = {}

    # ---- extents -------------------------------------------------------------------------------

    def integer(self, expr: Expr, bound: Mapping[str, int]) -> int:
        """The value of an index expression.  Raises: _Unknown."""
        if isinstance(expr, Const):
            return int(expr.value)
        if isinstance(expr, Param) and expr.name in self.words:
            return self.words[expr.name]
        if isinstance(expr, Var) and expr.name in bound:
            return bound[expr.name]
        if isinstance(expr, Op) and expr.name in _INTEGER and len(expr.args) == 2:
            x, y = (self.integer(arg, bound) for arg in expr.args)
            if y == 0 and expr.name in ("floordiv", "mod"):
                raise _Unknown
            return _INTEGER[expr.name](x, y)
        raise _Unknown

    def extent(self, stmt: Loop | Reduce, bound: Mapping[str, int]) -> int:
        try:
            return max(self.integer(stmt.extent, bound), 0)
        except _Unknown:
            self.exact = False
            return 1

    # ---- counts --------------------------------------------------------------------------------

    def body(self, body: Sequence[Stmt], bound: dict[str, int]) -> Counter:
        total: Counter = Counter()
        for stmt in body:
            if isinstance(stmt, Let):
                total.update(self.expression(stmt.value))
                self._bind(stmt, bound)
            elif isinstance(stmt, Store):
                total.update(self.expression(stmt.value))
                total[("written", stmt.buffer)] += 1
            else:
                total.update(self._repeated(stmt, bound))
        return total

    def _bind(self, stmt: Let, bound: dict[str, int]) -> None:
        try:
            bound[stmt.name] = self.integer(stmt.value, bound)
        except _Unknown:
            bound.pop(stmt.name, None)

    def _repeated(self, stmt: Loop | Reduce, bound: dict[str, int]) -> Counter:
        extent = self.extent(stmt, bound)
        if extent == 0:
            return Counter()
        first = self._iteration(stmt, {**bound, stmt.var: 0})
        if extent == 1 or not has_loop(stmt.body):
            return _times(first, extent)
        total = _times(first, extent - 1)
        total.update(self._iteration(stmt, {**bound, stmt.var: extent - 1}))
        return total

    def _iteration(self, stmt: Loop | Reduce, bound: dict[str, int]) -> Counter:
        total = self.body(stmt.body, bound)
        if isinstance(stmt, Reduce):
            for accumulator in stmt.accumulators:
                total.update(self.expression(accumulator.value))
                if kind_of(accumulator.value.dtype) in "fs":
                    total[(_OPERATIONS, "")] += 1
        return total

    def expression(self, expr: Expr) -> Counter:
        """The counts of evaluating an expression once."""
        found = self.known.get(id(expr))
        if found is None:
            found = self.known[id(expr)] = self._expression(expr)
        return found

    def _expression(self, expr: Expr) -> Counter:
        total: Counter = Counter()
        if isinstance(expr, Load):
            total[("read", expr.buffer)] += 1
            total.update(self.expression(expr.index))
        elif isinstance(expr, Cast):
            total.update(self.expression(expr.arg))
        elif isinstance(expr, Op):
            for arg in expr.args:
                total.update(self.expression(arg))
            if any(kind_of(arg.dtype) in "fs" for arg in expr.args):
                total[(_OPERATIONS, "")] += 1
        return total

    # ---- the loops in words --------------------------------------------------------------------

    def outline(self, body: Sequence[Stmt], bound: dict[str, int]) -> str:
        words = []
        for stmt in body:
            if isinstance(stmt, Let):
                self._bind(stmt, bound)
            elif isinstance(stmt, Loop | Reduce):
                kind = stmt.kind if isinstance(stmt, Loop) else "reduce"
                inner = self.outline(stmt.body, {**bound, stmt.var: 0})
                shown = f"{self.extent(stmt, bound)} {kind}"
                words.append(f"{shown} ({inner})" if inner else shown)
        return ", ".join(words)


def _times(counts: Counter, factor: int) -> Counter:
    return Counter({key: count * factor for key, count in counts.items()})
