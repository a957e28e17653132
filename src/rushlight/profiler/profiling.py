"""`torch.profiler.profile`: steps, schedules and what to do with each trace.  Level: profiler (12).

A profile sees calls of PyTorch's functions (`aten::…`), optimizer steps, named ranges, flushes
(`rushlight::flush`), compiles, and kernels (`kernel::…`), each timed where it happens: a function's
row is the time to record it, and its arithmetic is in the kernels.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from rushlight.profiler.events import EventList
from rushlight.profiler.export import export_chrome_trace, export_stacks
from rushlight.profiler.ranges import record_function
from rushlight.profiler.session import Options, Session


class ProfilerActivity(Enum):
    """What may be profiled; only the CPU is there."""

    CPU = 0
    XPU = 1
    CUDA = 2
    MTIA = 3
    PrivateUse1 = 4


class ProfilerAction(Enum):
    """What a schedule says of one step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """The activities that can be profiled here."""
    return {ProfilerActivity.CPU}


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:
    """A function of the step's number: after `skip_first` steps, cycles of `wait` steps ignored,
    `warmup` steps run without notes, and `active` steps profiled; `repeat` cycles, 0 for ever.

    skip_first_wait: nonzero to leave `wait` out of the first cycle.
    Raises: AssertionError for negative numbers and no active step.
    """
    fits = min(wait, warmup, repeat, skip_first) >= 0 and active > 0
    assert fits, (
        f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} "
        f"(need >= 0), active={active} (need > 0), repeat={repeat} (need >= 0), "
        f"skip_first={skip_first} (need >= 0)."
    )
    if warmup == 0:
        warnings.warn(
            "Profiler won't be using warmup, this can skew profiler results", stacklevel=2
        )

    def action(step: int) -> ProfilerAction:
        assert step >= 0, f"Step must be non-negative. Got {step}."
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        length = wait + warmup + active
        if repeat > 0 and step // length >= repeat:
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def _check_activities(activities: Iterable[Any] | None) -> None:
    """Raises: AssertionError if the CPU is not among them."""
    if activities is None:
        return
    wanted = {ProfilerActivity(one) for one in activities}
    assert wanted, "No valid profiler activities found"
    for other in sorted(wanted - supported_activities(), key=lambda one: one.value):
        warnings.warn(
            f"{other.name} is not available, disabling {other.name} profiling", stacklevel=4
        )
    assert wanted & supported_activities(), "No activities specified for the profiler"


class profile:
    """Profile a block, or the steps that a schedule names.

    activities: of ProfilerActivity; others than the CPU are left out with a warning.
    schedule: function of the step's number to a ProfilerAction; `step()` ends a step.
    on_trace_ready: called with this object when a trace is complete.
    record_shapes, profile_memory, with_stack, with_flops: what to note beside times: shapes of
        operands, bytes of values kept, callers, floating-point operations of kernels.
    acc_events: keep the events of all cycles, not of the last alone.
    The other arguments are PyTorch's and change nothing here.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        _check_activities(activities)
        self.schedule = schedule or _always
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.options = Options(record_shapes, profile_memory, with_stack, with_flops)
        self.acc_events = acc_events
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._metadata: dict[str, Any] = {}
        self._session: Session | None = None
        self._events: EventList | None = None
        self._step_range: record_function | None = None

    # ---- running -------------------------------------------------------------------------------

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self._begin()

    def stop(self) -> None:
        """End; a trace that is being recorded is complete."""
        recording = self.current_action in RECORDING
        self._end()
        if recording and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """The next step begins."""
        before = self.current_action
        self._end_step_range()
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        saves = before is ProfilerAction.RECORD_AND_SAVE
        if saves or (before in RECORDING) != (self.current_action in RECORDING):
            self._end()
            if saves and self.on_trace_ready is not None:
                self.on_trace_ready(self)
            self._begin()
        else:
            self._begin_step_range()

    def _begin(self) -> None:
        if self.current_action in RECORDING and self._session is None:
            self._session = Session(self.options)
            self._session.start()
        self._begin_step_range()

    def _end(self) -> None:
        self._end_step_range()
        session, self._session = self._session, None
        if session is None:
            return
        session.stop()
        events = session.events()
        if self.acc_events and self._events is not None:
            events = EventList([*self._events, *events], columns=events.columns)
        self._events = events

    def _begin_step_range(self) -> None:
        if self.record_steps and self._session is not None:
            self._step_range = record_function(f"ProfilerStep#{self.step_num}")
            self._step_range.__enter__()

    def _end_step_range(self) -> None:
        if self._step_range is not None:
            self._step_range.__exit__(None, None, None)
            self._step_range = None

    # ---- results -------------------------------------------------------------------------------

    def events(self) -> EventList:
        """The events of the last trace.  Raises: AssertionError before there is one."""
        return self._complete("accessing events")

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """Events of the last trace, averaged by name (and shapes, and frames of the stack)."""
        events = self._complete("getting key averages")
        return events.key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def _complete(self, purpose: str) -> EventList:
        assert self._events is not None, f"Profiler must be initialized before {purpose}"
        return self._events

    def export_chrome_trace(self, path: str | os.PathLike, use_python_export: bool = False) -> None:
        """Write the last trace in Chrome's format; compressed if the name ends in .gz."""
        export_chrome_trace(self._complete("exporting chrome trace"), path, self._metadata)

    def export_stacks(self, path: str | os.PathLike, metric: str = "self_cpu_time_total") -> None:
        """Write stacks with their times, for a flame graph.

        Raises: AssertionError without `with_stack`; ValueError for another metric.
        """
        assert self.options.with_stack, "export_stacks() requires with_stack=True"
        export_stacks(self._complete("exporting stacks"), path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Put a text into the exported trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Put a value, given as JSON, into the exported trace."""
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json
