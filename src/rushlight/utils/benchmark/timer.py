"""Timer: runs a statement in blocks long enough for the clock.  Level 12.

In: a statement as text. Out: a Measurement. What a statement's last expression computes is computed
inside each run: operations are recorded and done later, so a run ends with a flush while its result
is still there. Source: torch.utils.benchmark.Timer.
"""

from __future__ import annotations

import ast
import enum
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.tensor.flush import synchronize
from rushlight.utils.benchmark.measurement import Measurement, TaskSpec, set_torch_threads

_RESULT, _DONE = "_result_of_the_statement", "_compute_what_was_recorded"


def timer() -> float:
    """The clock, after everything recorded is done."""
    synchronize()
    return time.perf_counter()


class Language(enum.Enum):
    """What a statement is written in."""

    PYTHON = 0
    CPP = 1


def _computing(stmt: str) -> str:
    """The statement, its last value kept until it was computed."""
    tree = ast.parse(stmt)
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        target = ast.Name(_RESULT, ast.Store())
        tree.body[-1] = ast.Assign([target], tree.body[-1].value)
    tree.body.append(ast.Expr(ast.Call(ast.Name(_DONE, ast.Load()), [], [])))
    return ast.unparse(ast.fix_missing_locations(tree))


class Timer:
    """Times `stmt` after `setup`, with `globals` in sight and `num_threads` threads.

    label, sub_label, description: table, row and column in `Compare`.
    Raises: NotImplementedError for C++: there is no compiler of it here.
    """

    _timer_cls = timeit.Timer

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Language | str = Language.PYTHON,
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        names = {"py": Language.PYTHON, "python": Language.PYTHON}
        names.update({"cpp": Language.CPP, "c++": Language.CPP})
        chosen = names.get(str(language).lower(), language)
        if chosen is Language.CPP:
            raise NotImplementedError("Timer: statements in C++ cannot be compiled here")
        if chosen is not Language.PYTHON:
            raise ValueError(f"Timer: language must be Language.PYTHON, got {language!r}")
        if global_setup:
            raise ValueError("global_setup is C++ only; put it into setup")
        stmt = _dedented(stmt)
        self._globals = {**(globals or {}), _DONE: synchronize}
        self._task_spec = TaskSpec(
            stmt=stmt,
            setup=_dedented(setup),
            global_setup="",
            label=label,
            sub_label=sub_label,
            description=description,
            env=env,
            num_threads=num_threads,
        )
        self._timer = timeit.Timer(
            stmt=_computing(stmt), setup=self._task_spec.setup, timer=timer, globals=self._globals
        )

    def _time(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """One block of `number` runs, after one of a hundredth as many."""
        with set_torch_threads(self._task_spec.num_threads):
            self._time(max(number // 100, 2))
            return Measurement(number, [self._time(number)], self._task_spec)

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """Raises: NotImplementedError always, as in PyTorch; use blocked_autorange."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Callable[[int, float], Any] | None = None) -> None:
        """Raises: NotImplementedError always, as in PyTorch; use blocked_autorange."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block_size(self, min_run_time: float) -> int:
        """Runs in a block: so many that reading the clock costs little beside them."""
        clock = float(np.median([self._timer.timeit(0) for _ in range(5)]))
        number = 1
        while True:
            taken = self._time(number)
            if clock / taken <= 1e-4 and taken >= min_run_time / 1000:
                return number
            if taken > min_run_time:
                return number
            number *= 10

    def _blocks(self, number: int, enough: Callable[[list[float]], bool]) -> Iterator[float]:
        times: list[float] = []
        while not enough(times):
            times.append(self._time(number))
            yield times[-1]

    def blocked_autorange(
        self,
        callback: Callable[[int, float], Any] | None = None,
        min_run_time: float = 0.2,
    ) -> Measurement:
        """Blocks for `min_run_time` seconds."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block_size(min_run_time)
            times = []
            for taken in self._blocks(number, lambda found: sum(found) >= min_run_time):
                times.append(taken)
                if callback is not None:
                    callback(number, taken)
            return Measurement(number, times, self._task_spec)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Blocks until their spread is below `threshold` of the median, or for `max_run_time`."""
        with set_torch_threads(self._task_spec.num_threads):
            number = self._block_size(0.05)

            def enough(times: list[float]) -> bool:
                if sum(times) >= max_run_time:
                    return True
                if len(times) <= 3 or sum(times) < min_run_time:
                    return False
                return Measurement(number, times, self._task_spec).meets_confidence(threshold)

            times = []
            for taken in self._blocks(number, enough):
                times.append(taken)
                if callback is not None:
                    callback(number, taken)
            return Measurement(number, times, self._task_spec)

    def collect_callgrind(self, *args: Any, **options: Any) -> Any:
        """Raises: NotImplementedError always: Valgrind sees no machine code made at run time."""
        raise NotImplementedError(
            "collect_callgrind: instructions are not counted here, since Valgrind cannot follow "
            "machine code made at run time; use blocked_autorange"
        )


def _dedented(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "pass"
    margin = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[margin:] for line in text.splitlines()).strip()
