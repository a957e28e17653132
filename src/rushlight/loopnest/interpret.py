"""Runs a kernel on NumPy arrays: the judge of lowering and of generated code.

A vector loop binds its variable to the whole range at once, which its independence allows; a
Reduce follows the fixed tree of ``ir.Reduce``, so sums equal generated code to the bit.  Buffers
are flat arrays (bfloat16 as uint16 bits).  Out-of-range indices raise IndexError, negative ones
included.  Level 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rushlight.loopnest.ir import (
    VECTOR,
    Accumulator,
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
    accumulator_dtypes,
)
from rushlight.loopnest.scalar import apply, cast, combine, identity_of, numpy_dtype

Env = dict[str, np.ndarray]


def _constant(value: float | int | bool, dtype: str) -> np.ndarray:
    if dtype == "bfloat16":
        return cast(np.asarray(value, np.float32), "float32", "bfloat16")
    return np.asarray(value).astype(numpy_dtype(dtype))


class _Interpreter:
    def __init__(self, kernel: Kernel, buffers: Mapping[str, np.ndarray], params: Mapping) -> None:
        self.buffers = dict(buffers)
        self.params = {p.name: _constant(params[p.name], p.dtype) for p in kernel.params}
        for scratch in kernel.scratch:
            extent = int(self.value(scratch.extent, {}))
            self.buffers[scratch.name] = np.empty(extent, numpy_dtype(scratch.dtype))

    # --- expressions ---

    def value(self, expr: Expr, env: Env) -> np.ndarray:
        if isinstance(expr, Const):
            return _constant(expr.value, expr.dtype)
        if isinstance(expr, Param):
            return self.params[expr.name]
        if isinstance(expr, Load):
            return self.load(expr, env)
        if isinstance(expr, Op):
            return apply(expr.name, [self.value(arg, env) for arg in expr.args], expr.dtype)
        if isinstance(expr, Cast):
            return cast(self.value(expr.arg, env), expr.arg.dtype, expr.dtype)
        return env[expr.name]

    def positions(self, buffer: str, index: np.ndarray, active: np.ndarray | None) -> np.ndarray:
        size = self.buffers[buffer].size
        outside = (index < 0) | (index >= size)
        if active is not None:
            outside = outside & active
        if np.any(outside):
            raise IndexError(f"index {index[outside].ravel()[0]} of {buffer}, which has {size}")
        return index if active is None else np.where(active, index, 0)

    def load(self, expr: Load, env: Env) -> np.ndarray:
        index = self.value(expr.index, env)
        data = self.buffers[expr.buffer]
        if expr.mask is None:
            return np.asarray(data[self.positions(expr.buffer, index, None)])
        index, active = np.broadcast_arrays(index, self.value(expr.mask, env))
        where = self.positions(expr.buffer, index, active)
        if data.size == 0:
            return np.zeros(index.shape, data.dtype)
        return np.where(active, data[where], np.zeros((), data.dtype))

    # --- statements ---

    def run(self, body: Sequence[Stmt], env: Env) -> Env:
        env = dict(env)
        for stmt in body:
            if isinstance(stmt, Let):
                env[stmt.name] = self.value(stmt.value, env)
            elif isinstance(stmt, Store):
                self.store(stmt, env)
            elif isinstance(stmt, Loop):
                self.loop(stmt, env)
            else:
                self.reduce(stmt, env)
        return env

    def store(self, stmt: Store, env: Env) -> None:
        index = self.value(stmt.index, env)
        value = self.value(stmt.value, env)
        data = self.buffers[stmt.buffer]
        if stmt.mask is None:
            data[self.positions(stmt.buffer, index, None)] = value
            return
        active = self.value(stmt.mask, env)
        index, value, active = np.broadcast_arrays(index, value, active)
        self.positions(stmt.buffer, index, active)
        data[index[active]] = value[active]

    def loop(self, loop: Loop, env: Env) -> None:
        extent = int(self.value(loop.extent, env))
        if extent <= 0:
            return
        if loop.kind == VECTOR:
            self.run(loop.body, {**env, loop.var: np.arange(extent, dtype=np.int64)})
            return
        for i in range(extent):
            self.run(loop.body, {**env, loop.var: np.asarray(i, np.int64)})

    def reduce(self, stmt: Reduce, env: Env) -> None:
        extent = int(self.value(stmt.extent, env))
        partial = [_start(acc, stmt.lanes) for acc in stmt.accumulators]
        for begin in range(0, max(extent, 0), stmt.lanes):
            count = min(stmt.lanes, extent - begin)
            if stmt.lanes == 1:
                position = np.asarray(begin, np.int64)
            else:
                position = begin + np.arange(count, dtype=np.int64)
            inner = self.run(stmt.body, {**env, stmt.var: position})
            for slot, acc in enumerate(stmt.accumulators):
                value = self.value(acc.value, inner)
                arrived = (value, position) if len(acc.names) == 2 else (value,)
                partial[slot] = _absorb(acc.op, partial[slot], arrived, stmt.lanes, count)
        for acc, lanes in zip(stmt.accumulators, partial):
            for name, value in zip(acc.names, _fold_lanes(acc.op, lanes, stmt.lanes)):
                env[name] = value


def _start(acc: Accumulator, lanes: int) -> tuple[np.ndarray, ...]:
    value_dtype = accumulator_dtypes(acc)[0]
    shape = () if lanes == 1 else (lanes,)
    first = np.full(shape, identity_of(acc.op, value_dtype))
    if len(acc.names) == 1:
        return (first,)
    # Later than every position, so that the first element always wins over the identity.
    return (first, np.full(shape, np.iinfo(np.int64).max))


def _absorb(
    op: str, held: tuple[np.ndarray, ...], new: tuple[np.ndarray, ...], lanes: int, count: int
) -> tuple[np.ndarray, ...]:
    if lanes == 1:
        return combine(op, held, new)
    updated = combine(op, tuple(h[:count] for h in held), new)
    return tuple(np.concatenate([u, h[count:]]) for u, h in zip(updated, held))


def _fold_lanes(op: str, held: tuple[np.ndarray, ...], lanes: int) -> tuple[np.ndarray, ...]:
    while lanes > 1:
        lanes //= 2
        lower = tuple(h[:lanes] for h in held)
        held = combine(op, lower, tuple(h[lanes : 2 * lanes] for h in held))
        if lanes == 1:
            return tuple(h[0] for h in held)
    return held


def interpret_kernel(
    kernel: Kernel, buffers: Mapping[str, np.ndarray], params: Mapping[str, float | int]
) -> None:
    """Runs the kernel; outputs are written into ``buffers``.

    Raises: IndexError where a load or store leaves its buffer.
    """
    _Interpreter(kernel, buffers, params).run(kernel.body, {})
