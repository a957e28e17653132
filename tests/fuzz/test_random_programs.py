"""A short run of random programs; `python -m tests.fuzz` runs as many as one likes."""

from __future__ import annotations

import pytest

from tests.fuzz.judges import fault, shrink
from tests.fuzz.program import generate

PROGRAMS_A_TEST = 10


@pytest.mark.parametrize("first", range(0, 80, PROGRAMS_A_TEST))
def test_random_programs_give_the_same_however_they_are_cut_and_what_pytorch_gives(first):
    for seed in range(first, first + PROGRAMS_A_TEST):
        program = generate(seed)
        if fault(program) is not None:
            small = shrink(program, lambda p: fault(p) is not None)
            pytest.fail(f"seed {seed}: {fault(small)}\n{small}")


def test_a_program_is_shrunk_to_what_its_fault_needs():
    program = generate(5)
    needed = {program[1], program[-1]}
    shrunk = shrink(program, lambda candidate: needed <= set(candidate))
    assert set(shrunk) == needed
