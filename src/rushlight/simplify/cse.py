"""Equal operations become one (common subexpressions).  Level 4.

Equal means: the same primitive and parameters on the same operands.  Operands of commutative
primitives may stand in either order: IEEE 754 sums, products and comparisons for equality give the
same result, signed zeros included (complex products do not: NumPy's kernels round one of the two
inner products and not the other).
"""

from __future__ import annotations

from rushlight.primitives.movement import copy
from rushlight.simplify.rewrite import Record, Rewrite, Value, kept_apart, with_replaced
from rushlight.tape.program import OPERATION, OUTPUT, Program


def without_repetition(program: Program, record: Record) -> Program:
    """The program in which no operation is computed twice."""
    values: dict[int, Value] = {}
    first: dict[tuple, Value] = {}
    stands_for: dict[int, int] = {}
    before = len(record)
    for slot, value in program.values.items():
        current = with_replaced(value, stands_for) if stands_for else value
        # A copy that is kept is how an equal value that is kept is made; others are simplified.
        if current.source in (OPERATION, OUTPUT) and current.primitive is not copy:
            known = first.setdefault(_identity(current, values), current)
            if known is not current:
                result = kept_apart(current, known)
                record.append(Rewrite("computed before", current, result))
                if result is known:
                    stands_for[slot] = known.slot
                    continue
                current = result
        values[slot] = current
    return program if len(record) == before else Program(values)


def _identity(value: Value, values: dict[int, Value]) -> tuple:
    """What two values must share to be equal."""
    if value.source == OUTPUT:
        return (OUTPUT, value.index, value.inputs)
    inputs = value.inputs
    if value.primitive.commutative and not values[inputs[0]].dtype.is_complex:
        inputs = tuple(sorted(inputs))
    return (value.primitive, value.params, inputs)
