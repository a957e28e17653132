"""What must hold of a random program.

In: a program.  Out: a sentence that says what is wrong, or None.  The judges:

- values, gradients and exceptions are PyTorch's, up to rounding (`fault_against_torch`);
- compiled, they are the reference executor's up to rounding and the loop-nest interpreter's to the
  bit (`fault_of_executors`);
- cut anywhere (after each operation, after a few, by reads, by reads from another thread), recorded
  once more, or with its memory handed out to NumPy, a program gives the same bits, and on other
  data it gives the same bits whether or not the memo knows it from the first (`fault_of_cuts`,
  `fault_of_memo`);
- repeated with other sizes, so that plans, blocks and recordings are those of other sizes, it gives
  the bits that it gives where nothing is known (`fault_of_sizes`);
- on two threads, and with code for AVX2, it gives the same bits (`fault_of_machine`).
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import rushlight
from rushlight.base.config import config
from tests.fuzz.interpreted import judged_plans
from tests.fuzz.machines import MACHINES, full_code
from tests.fuzz.outcome import (
    AfterEach,
    Outcome,
    Program,
    difference_in_bits,
    difference_up_to_rounding,
    outcome,
    settings,
)
from tests.fuzz.program import Run, other_sizes

try:
    import torch
except ImportError:
    torch = None

SETTINGS: dict[str, dict[str, Any]] = {
    "operation by operation": {"blocks": False},
    "cut after each operation": {"eager": True},
    "cut after 3 operations": {"node_cap": 3},
    "cut after 13 operations": {"node_cap": 13},
    "cut after 29 operations": {"node_cap": 29},
}


# ---- what happens after each instruction of a run ------------------------------------------------


def read_one(run: Run, place: int) -> None:
    if run.values:
        run.pick(place * 7 + 3).tensor.tolist()


def read_one_elsewhere(run: Run, place: int) -> None:
    if run.values:
        tensor = run.pick(place * 5 + 1).tensor
        thread = threading.Thread(target=lambda: tensor.detach().tolist())
        thread.start()
        thread.join()


def hand_out_memory(run: Run, place: int) -> None:
    if not run.values or run.pick(place * 3).tensor.dtype is rushlight.bfloat16:
        return
    array = run.pick(place * 3).tensor.detach().numpy()
    if place % 2:
        run.held.append(array)  # the rest is given back at once


INTERRUPTIONS: dict[str, AfterEach] = {
    "read now and then": read_one,
    "read from another thread": read_one_elsewhere,
    "share memory with NumPy": hand_out_memory,
}


# ---- the judges ----------------------------------------------------------------------------------


def fault(program: Program) -> str | None:
    """What is wrong with how a program runs, by any judge, or None."""
    for data in (0, 1):
        found = fault_of_executors(program, data) or fault_of_bits(program, data)
        if found:
            return f"data {data}, {found}"
    return fault_of_memo(program)


def leading(program: Program, data: int) -> Outcome:
    """The outcome that the others are compared with: PyTorch's, where it is installed."""
    with settings(executor="reference"):
        return outcome(torch or rushlight, program, data)


def fault_of_executors(program: Program, data: int = 0) -> str | None:
    """Whether PyTorch, both executors and the interpreter of loop nests agree."""
    model = leading(program, data)
    # Programs are small: without asking, they would never meet the code made for large ones.
    code = full_code if len(program) % 2 else contextlib.nullcontext
    with settings(executor="compiled"), code(), judged_plans() as faults:
        compiled = outcome(rushlight, program, data, model.answers)
    with settings(executor="reference"):
        reference = outcome(rushlight, program, data, model.answers)
    found = torch and difference_up_to_rounding(model, reference)
    if found:
        return f"PyTorch against the reference executor: {found}"
    found = difference_up_to_rounding(reference, compiled)
    if found:
        return f"the reference executor against the compiled one: {found}"
    found = torch and difference_up_to_rounding(model, compiled)
    if found:
        return f"PyTorch against the compiled executor: {found}"
    return f"the interpreter against machine code: {faults[0]}" if faults else None


def fault_of_bits(program: Program, data: int = 0) -> str | None:
    """Whether cuts, reads, another machine or another recording change a bit."""
    answers = leading(program, data).answers
    with settings():
        expected = outcome(rushlight, program, data, answers)
        found = difference_in_bits(expected, outcome(rushlight, program, data, answers))
    if found:
        return f"recorded once more: {found}"
    return fault_of_cuts(program, data, answers, expected) or fault_of_machine(
        program, data, answers, expected
    )


def fault_of_cuts(
    program: Program, data: int, answers: list[bool], expected: Outcome
) -> str | None:
    """Whether cutting the tape elsewhere changes a bit."""
    for name, changed in SETTINGS.items():
        with settings(**changed):
            found = difference_in_bits(expected, outcome(rushlight, program, data, answers))
        if found:
            return f"{name}: {found}"
    for name, interruption in INTERRUPTIONS.items():
        with settings():
            interrupted = outcome(rushlight, program, data, answers, interruption)
        found = difference_in_bits(expected, interrupted)
        if found:
            return f"{name}: {found}"
    return None


def fault_of_machine(
    program: Program, data: int, answers: list[bool], expected: Outcome
) -> str | None:
    """Whether two threads, or code for another vector unit, change a bit."""
    if config.executor != "compiled":
        return None
    for name, machine in MACHINES.items():
        with settings(), machine():
            found = difference_in_bits(expected, outcome(rushlight, program, data, answers))
        if found:
            return f"{name}: {found}"
    return None


def fault_of_memo(program: Program) -> str | None:
    """Whether what the memo knows from data 0 changes the outcome on data 1."""
    answers = leading(program, 1).answers
    with settings():
        expected = outcome(rushlight, program, 1, answers)
    with settings():
        outcome(rushlight, program, 0, leading(program, 0).answers)
        found = difference_in_bits(expected, outcome(rushlight, program, 1, answers))
    return f"on other data than the memo knows: {found}" if found else None


# Repetitions of a program, as numbers of its sizes: what is learned from some is used for others,
# and met again.
REPETITIONS = (0, 1, 2, 3, 1, 4, 2)


def fault_of_sizes(program: Program, seed: int = 0) -> str | None:
    """Whether what the memo knows from other sizes, drawn by a seed, changes a bit."""
    variants = [program]
    for number in range(1, max(REPETITIONS) + 1):
        variants.append([other_sizes(seed + number), *program])
    answers = [leading(variant, 0).answers for variant in variants]
    expected = []
    for variant, told in zip(variants, answers):
        with settings(executor=config.executor):
            expected.append(outcome(rushlight, variant, 0, told))
    with settings(executor=config.executor):
        for round_, number in enumerate(REPETITIONS):
            found = outcome(rushlight, variants[number], 0, answers[number])
            differs = difference_in_bits(expected[number], found)
            if differs:
                return f"round {round_}, sizes {variants[number][:1]}: {differs}"
    return None
