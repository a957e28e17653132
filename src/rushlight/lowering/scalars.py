"""One element of a result from elements of the operands.  Level 6."""

from __future__ import annotations

from rushlight.base.dtypes import DType
from rushlight.loopnest.ir import Cast, Const, Expr, call
from rushlight.tape.program import Value

# Floats that are only stored: arithmetic on them is done in float32.
HALF = ("float16", "bfloat16")


def applied(value: Value, row, operands: list[Expr]) -> Expr:
    """A scalar rule on operands, with 16-bit floats widened and the result rounded back."""
    if value.primitive.name == "cast":
        return _converted(operands[0], value.dtype)
    if value.primitive.name == "where":
        return row(
            operands[0],
            as_dtype(operands[1], value.dtype.name),
            as_dtype(operands[2], value.dtype.name),
        )
    wide = [Cast(e, "float32") if e.dtype in HALF else e for e in operands]
    result = row(*wide, *value.params)
    return as_dtype(result, value.dtype.name)


def _converted(element: Expr, dtype: DType) -> Expr:
    """A cast as the reference rule does it: floats to integers through int64, wrapping around."""
    name = dtype.name
    if dtype.is_inexact or name == "bool" or element.dtype not in (*HALF, "float32", "float64"):
        return Cast(element, name)
    wide = Cast(element, "float32") if element.dtype in HALF else element
    inside = call(
        "and",
        call("ge", wide, Const(-(2.0**63), wide.dtype)),
        call("lt", wide, Const(2.0**63, wide.dtype)),
    )
    lowest = Const(-(2**63), "int64")
    signed = as_dtype(call("where", inside, Cast(wide, "int64"), lowest), name)
    if name != "uint64":
        return signed
    upper = call("ge", wide, Const(2.0**63, wide.dtype))
    return call("where", upper, Cast(wide, name), signed)


def as_dtype(expr: Expr, dtype: str) -> Expr:
    return expr if expr.dtype == dtype else Cast(expr, dtype)
