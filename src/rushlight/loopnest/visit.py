"""Questions about the statements of a kernel that lowering and code generation both ask.

Level 5.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rushlight.loopnest.ir import (
    Cast,
    Expr,
    Let,
    Load,
    Loop,
    Op,
    Reduce,
    Stmt,
    Store,
    itemsize,
    kind_of,
)


def walk_expr(expr: Expr) -> Iterator[Expr]:
    """The expression and all below it."""
    yield expr
    if isinstance(expr, Op):
        for arg in expr.args:
            yield from walk_expr(arg)
    elif isinstance(expr, Cast):
        yield from walk_expr(expr.arg)
    elif isinstance(expr, Load):
        yield from walk_expr(expr.index)
        if expr.mask is not None:
            yield from walk_expr(expr.mask)


def walk_stmts(body: Sequence[Stmt]) -> Iterator[Stmt]:
    """The statements and all below them."""
    for stmt in body:
        yield stmt
        if isinstance(stmt, (Loop, Reduce)):
            yield from walk_stmts(stmt.body)


def _roots(stmt: Stmt) -> list[Expr]:
    if isinstance(stmt, Let):
        return [stmt.value]
    if isinstance(stmt, Store):
        return [stmt.value] + ([] if stmt.mask is None else [stmt.mask])
    if isinstance(stmt, Reduce):
        return [acc.value for acc in stmt.accumulators]
    return []


def all_expressions(body: Sequence[Stmt]) -> Iterator[Expr]:
    """All expressions of the statements and of those below them."""
    for stmt in walk_stmts(body):
        for root in _roots(stmt):
            yield from walk_expr(root)


def has_loop(body: Sequence[Stmt]) -> bool:
    """Whether any statement is itself a loop."""
    return any(isinstance(stmt, (Loop, Reduce)) for stmt in body)


def heavy_operations(
    body: Sequence[Stmt], heavy: Collection[str], known: Collection[Expr] = ()
) -> int:
    """How many operations of a given set the body holds, but for those that are known already."""
    found = (e for e in all_expressions(body) if isinstance(e, Op) and e.name in heavy)
    return sum(e not in known for e in found)


def data_itemsize(body: Sequence[Stmt], extra: Sequence[Expr] = ()) -> int:
    """Bytes of the elements a vectorized body should fill its registers with.

    Float64 sets 8, else any 4-byte value sets 4, else the widest there is; int64 counts only
    where it is loaded or stored as data, since index arithmetic is int64 everywhere.
    """
    sizes: set[int] = set()
    for stmt in walk_stmts(body):
        for root in _roots(stmt):
            sizes |= _data_sizes(root)
    for root in extra:
        sizes |= _data_sizes(root)
    if not sizes:
        return 8
    if 4 in sizes and -8 not in sizes:
        return 4
    return max(abs(size) for size in sizes)


def _data_sizes(root: Expr) -> set[int]:
    sizes: set[int] = set()
    stack = [root]
    while stack:
        expr = stack.pop()
        if isinstance(expr, Load):
            sizes.add(itemsize(expr.dtype))
            continue  # not into its index
        if isinstance(expr, Op):
            stack += expr.args
        elif isinstance(expr, Cast):
            sizes.add(itemsize(expr.dtype))
            stack.append(expr.arg)
        if expr.dtype == "float64":
            sizes.add(-8)
        elif kind_of(expr.dtype) == "f":
            sizes.add(4)
    return sizes
