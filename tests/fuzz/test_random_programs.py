"""A short run of random programs; `python -m tests.fuzz` runs as many as one likes."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.base.config import config
from rushlight.loopnest.scalar import RULES
from tests.fuzz.judges import (
    fault_of_bits,
    fault_of_executors,
    fault_of_memo,
    fault_of_sizes,
)
from tests.fuzz.program import generate
from tests.fuzz.shrink import shrink, write_test

PROGRAMS_A_TEST = 10
SHORT = (2, 10)


def demand(judge, seeds, lengths=SHORT):
    """Fails with a small program if one of the seeds' programs is faulty."""
    for seed in seeds:
        program = generate(seed, lengths)
        if judge(program) is not None:
            small = shrink(program, lambda p: judge(p) is not None)
            pytest.fail(f"seed {seed}: {judge(small)}\n{small}")


@pytest.mark.parametrize("first", range(0, 60, PROGRAMS_A_TEST))
def test_executors_interpreter_and_pytorch_agree(first):
    demand(fault_of_executors, range(first, first + PROGRAMS_A_TEST))


@pytest.mark.parametrize("executor, count", [("reference", 30), ("compiled", 10)])
def test_no_cut_and_no_machine_changes_a_bit(executor, count, monkeypatch):
    monkeypatch.setattr(config, "executor", executor)
    demand(fault_of_bits, range(100, 100 + count))
    demand(fault_of_memo, range(100, 100 + count))


def test_what_is_known_of_other_sizes_changes_no_bit(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    demand(fault_of_sizes, range(200, 212))


@pytest.mark.endurance
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "judge", [fault_of_executors, fault_of_bits, fault_of_memo, fault_of_sizes]
)
def test_many_programs(judge, monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    demand(judge, range(1000, 1300), (4, 28))


@pytest.mark.parametrize("name", ["rot90", "nonzero", "inverse", "qr"])
def test_results_that_lie_otherwise_in_pytorch_are_no_fault(name):
    """There a reshape of the transposed result copies; here it is a view, which a write shows."""
    matrix = ("create", 15, 1, 0, 0)
    program = [matrix, (name, 0, 0, 1, 0), ("flatten", 1, 0, 0, 0), ("zero_", 2, 0, 0, 0)]
    assert fault_of_executors(program) is None


def test_a_program_is_shrunk_to_what_its_fault_needs():
    program = generate(5)
    needed = [program[1], program[-1]]

    def is_faulty(candidate):
        kept = [instruction for instruction in candidate if instruction[2:] in rest]
        return [i[0] for i in kept] == [i[0] for i in needed] and kept[0][1] >= 2

    rest = [instruction[2:] for instruction in needed]
    needed[0] = (needed[0][0], 2, *needed[0][2:])
    program[1] = (needed[0][0], 9, *needed[0][2:])
    shrunk = shrink(program, is_faulty)
    assert [i[0] for i in shrunk] == [i[0] for i in needed]
    assert shrunk[0][1] == 2
    assert shrunk[1][1] == 0


def test_a_fault_becomes_a_test_that_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.shrink.FOLDER", tmp_path)
    path = write_test([("create", 0, 0, 0, 0)], "fault_of_executors", "values differ")
    namespace: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    namespace["test_the_judge_finds_no_fault"]()


SQUARE = [("create", 0, 0, 0, 0), ("mul", 0, 0, 0, 0)]


def test_a_judge_sees_that_machine_code_differs_from_the_loop_nest(monkeypatch):
    assert fault_of_executors(SQUARE) is None
    monkeypatch.setitem(RULES, "mul", np.add)
    found = fault_of_executors(SQUARE)
    assert found is not None and found.startswith("the interpreter against machine code")


def test_a_judge_sees_that_a_plan_cannot_be_made(monkeypatch):
    def refuse(nest):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("rushlight.engine.pipeline.step_of_nest", refuse)
    found = fault_of_executors(SQUARE)
    assert found is not None and "no such kernel" in found
