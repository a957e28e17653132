"""A copy that is kept of a value that nobody else wants is that value.  Level 4.

Such copies say how a result lies in memory, or make it a tensor of its own; they compute nothing.
"""

from __future__ import annotations

from rushlight.primitives.movement import copy
from rushlight.simplify.rewrite import Record, Rewrite
from rushlight.tape.program import OPERATION, Program


def without_spare_copies(program: Program, record: Record) -> Program:
    """The program in which the only reader of a value does not copy it."""
    values = program.values
    taken: dict[int, int] = {}
    for value in program.order:
        if value.primitive is not copy or not value.live:
            continue
        (slot,) = value.inputs
        x = values[slot]
        if x.source == OPERATION and not x.live and len(program.users[slot]) == 1:
            taken[value.slot] = slot
    if not taken:
        return program
    gone = set(taken.values())
    found = {}
    for slot, value in values.items():
        if slot in gone:
            continue
        result = value
        origin = taken.get(slot)
        if origin is not None:
            x = values[origin]
            result = value.computed_by(x.primitive, x.params, x.inputs)
            result.outputs, result.line = x.outputs, x.line
            record.append(Rewrite("copy of what nobody else reads", value, result))
        found[slot] = result
    return Program(found)
