"""Prints a kernel as pseudo-code: the text is unambiguous, and equal kernels print equal.

The engine keys kernels by this text.  Level 5.
"""

from __future__ import annotations

from rushlight.loopnest.ir import Cast, Const, Expr, Kernel, Let, Load, Loop, Op, Param, Stmt, Store

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "gt": ">",
          "ge": ">=", "eq": "==", "ne": "!="}  # fmt: skip


def print_expr(expr: Expr) -> str:
    """One expression; floating constants print as hex so that no bit is lost."""
    if isinstance(expr, Const):
        if expr.dtype == "bool":
            return "true" if expr.value else "false"
        if expr.dtype.startswith(("float", "bfloat")):
            return f"{float(expr.value).hex()}:{expr.dtype}"
        suffix = "" if expr.dtype == "int64" else f":{expr.dtype}"
        return f"{int(expr.value)}{suffix}"
    if isinstance(expr, Load):
        guard = "" if expr.mask is None else f" if {print_expr(expr.mask)}"
        return f"{expr.buffer}[{print_expr(expr.index)}{guard}]"
    if isinstance(expr, Op):
        args = [print_expr(arg) for arg in expr.args]
        if expr.name in _INFIX:
            return f"({args[0]} {_INFIX[expr.name]} {args[1]})"
        return f"{expr.name}({', '.join(args)})"
    if isinstance(expr, Cast):
        return f"{expr.dtype}({print_expr(expr.arg)})"
    return f"${expr.name}" if isinstance(expr, Param) else expr.name


def _print_stmt(stmt: Stmt, depth: int, lines: list[str]) -> None:
    pad = "  " * depth
    if isinstance(stmt, Let):
        lines.append(f"{pad}{stmt.name}: {stmt.value.dtype} = {print_expr(stmt.value)}")
    elif isinstance(stmt, Store):
        guard = "" if stmt.mask is None else f" if {print_expr(stmt.mask)}"
        target = f"{stmt.buffer}[{print_expr(stmt.index)}{guard}]"
        lines.append(f"{pad}{target} = {print_expr(stmt.value)}")
    elif isinstance(stmt, Loop):
        lines.append(f"{pad}for {stmt.var} in {print_expr(stmt.extent)} {stmt.kind}:")
        for inner in stmt.body:
            _print_stmt(inner, depth + 1, lines)
    else:
        lines.append(f"{pad}reduce {stmt.var} in {print_expr(stmt.extent)} lanes {stmt.lanes}:")
        for inner in stmt.body:
            _print_stmt(inner, depth + 1, lines)
        for accumulator in stmt.accumulators:
            names = ", ".join(accumulator.names)
            lines.append(f"{pad}  {names} <- {accumulator.op} {print_expr(accumulator.value)}")


def print_kernel(kernel: Kernel) -> str:
    """The whole kernel, one statement a line."""
    arguments = [f"{b.access} {b.name}: {b.dtype}*" for b in kernel.buffers]
    arguments += [f"${p.name}: {p.dtype}" for p in kernel.params]
    lines = [f"kernel {kernel.name}({', '.join(arguments)}):"]
    for rows in kernel.scratch:
        lines.append(f"  scratch {rows.name}: {rows.dtype}[{print_expr(rows.extent)}]")
    for stmt in kernel.body:
        _print_stmt(stmt, 1, lines)
    return "\n".join(lines) + "\n"
