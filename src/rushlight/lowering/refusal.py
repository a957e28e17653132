"""Why an operation has no kernel and is computed by its reference rule.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import Alone, Opaque
from rushlight.tape.primitive import VARIADIC
from rushlight.tape.program import Program, Value


def why_no_kernel(value: Value, program: Program) -> str:
    """One clause, for reports; `value` is an operation that is neither fused nor lowered alone."""
    operands = [program.values[slot] for slot in value.inputs]
    row = value.primitive.lowering
    if row is None:
        return "no kernel is written for it yet"
    if isinstance(row, Opaque):
        return row.reason
    if any(not v.dtype.is_lowered for v in (value, *operands)):
        return "complex numbers have no kernels yet"
    if value.numel == 0 or any(v.numel == 0 for v in operands):
        return "nothing to compute: a size is 0"
    if isinstance(row, Alone) and row.refuses(value, operands):
        return "its kernel does not take these shapes, dtypes or parameters"
    if value.primitive.arity == VARIADIC:
        return "its kernel does not take these operands"
    return "one loop cannot reach everything it reads"
