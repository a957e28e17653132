"""What a random program made: everything it read, raised and left behind; and how two differ."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.base.config import config
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape
from tests.fuzz.program import Instruction, Run, backward, execute, is_half

Program = list[Instruction]
AfterEach = Callable[[Run, int], None]

# How far results of one precision may lie apart, relative to the largest number of a program.
ROUNDING = {"float64": 1e-9, "float32": 3e-4, "float16": 2e-2, "bfloat16": 1e-1}
# What PyTorch says of a dtype that it does not have a function for.
MISSING_DTYPE = ("not implemented for", "Unsupported dtype")


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


def nothing(run: Run, place: int) -> None:
    """What happens after each instruction, unless a judge says otherwise."""


class Outcome:
    """All that a run made: for each instruction what it read or raised, then values and gradients.

    stopped: the place of the first exception, where the run ended; else the program's length.
    exact: for each value, whether every library computes it alike.
    """

    def __init__(self, run: Run, said: list[Any]) -> None:
        self.said = said
        self.answers = run.answers
        self.stopped = len(said)
        kept = [] if failed(said) else run.values
        self.exact = [v.exact for v in kept]
        self.dtypes = [name_of(v.tensor.dtype) for v in run.values]
        self.values = [as_array(v.tensor) for v in kept]
        self.gradients = [] if failed(said) else [gradient_array(x) for x in run.leaves]


def failed(said: list[Any]) -> bool:
    """Whether a run ended with an exception."""
    return bool(said) and isinstance(said[-1], Exception)


def name_of(dtype: Any) -> str:
    """A dtype's name, without its library's."""
    return str(dtype).rpartition(".")[2]


def as_array(tensor: Any) -> np.ndarray:
    """A copy of a tensor's value; 16-bit floats become float32."""
    tensor = tensor.detach()
    return np.array((tensor.float() if is_half(tensor) else tensor).numpy(), order="C")


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
            return Outcome(run, said)
        except RuntimeError as error:
            return Outcome(run, [*said, error.with_traceback(None)])


# ---- the same bits -------------------------------------------------------------------------------


def same_bits(x: Any, y: Any) -> bool:
    """Whether two values read from a program are the same to the bit."""
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return x.dtype == y.dtype and x.shape == y.shape and bits_of(x) == bits_of(y)
    if isinstance(x, Exception):
        return type(x) is type(y)
    return repr(x) == repr(y)


def bits_of(x: np.ndarray) -> bytes:
    """The bytes of an array, in which every NaN is the same one."""
    return np.where(np.isnan(x), np.nan, x).tobytes() if x.dtype.kind == "f" else x.tobytes()


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


# ---- the same up to rounding ---------------------------------------------------------------------


def difference_up_to_rounding(expected: Outcome, found: Outcome) -> str | None:
    """How an outcome differs from another library's or executor's, as a sentence."""
    if failed(expected.said) or failed(found.said):
        return difference_of_errors(expected, found)
    if expected.dtypes != found.dtypes:
        return f"dtypes: {expected.dtypes} against {found.dtypes}"
    values = list(zip(expected.values, found.values))
    gradients = list(zip(expected.gradients, found.gradients))
    tolerance = tolerance_among(expected.dtypes, [x for x, _ in values + gradients])
    for place, (x, y) in enumerate(values):
        if not agree(x, y, 0.0 if expected.exact[place] else tolerance):
            return f"value {place}: {x!r} against {y!r}"
    for place, (x, y) in enumerate(gradients):
        if not agree(x, y, tolerance):
            return f"gradient {place}: {x!r} against {y!r}"
    return None


def tolerance_among(dtypes: list[str], arrays: list[np.ndarray | None]) -> float:
    """What the least precise dtype of a program loses of its largest number."""
    coarsest = max(ROUNDING.get(name, 0.0) for name in [*dtypes, "float64"])
    floats = [x for x in arrays if x is not None and x.dtype.kind == "f"]
    largest = max([1.0, *(float(np.abs(x[np.isfinite(x)]).max(initial=0)) for x in floats)])
    return coarsest * largest


def difference_of_errors(expected: Outcome, found: Outcome) -> str | None:
    """Whether both end at the same instruction with the same type of exception."""
    one, other = expected.said[-1], found.said[-1]
    if isinstance(one, RuntimeError) and "modified by an inplace operation" in str(one):
        return None  # PyTorch refuses to go back through a value that rushlight may have kept
    if isinstance(one, RuntimeError) and any(text in str(one) for text in MISSING_DTYPE):
        return None  # a dtype that PyTorch lacks
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
