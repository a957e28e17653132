"""The passes over a program, in order, each with its reason.

In: the program of a flush.  Out: a program with the same live values, to the bit, and the record of
what was done.  Every pass takes linear time and returns its argument if it has nothing to do; the
list is gone through until that is true of all of them, so that simplifying twice changes nothing.
Level 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rushlight.base.config import config
from rushlight.simplify.algebra import ALGEBRA
from rushlight.simplify.copies import without_spare_copies
from rushlight.simplify.cse import without_repetition
from rushlight.simplify.dead import without_dead
from rushlight.simplify.movement import MOVEMENT
from rushlight.simplify.rewrite import Record, rewritten
from rushlight.simplify.verify import verify_program
from rushlight.tape.program import Program


@dataclass(frozen=True)
class Pass:
    """A function of a program and the record to a program."""

    name: str
    reason: str
    run: Callable[[Program, Record], Program]


PASSES = (
    Pass(
        "movement",
        "chains of moves become one, which brings equal operands together",
        lambda program, record: rewritten(program, MOVEMENT, record),
    ),
    Pass(
        "algebra",
        "signs, conversions and choices cancel, which no longer hides equal operations",
        lambda program, record: rewritten(program, ALGEBRA, record),
    ),
    Pass("cse", "what derivatives compute again is computed once", without_repetition),
    Pass("copies", "a result made to be kept needs no second buffer", without_spare_copies),
    Pass("dead", "what the others made unneeded goes, so that reads are counted", without_dead),
)


def simplified(program: Program) -> tuple[Program, Record]:
    """The simplified program, and what was done to it."""
    record: Record = []
    while True:
        before = program
        for step in PASSES:
            result = step.run(program, record)
            if config.verify and result is not program:
                verify_program(result, program, step.name)
            program = result
        if program is before:
            return program, record
