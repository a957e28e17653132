"""What must hold of a program after each pass; asked with RUSHLIGHT_VERIFY=1, always in tests.

Level 4.
"""

from __future__ import annotations

from rushlight.base.errors import InternalError
from rushlight.tape.program import OPERATION, OUTPUT, Program, Value


def verify_program(program: Program, source: Program, after: str) -> None:
    """Check a program, and that it computes what `source` does.

    after: the pass to name.  Raises: InternalError saying which rule it broke.
    """
    for sentence in _faults(program, source):
        raise InternalError(f"simplify: after the pass {after}, {sentence}\n{program}")


def _faults(program: Program, source: Program):
    defined: set[int] = set()
    for slot, value in program.values.items():
        if slot != value.slot:
            yield f"{value} is listed as %{slot}"
        for operand in value.inputs:
            if operand not in defined:
                yield f"{value} reads %{operand} before it is computed"
                return
        defined.add(slot)
        if value.source == OPERATION:
            yield from _fault_of_result(value, program)
    kept = [(v.slot, v.shape, v.dtype) for v in program.order if v.live]
    if kept != [(v.slot, v.shape, v.dtype) for v in source.order if v.live]:
        yield "other values are kept than before"
        return
    before, now = _leaves(source), _leaves(program)
    for slot, leaves in now.items():
        if leaves != before[slot]:
            yield f"%{slot} does not depend on the leaves it depended on before"


def _fault_of_result(value: Value, program: Program):
    operands = [program.values[slot] for slot in value.inputs]
    result = value.primitive.result(*operands, *value.params)
    if not value.primitive.multiple and result != (value.shape, value.dtype):
        yield f"{value} would have shape and dtype {result}"


def _leaves(program: Program) -> dict[int, int]:
    """The leaves that each live value is computed from, as bits."""
    found: dict[int, int] = {}
    for slot, value in program.values.items():
        if value.source in (OPERATION, OUTPUT):
            bits = 0
            for operand in value.inputs:
                bits |= found[operand]
            found[slot] = bits
        else:
            found[slot] = 1 << slot
    return {v.slot: found[v.slot] for v in program.order if v.live}
