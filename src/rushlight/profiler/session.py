"""One stretch of profiling: from watching to a tree of events.  Level: profiler (12).

In: what the engine and the timed functions tell.  Out: an `EventList` in order of time, with each
event inside the one that was running when it began.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.observe import (
    FLUSH,
    FUNCTION,
    KERNEL,
    LIBRARY,
    PLAN,
    RANGE,
    REFERENCE,
    watchers,
)
from rushlight.engine.history import RECORDING, History, Run
from rushlight.profiler import functions
from rushlight.profiler.events import EventList, FunctionEvent
from rushlight.profiler.table import FLOPS, MEMORY
from rushlight.tape.tape import local

# Kind of a run -> (its name in a profile, its category in a Chrome trace).
_NAMES = {
    FUNCTION: ("{name}", "cpu_op"),
    RANGE: ("{name}", "user_annotation"),
    FLUSH: ("rushlight::flush", "cpu_op"),
    PLAN: ("rushlight::compile", "compile"),
    LIBRARY: ("rushlight::{name}", "compile"),
    KERNEL: ("kernel::{name}", "kernel"),
    REFERENCE: ("reference::{name}", "kernel"),
}


@dataclass(frozen=True)
class Options:
    """What a profile notes beside times."""

    record_shapes: bool = False
    profile_memory: bool = False
    with_stack: bool = False
    with_flops: bool = False

    @property
    def columns(self) -> set[str]:
        """The optional columns of its tables."""
        wanted = ((MEMORY, self.profile_memory), (FLOPS, self.with_flops))
        return {column for column, shown in wanted if shown}


class Session:
    """Watches from `start` to `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.history: History | None = None

    def start(self) -> None:
        """What was recorded before is computed first: it is no part of the profile."""
        local.tape.flush("profiler begins")
        self.history = History()
        functions.begin(self.options.record_shapes, self.options.with_stack)
        watchers.append(self.history)

    def stop(self) -> None:
        """What was recorded since is computed: its kernels are part of the profile."""
        assert self.history is not None
        try:
            local.tape.flush("profiler ends")
        finally:
            watchers.remove(self.history)
            functions.end()

    def events(self) -> EventList:
        """Everything seen, in order of time."""
        assert self.history is not None
        runs = [run for run in self.history.runs if run.kind != RECORDING]
        runs.sort(key=lambda run: (run.start, -run.end))
        made = [self._event(place, run) for place, run in enumerate(runs, 1)]
        return EventList(_nested(made), columns=self.options.columns)

    def _event(self, place: int, run: Run) -> FunctionEvent:
        assert self.history is not None
        name, category = _NAMES[run.kind]
        began = self.history.began
        start, end = (run.start - began) * 1e6, (run.end - began) * 1e6
        event = FunctionEvent(place, name.format(name=run.name), run.thread, start, end)
        event.category = category
        event.is_user_annotation = run.kind == RANGE
        if self.options.record_shapes:
            event.input_shapes = [list(shape) for _, shape in run.shapes]
            event.input_types = [dtype for dtype, _ in run.shapes]
        if self.options.with_stack:
            event.stack = _stack(run)
        if run.facts is not None:
            event.flops = run.facts.flops
        event.cpu_memory_usage = run.kept_bytes
        return event


def _stack(run: Run) -> list[str]:
    """Of a function its callers; of a kernel the lines that recorded it."""
    if run.stack:
        return list(run.stack)
    lines = run.facts.lines if run.facts is not None else ()
    if run.line is not None:
        lines = (run.line,)
    return [f"{line.file}({line.number}): {line.spelling or '<module>'}" for line in lines]


def _nested(events: list[FunctionEvent]) -> list[FunctionEvent]:
    """Put each event inside the innermost one of its thread that was open; events are in order.

    A function right inside one of its name is left out: `torch.softmax` calls `F.softmax`.
    """
    kept = []
    open_events: dict[int, list[FunctionEvent]] = {}
    for event in events:
        stack = open_events.setdefault(event.thread, [])
        while stack and stack[-1].time_range.end < event.time_range.end:
            stack.pop()
        while stack and stack[-1].time_range.end <= event.time_range.start:
            stack.pop()
        if stack:
            if event.category == "cpu_op" and event.name == stack[-1].name:
                continue
            stack[-1].append_cpu_child(event)
        stack.append(event)
        kept.append(event)
    for event in reversed(kept):  # what a call kept is part of what its caller kept
        if event.cpu_parent is not None:
            event.cpu_parent.cpu_memory_usage += event.cpu_memory_usage
    return kept
