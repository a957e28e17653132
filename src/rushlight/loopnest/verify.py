"""Checks that a kernel obeys the rules of the IR; raises InternalError naming the broken one.

Checked: names bound before use and once in scope, dtypes of every operation, access of buffers,
where each kind of loop may stand, lanes.  Not checked: that vector and parallel iterations are
independent and that indices stay in bounds, which is the lowering's promise.  Level 5.
"""

from __future__ import annotations

from rushlight.base.errors import InternalError
from rushlight.loopnest.ir import (
    DTYPES,
    LOOP_KINDS,
    OPS,
    PARALLEL,
    REDUCTIONS,
    VECTOR,
    Buffer,
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
    is_defined_on,
    kind_of,
)
from rushlight.loopnest.pretty import print_expr, print_kernel


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.buffers = {b.name: b for b in kernel.buffers}
        for scratch in kernel.scratch:
            self.buffers[scratch.name] = Buffer(scratch.name, scratch.dtype, "inout")
        self.params = {p.name: p.dtype for p in kernel.params}

    def fail(self, rule: str) -> None:
        raise InternalError(f"loop nest: {rule}\n{print_kernel(self.kernel)}")

    def require(self, condition: bool, rule: str) -> None:
        if not condition:
            self.fail(rule)

    def run(self) -> None:
        kernel = self.kernel
        count = len(kernel.buffers) + len(kernel.scratch)
        self.require(len(self.buffers) == count, "two buffers have one name")
        for scratch in kernel.scratch:
            self.require(scratch.dtype in DTYPES, f"scratch {scratch.name} has an unknown dtype")
            self.require(
                self.check_expr(scratch.extent, {}) == "int64", f"extent of {scratch.name}"
            )
        self.require(len(self.params) == len(kernel.params), "two parameters have one name")
        for buffer in kernel.buffers:
            self.require(buffer.dtype in DTYPES, f"buffer {buffer.name} has an unknown dtype")
            self.require(buffer.access in ("in", "out", "inout"), f"access of {buffer.name}")
        for param in kernel.params:
            self.require(
                param.dtype in DTYPES and kind_of(param.dtype) != "s",
                f"parameter {param.name} has dtype {param.dtype}",
            )
        parallel = kernel.parallel_loop()
        if parallel is not None:
            position = kernel.body.index(parallel)
            self.require(position == len(kernel.body) - 1, "statements follow the parallel loop")
            before = kernel.body[:position]
            self.require(
                all(isinstance(s, Let) for s in before), "only Let may precede the parallel loop"
            )
        self.check_body(kernel.body, {}, (), top=True)

    # --- expressions ---

    def check_expr(self, expr: Expr, env: dict[str, str]) -> str:
        if isinstance(expr, Const):
            self.require(expr.dtype in DTYPES, f"constant of unknown dtype {expr.dtype}")
        elif isinstance(expr, Param):
            self.require(expr.name in self.params, f"parameter {expr.name} is not declared")
            self.require(self.params[expr.name] == expr.dtype, f"dtype of ${expr.name}")
        elif isinstance(expr, Load):
            self.check_load(expr, env)
        elif isinstance(expr, Op):
            self.check_op(expr, env)
        elif isinstance(expr, Cast):
            self.check_expr(expr.arg, env)
            self.require(expr.dtype in DTYPES, f"cast to unknown dtype {expr.dtype}")
        else:
            self.require(expr.name in env, f"{expr.name} is used before it is bound")
            self.require(env[expr.name] == expr.dtype, f"dtype of {expr.name}")
        return expr.dtype

    def check_access(self, name: str, index: Expr, mask: Expr | None, env: dict) -> None:
        self.require(name in self.buffers, f"buffer {name} is not declared")
        self.require(self.check_expr(index, env) == "int64", f"index of {name} is not int64")
        if mask is not None:
            self.require(self.check_expr(mask, env) == "bool", f"mask of {name} is not bool")

    def check_load(self, expr: Load, env: dict[str, str]) -> None:
        self.check_access(expr.buffer, expr.index, expr.mask, env)
        buffer = self.buffers[expr.buffer]
        self.require(buffer.access != "out", f"load from output {buffer.name}")
        self.require(buffer.dtype == expr.dtype, f"load from {buffer.name} as {expr.dtype}")

    def check_op(self, expr: Op, env: dict[str, str]) -> None:
        text = print_expr(expr)
        self.require(expr.name in OPS, f"unknown operation {expr.name}")
        arity, _, result = OPS[expr.name]
        self.require(len(expr.args) == arity, f"{text}: takes {arity} operands")
        dtypes = [self.check_expr(arg, env) for arg in expr.args]
        if expr.name == "where":
            self.require(dtypes[0] == "bool", f"{text}: the condition is {dtypes[0]}")
            dtypes = dtypes[1:]
        else:
            defined = is_defined_on(expr.name, dtypes[0])
            self.require(defined, f"{text}: not defined on {dtypes[0]}")
        self.require(len(set(dtypes)) == 1, f"{text}: operands are {', '.join(dtypes)}")
        expected = dtypes[0] if result == "same" else result
        self.require(expr.dtype == expected, f"{text}: gives {expected}, not {expr.dtype}")

    # --- statements ---

    def bind(self, name: str, dtype: str, env: dict[str, str]) -> None:
        self.require(name not in env, f"{name} is bound twice")
        env[name] = dtype

    def check_body(
        self, body: tuple[Stmt, ...], env: dict[str, str], inside: tuple[str, ...], top: bool
    ) -> dict[str, str]:
        env = dict(env)
        for stmt in body:
            if isinstance(stmt, Let):
                self.bind(stmt.name, self.check_expr(stmt.value, env), env)
            elif isinstance(stmt, Store):
                self.check_store(stmt, env)
            elif isinstance(stmt, Loop):
                self.check_loop(stmt, env, inside, top)
            else:
                self.check_reduce(stmt, env, inside)
        return env

    def check_store(self, stmt: Store, env: dict[str, str]) -> None:
        self.check_access(stmt.buffer, stmt.index, stmt.mask, env)
        buffer = self.buffers[stmt.buffer]
        self.require(buffer.access != "in", f"store to input {buffer.name}")
        dtype = self.check_expr(stmt.value, env)
        self.require(dtype == buffer.dtype, f"store of {dtype} to {buffer.name}")

    def check_loop(
        self, loop: Loop, env: dict[str, str], inside: tuple[str, ...], top: bool
    ) -> None:
        self.require(loop.kind in LOOP_KINDS, f"loop kind {loop.kind}")
        self.require(self.check_expr(loop.extent, env) == "int64", f"extent of {loop.var}")
        self.require(loop.kind != PARALLEL or top, "a parallel loop stands inside another loop")
        self.require(
            loop.kind != VECTOR or VECTOR not in inside, "a vector loop stands inside another"
        )
        inner = dict(env)
        self.bind(loop.var, "int64", inner)
        self.check_body(loop.body, inner, (*inside, loop.kind), top=False)

    def check_reduce(self, stmt: Reduce, env: dict[str, str], inside: tuple[str, ...]) -> None:
        self.require(self.check_expr(stmt.extent, env) == "int64", f"extent of {stmt.var}")
        lanes = stmt.lanes
        self.require(lanes >= 1 and lanes & (lanes - 1) == 0, f"{lanes} lanes: not a power of two")
        if lanes > 1:
            self.require(VECTOR not in inside, "a Reduce with lanes stands inside a vector loop")
            nested = any(isinstance(s, (Loop, Reduce)) for s in stmt.body)
            self.require(not nested, "the body of a Reduce with lanes has a loop")
        inner = dict(env)
        self.bind(stmt.var, "int64", inner)
        kind = VECTOR if lanes > 1 else "serial"
        inner = self.check_body(stmt.body, inner, (*inside, kind), top=False)
        for accumulator in stmt.accumulators:
            self.require(accumulator.op in REDUCTIONS, f"reduction {accumulator.op}")
            dtype = self.check_expr(accumulator.value, inner)
            allowed = "b" if accumulator.op in ("and", "or") else "fiu"
            if accumulator.op in ("max", "min"):
                allowed = "fiub"
            self.require(kind_of(dtype) in allowed, f"{accumulator.op} over {dtype}")
            dtypes = accumulator_dtypes(accumulator)
            self.require(len(dtypes) == len(accumulator.names), f"names of {accumulator.op}")
            for name, bound in zip(accumulator.names, dtypes):
                self.bind(name, bound, env)


def verify_kernel(kernel: Kernel) -> Kernel:
    """The kernel itself if it obeys the rules.  Raises: InternalError with rule and kernel."""
    _Verifier(kernel).run()
    return kernel
