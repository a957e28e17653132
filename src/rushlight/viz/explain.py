"""`rushlight.explain(f, x)`: run a function once and say what became of it.

In: a function and its arguments.  Out: an `Explanation`, which prints as a report: tapes and why
they were flushed, groups and why others were not joined to them, kernels with times, operations
without kernels, hits of the memo.  It reads what the memo, the scheduler and the engine noted
while they worked; nothing is analyzed a second time.  Level: viz (12).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rushlight.base.observe import FLUSH, KERNEL, LIBRARY, PLAN, REFERENCE, clock, watching
from rushlight.base.stats import stats
from rushlight.engine.history import History, Run
from rushlight.engine.report import group_names, plan_text, plans_in, speed_text
from rushlight.tape.memo import departures
from rushlight.tape.tape import local
from rushlight.viz.recompiled import Recompilation, recompilations_since

_NAME_WIDTH = 44


class Explanation:
    """What one call did.

    result: what the function returned.  seconds: from its beginning to the last value computed.
    recorded: operations recorded; missed: those the memo did not know; branched: those it knew on
    another path; hits: those it expected.
    flushes, kernels, references, compiles: Runs (`engine/history.py`) of each kind, in order.
    reasons: operation and reason -> how often it was computed by its reference rule.
    refusals: (group's name, operation, reason) for everything that was not joined to a group.
    departures: where the recording left the known paths, as `why_recompiled` says it.
    """

    def __init__(self, name: str, history: History, counts: dict[str, Any]) -> None:
        self.name = name
        self.result: Any = None
        self.seconds = 0.0
        self.flushes = history.of_kind(FLUSH)
        self.kernels = history.of_kind(KERNEL)
        self.references = history.of_kind(REFERENCE)
        self.compiles = history.of_kind(PLAN)
        self.libraries = history.of_kind(LIBRARY)
        self.recorded: int = counts["recorded"]
        self.missed: int = counts["missed"]
        self.branched: int = counts["branched"]
        self.reasons: dict[str, int] = counts["reasons"]
        self.departures: list[Recompilation] = counts["departures"]
        self._runs = history.runs

    @property
    def hits(self) -> int:
        """Recorded operations that the memo expected."""
        return max(self.recorded - self.missed - self.branched, 0)

    @property
    def flops(self) -> int:
        """Floating-point operations of all kernels; a function such as exp counts as one."""
        return sum(run.facts.flops for run in self.kernels if run.facts is not None)

    @property
    def bytes_moved(self) -> int:
        """Bytes that all kernels must read and write at least."""
        return sum(run.facts.moved for run in self.kernels if run.facts is not None)

    @property
    def refusals(self) -> list[tuple[str, str, str]]:
        """(group, operation, reason), each once, in order."""
        found: dict[tuple[str, str, str], None] = {}
        for flush in self.flushes:
            if flush.compiled is None:
                continue
            for _, plan in plans_in(flush.compiled):
                names = group_names(plan)
                values = plan.schedule.program.values
                for position, group in enumerate(plan.schedule.groups):
                    for slot, reason in group.refused:
                        found[names[position], repr(values[slot]), reason] = None
        return list(found)

    def __repr__(self) -> str:
        return (
            f"<Explanation of {self.name}: {len(self.flushes)} flushes, {len(self.kernels)} "
            f"kernels, {len(self.references)} operations by reference rules>"
        )

    def __str__(self) -> str:
        parts = [self._summary()]
        shown: set[int] = set()
        for number, flush in enumerate(self.flushes, 1):
            parts.append(self._flush_text(number, flush, shown))
        if self.departures:
            parts.append("left the known paths:")
            parts += [f"  {departure}" for departure in self.departures]
        return "\n".join(parts)

    def _summary(self) -> str:
        lines = [
            f"{self.name}: {self.seconds * 1e3:.2f} ms",
            f"  recorded {self.recorded} operations: {self.hits} as the memo expected, "
            f"{self.missed} new, {self.branched} on another known path",
            f"  flushed {len(self.flushes)} times: {_tally(run.name for run in self.flushes)}",
            f"  ran {len(self.kernels)} kernels in {_milliseconds(self.kernels)}: "
            f"{self.flops / 1e9:.3g} GFLOP, {_size(self.bytes_moved)} moved",
            f"  compiled {len(self.compiles)} plans in {_milliseconds(self.compiles)}, machine "
            f"code of {len(self.libraries)} kernels new to this process",
        ]
        if self.references:
            lines.append(
                f"  computed {len(self.references)} operations by reference rules in "
                f"{_milliseconds(self.references)}: {_tally(run.name for run in self.references)}"
            )
        lines += [f"    {reason}" for reason in self.reasons]
        return "\n".join(lines)

    def _flush_text(self, number: int, flush: Run, shown: set[int]) -> str:
        run, dropped, kept = flush.counts
        at = f" at {flush.line.file}:{flush.line.number}" if flush.line else ""
        lines = [
            f"flush {number}: {flush.name}{at}",
            f"  {run} operations run, {dropped} dropped, {kept} values kept "
            f"({_size(flush.kept_bytes)}), {_scratch(flush)}{flush.seconds * 1e3:.2f} ms",
        ]
        for ran in self._runs:
            if ran.start < flush.start or ran.end > flush.end or ran.thread != flush.thread:
                continue
            if ran.kind == KERNEL and ran.facts is not None:
                speed = _speed(ran)
                lines.append(f"  {ran.name:{_NAME_WIDTH}} {ran.seconds * 1e6:9.1f} us {speed}")
            elif ran.kind == REFERENCE:
                lines.append(f"  {ran.name:{_NAME_WIDTH}} {ran.seconds * 1e6:9.1f} us  "
                             "by its reference rule")  # fmt: skip
        if flush.compiled is None:
            lines += ["  " + line for line in ["tape:", *flush.tape.split("\n")]]
        elif id(flush.compiled) in shown:
            lines.append("  the plan of an earlier flush")
        else:
            shown.add(id(flush.compiled))
            lines += ["  " + line for line in plan_text(flush.compiled).split("\n")]
        return "\n".join(lines)


def _scratch(flush: Run) -> str:
    if flush.compiled is None:
        return ""
    total = sum(plan.arena_bytes for _, plan in plans_in(flush.compiled))
    return f"{_size(total)} for the rest, "


def _speed(kernel: Run) -> str:
    """How fast a kernel was; what share that is of this machine's speed is known of the CPU."""
    backend = getattr(kernel.compiled, "backend", None)
    if backend is None:
        return speed_text(kernel.facts, kernel.seconds)
    assert kernel.facts is not None
    return (
        f"{kernel.facts.flops / kernel.seconds / 1e9:7.1f} GFLOP/s "
        f"{kernel.facts.moved / kernel.seconds / 1e9:6.1f} GB/s on {backend.device}"
    )


def _size(count: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _milliseconds(runs: list[Run]) -> str:
    return f"{sum(run.seconds for run in runs) * 1e3:.2f} ms"


def _tally(names: Any) -> str:
    counted = Counter(names)
    return ", ".join(f"{name} ({n})" if n > 1 else name for name, n in counted.items()) or "never"


def explain(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
    """Call `function(*args, **kwargs)` once, and say what was recorded, fused, compiled and run.

    What was recorded before is computed first; what the call recorded is computed before this
    returns.  Print the result.  Raises: TypeError unless `function` can be called; what the
    function raises.
    """
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(f"explain: expected a function and its arguments, got {kind}")
    local.tape.flush("explain begins")
    before = stats.snapshot()
    last = departures[-1] if departures else None
    history = History(with_tapes=True)
    with watching(history):
        started = clock()
        result = function(*args, **kwargs)
        local.tape.flush("explain ends")
        seconds = clock() - started
    after = stats.snapshot()
    counts = {
        "recorded": _grown(before, after, "operations_executed")
        + _grown(before, after, "operations_dropped"),
        "missed": _grown(before, after, "operations_missed"),
        "branched": _grown(before, after, "memo_branches"),
        "reasons": _new_reasons(before, after),
        "departures": recompilations_since(last),
    }
    name = getattr(function, "__qualname__", None) or type(function).__name__
    explanation = Explanation(name, history, counts)
    explanation.result = result
    explanation.seconds = seconds
    return explanation


def _grown(before: dict[str, Any], after: dict[str, Any], name: str) -> int:
    return int(after[name] - before[name])


def _new_reasons(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    old = before["fallback_reasons"]
    return {
        reason: count - old.get(reason, 0)
        for reason, count in after["fallback_reasons"].items()
        if count != old.get(reason, 0)
    }
