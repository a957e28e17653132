"""What nothing needs is not computed.  Level 4."""

from __future__ import annotations

from rushlight.simplify.rewrite import Record, Rewrite
from rushlight.tape.program import OPERATION, OUTPUT, Program


def without_dead(program: Program, record: Record) -> Program:
    """The program of what its live values are made of.

    The engine drops unneeded operations before there is a program; these here became unneeded when
    others stopped reading them, and what they would have failed at still fails elsewhere.
    """
    needed: set[int] = set()
    dead = 0
    for value in reversed(program.order):
        if value.live or value.slot in needed:
            needed.add(value.slot)
            needed.update(value.inputs)
        else:
            dead += 1
            record.append(Rewrite("no longer read", value, None))
    if dead == 0:
        return program
    return Program(
        {
            slot: value
            for slot, value in program.values.items()
            if slot in needed or value.source not in (OPERATION, OUTPUT)
        }
    )
