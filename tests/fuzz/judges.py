"""What must hold of a random program, and how a failing one is made small.

In: a program.  Out: a sentence that says what is wrong, or None.  The judges:

- cut anywhere (after each operation, after a few, by reads, by reads from another thread), recorded
  once more, or with its memory handed out to NumPy, a program gives the same bits;
- on other data it gives the same bits whether or not the memo knows it from the first data;
- values, gradients and exceptions are PyTorch's, up to rounding.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import rushlight
from rushlight.base.config import config
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape
from tests.fuzz.program import Instruction, Run, backward, execute, start

try:
    import torch
except ImportError:
    torch = None

Program = list[Instruction]
AfterEach = Callable[[Run, int], None]

SETTINGS: dict[str, dict[str, Any]] = {
    "cut after each operation": {"eager": True},
    "cut after 3 operations": {"node_cap": 3},
    "cut after 13 operations": {"node_cap": 13},
    "cut after 300 bytes": {"byte_budget": 300},
}
ROUNDING = {"float64": 1e-9, "float32": 3e-4}


@contextlib.contextmanager
def settings(**changed: Any) -> Iterator[None]:
    """Other settings, and a memo that knows nothing, for a while."""
    before = {name: getattr(config, name) for name in changed}
    forget()
    try:
        for name, value in changed.items():
            setattr(config, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)
        if changed:
            forget()


def forget() -> None:
    """Drop what is recorded and what the memo knows."""
    current_tape().drop()
    memo.clear()


# ---- what happens after each instruction of a run ------------------------------------------------


def nothing(run: Run, place: int) -> None:
    """The default."""


def read_one(run: Run, place: int) -> None:
    run.pick(place * 7 + 3).tensor.tolist()


def read_one_elsewhere(run: Run, place: int) -> None:
    tensor = run.pick(place * 5 + 1).tensor
    thread = threading.Thread(target=lambda: tensor.detach().tolist())
    thread.start()
    thread.join()


def hand_out_memory(run: Run, place: int) -> None:
    tensor = run.pick(place * 3).tensor
    array = tensor.detach().numpy()
    if place % 2:
        run.held.append(array)  # the rest is given back at once


INTERRUPTIONS: dict[str, AfterEach] = {
    "read now and then": read_one,
    "read from another thread": read_one_elsewhere,
    "share memory with NumPy": hand_out_memory,
}


# ---- outcomes ------------------------------------------------------------------------------------


class Outcome:
    """All that a run made: for each instruction what it read or raised, then values and gradients.

    stopped: the place of the first exception, where the run ended; else the program's length.
    """

    def __init__(self, run: Run, said: list[Any]) -> None:
        self.said = said
        self.answers = run.answers
        self.stopped = len(said)
        self.values = [] if failed(said) else [as_array(v.tensor) for v in run.values]
        self.gradients = [] if failed(said) else [gradient_array(x) for x in run.leaves]


def failed(said: list[Any]) -> bool:
    """Whether a run ended with an exception."""
    return bool(said) and isinstance(said[-1], Exception)


def as_array(tensor: Any) -> np.ndarray:
    """A copy of a tensor's value."""
    return np.array(tensor.detach().numpy(), order="C")


def gradient_array(leaf: Any) -> np.ndarray | None:
    """A copy of a leaf's gradient."""
    return None if leaf.grad is None else as_array(leaf.grad)


def outcome(
    library: Any,
    program: Program,
    data: int = 0,
    told: list[bool] | None = None,
    after_each: AfterEach = nothing,
) -> Outcome:
    """Run a program to its end, or to its first exception."""
    run = Run(library, data, told=told)
    start(run)
    said: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place, instruction in enumerate(program):
            said.append(execute(run, instruction))
            if failed(said):
                return Outcome(run, said)
            after_each(run, place)
        try:
            said.append(backward(run))
        except RuntimeError as error:
            said.append(error)
        return Outcome(run, said)


def same_bits(x: Any, y: Any) -> bool:
    """Whether two values read from a program are the same to the bit."""
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
    if isinstance(x, Exception):
        return type(x) is type(y)
    return repr(x) == repr(y)


def difference_in_bits(expected: Outcome, found: Outcome) -> str | None:
    """How two outcomes differ, as a sentence."""
    for what in ("said", "values", "gradients"):
        one, other = getattr(expected, what), getattr(found, what)
        if len(one) != len(other):
            return f"{what}: {len(one)} against {len(other)}; {one[-1:]} against {other[-1:]}"
        for place, (x, y) in enumerate(zip(one, other)):
            if not same_bits(x, y):
                return f"{what} {place}: {x!r} against {y!r}"
    return None


# ---- the judges ----------------------------------------------------------------------------------


def fault(program: Program) -> str | None:
    """What is wrong with how a program runs, or None."""
    leader = torch or rushlight
    for data in (0, 1):
        model = outcome(leader, program, data)
        with settings():
            first = outcome(rushlight, program, data, model.answers)
            if torch is not None:
                found = difference_from_torch(model, first)
                if found:
                    return f"data {data}, against PyTorch: {found}"
            found = difference_in_bits(first, outcome(rushlight, program, data, model.answers))
            if found:
                return f"data {data}, recorded once more: {found}"
        found = fault_of_cuts(program, data, model.answers, first)
        if found:
            return f"data {data}, {found}"
    return fault_of_memo(program, first, model.answers)


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


def fault_of_memo(program: Program, expected: Outcome, answers: list[bool]) -> str | None:
    """Whether what the memo knows from data 0 changes the outcome on data 1, `expected`."""
    with settings():
        outcome(rushlight, program, 0, answers)
        found = difference_in_bits(expected, outcome(rushlight, program, 1, answers))
    return f"on other data than the memo knows: {found}" if found else None


def difference_from_torch(expected: Outcome, found: Outcome) -> str | None:
    """How rushlight's outcome differs from PyTorch's, as a sentence."""
    if failed(expected.said) or failed(found.said):
        return difference_of_errors(expected, found)
    pairs = [
        *zip(expected.values, found.values),
        *((x, y) for x, y in zip(expected.gradients, found.gradients)),
    ]
    arrays = [x for x, _ in pairs if x is not None and x.dtype.kind == "f"]
    single = any(x.dtype == np.float32 for x in arrays)
    largest = max([1.0, *(float(np.abs(x[np.isfinite(x)]).max(initial=0)) for x in arrays)])
    tolerance = ROUNDING["float32" if single else "float64"] * largest
    for place, (x, y) in enumerate(pairs):
        if not agree(x, y, tolerance):
            kind = "value" if place < len(expected.values) else "gradient"
            number = place if kind == "value" else place - len(expected.values)
            return f"{kind} {number}: {x!r} against {y!r}"
    return None


def difference_of_errors(expected: Outcome, found: Outcome) -> str | None:
    """Whether both end at the same instruction with the same type of exception."""
    one, other = expected.said[-1], found.said[-1]
    if isinstance(one, RuntimeError) and "modified by an inplace operation" in str(one):
        return None  # PyTorch refuses to go back through a value that rushlight may have kept
    if len(expected.said) != len(found.said) or not isinstance(other, type(one)):
        return f"ends at {expected.stopped} {one!r} against {found.stopped} {other!r}"
    return None


def agree(x: np.ndarray | None, y: np.ndarray | None, tolerance: float) -> bool:
    """Equal up to rounding; NaN equals NaN."""
    if x is None or y is None:
        return x is y
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    if x.dtype.kind != "f":
        return bool(np.array_equal(x, y))
    return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))


def shrink(program: Program, is_faulty: Callable[[Program], bool]) -> Program:
    """The program without every instruction whose absence keeps the fault."""
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
