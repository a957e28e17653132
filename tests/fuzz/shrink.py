"""A failing program made small, and a regression test written from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.outcome import Program

FOLDER = Path(__file__).resolve().parents[1] / "regressions"


def shrink(program: Program, is_faulty: Callable[[Program], bool]) -> Program:
    """The program with the least instructions and numbers that keeps the fault.

    Operands, shapes and dtypes stand in order of simplicity, so that a smaller number is simpler.
    """
    while True:
        shorter = without_instructions(program, is_faulty)
        simpler = with_smaller_numbers(shorter, is_faulty)
        if simpler == program:
            return program
        program = simpler


def without_instructions(program: Program, is_faulty: Callable[[Program], bool]) -> Program:
    """Without every instruction whose absence keeps the fault, alone or with its neighbours."""
    size = max(len(program) // 2, 1)
    while True:
        place = 0
        shorter = False
        while place < len(program):
            candidate = program[:place] + program[place + size :]
            if is_faulty(candidate):
                program, shorter = candidate, True
            else:
                place += size
        if size == 1 and not shorter:
            return program
        size = max(size // 2, 1)


def with_smaller_numbers(program: Program, is_faulty: Callable[[Program], bool]) -> Program:
    """With each number of each instruction as small as keeps the fault."""
    for place, instruction in enumerate(program):
        for position in range(1, len(instruction)):
            for number in range(instruction[position]):
                changed = (*instruction[:position], number, *instruction[position + 1 :])
                candidate = [*program[:place], changed, *program[place + 1 :]]
                if is_faulty(candidate):
                    program, instruction = candidate, changed
                    break
    return program


def write_test(program: Program, judge: str, found: str) -> Path:
    """A test of the regressions' folder that runs one program by one judge."""
    digest = hashlib.sha256(repr(program).encode()).hexdigest()[:8]
    path = FOLDER / f"test_random_program_{digest}.py"
    lines = "\n".join(f"    {instruction!r}," for instruction in program)
    short = " ".join(found.split())[:300]
    path.write_text(
        f'"""A program that the fuzzer found and made small."""\n\n'
        f"from tests.fuzz.judges import {judge}\n\n"
        f"# Was: {short[:88]}\n"
        f"PROGRAM = [\n{lines}\n]\n\n\n"
        f"def test_the_judge_finds_no_fault():\n"
        f"    assert {judge}(PROGRAM) is None\n"
    )
    return path
