"""What a profile gives: events, their averages by name, and lists of them, as PyTorch's.

Times are microseconds.  A device other than the CPU never appears; its times are 0 where PyTorch
has an attribute for them.  Level: profiler (12).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from rushlight.profiler.table import build_table, format_time


class DeviceType(IntEnum):
    """Where something ran."""

    CPU = 0


@dataclass
class Interval:
    """A stretch of time in microseconds since the profile began."""

    start: float
    end: float

    def elapsed_us(self) -> float:
        """Its length."""
        return self.end - self.start


class FormattedTimes:
    """Times as text, and the times of devices that there are none of."""

    cpu_time_total: float
    self_cpu_time_total: float
    count: int

    device_time_total = self_device_time_total = 0.0
    cuda_time_total = self_cuda_time_total = 0.0
    device_memory_usage = self_device_memory_usage = 0
    cuda_time = device_time = 0.0

    @property
    def cpu_time(self) -> float:
        """The mean."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        """The mean, with its unit."""
        return format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        """The total, with its unit."""
        return format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        """The total without what was called, with its unit."""
        return format_time(self.self_cpu_time_total)


class FunctionEvent(FormattedTimes):
    """One call, kernel, flush or named range.

    trace_name: the name with the number of a profiler's step.
    input_shapes: a list of sizes for each operand, where shapes were recorded.
    stack: `file(line): function` of the callers, innermost first, where stacks were recorded.
    cpu_parent, cpu_children: the event around it, and those right inside it.
    """

    def __init__(self, id: int, name: str, thread: int, start: float, end: float) -> None:
        self.id = id
        self.trace_name = name
        # All steps of a profiler are one row.
        self.name = "ProfilerStep*" if name.startswith("ProfilerStep#") else name
        self.thread = thread
        self.time_range = Interval(start, end)
        self.count = 1
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.input_shapes: list[list[int]] = []
        self.input_types: list[str] = []
        self.stack: list[str] = []
        self.flops: int | None = None
        self.category = "cpu_op"
        self.cpu_memory_usage = 0
        self.device_type = DeviceType.CPU
        self.is_async = self.is_remote = self.is_legacy = False
        self.is_user_annotation = False
        self.overload_name = ""
        self.kernels: list[Any] = []

    @property
    def key(self) -> str:
        """What averages are taken over: the name."""
        return self.name

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """From beginning to end."""
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Without the events inside it."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def self_cpu_memory_usage(self) -> int:
        """Without the events inside it."""
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children)

    def append_cpu_child(self, child: FunctionEvent) -> None:
        """Put an event inside this one."""
        child.cpu_parent = self
        self.cpu_children.append(child)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} device_type=DeviceType.CPU "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start:.3f} "
            f"end_us={self.time_range.end:.3f} "
            f"cpu_children={[child.id for child in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


class FunctionEventAvg(FormattedTimes):
    """Events of one key, added up."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.count = 0
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0
        self.input_shapes: Any = None
        self.stack: list[str] = []
        self.cpu_memory_usage = 0
        self.self_cpu_memory_usage = 0
        self.flops = 0
        self.is_user_annotation = False
        self.device_type = DeviceType.CPU

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Add an event, or another sum."""
        # A function that calls itself must not count its time twice in the total.
        if not (isinstance(other, FunctionEvent) and _inside_its_like(other)):
            self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        self.cpu_memory_usage += other.cpu_memory_usage
        self.self_cpu_memory_usage += other.self_cpu_memory_usage
        self.count += other.count
        self.flops += other.flops or 0
        return self

    def __iadd__(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        return self.add(other)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes or ''} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


def _inside_its_like(event: FunctionEvent) -> bool:
    parent = event.cpu_parent
    while parent is not None:
        if parent.key == event.key:
            return True
        parent = parent.cpu_parent
    return False


class EventList(list):
    """Events or averages; prints as a table."""

    def __init__(self, events: Iterable = (), *, columns: Iterable[str] = ()) -> None:
        super().__init__(events)
        self.columns = frozenset(columns)  # optional ones: memory, flops, shapes, stacks

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Of all events."""
        return sum(event.self_cpu_time_total for event in self)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as text.

        sort_by: an attribute to sort by, largest first, such as "cpu_time_total",
        "self_cpu_time_total", "cpu_memory_usage" or "count".
        row_limit: most rows; negative for all.
        time_unit: "s", "ms" or "us" for all times.
        Raises: AttributeError if events have no `sort_by`.
        """
        events = list(self)
        if sort_by is not None:
            events.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        if top_level_events_only:
            events = [event for event in events if getattr(event, "cpu_parent", None) is None]
        widths = (max_name_column_width, max_shapes_column_width, max_src_column_width)
        return build_table(
            events, self.self_cpu_time_total, self.columns, row_limit, widths, header, time_unit
        )

    def key_averages(
        self,
        group_by_input_shapes: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """One average for each name; with shapes or so many frames of the stack, for each of
        those too."""
        groups: defaultdict[tuple, FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key: tuple = (event.key,)
            if group_by_input_shapes:
                key = (*key, str(event.input_shapes))
            if group_by_stack_n > 0:
                key = (*key, tuple(event.stack[:group_by_stack_n]))
            group = groups[key]
            group.key = event.key
            group.is_user_annotation = event.is_user_annotation
            if group_by_input_shapes:
                group.input_shapes = event.input_shapes
            if group_by_stack_n > 0:
                group.stack = event.stack[:group_by_stack_n]
            group.add(event)
        columns = set(self.columns) - {"shapes", "stacks"}
        if group_by_input_shapes:
            columns.add("shapes")
        if group_by_stack_n > 0:
            columns.add("stacks")
        return EventList(groups.values(), columns=columns)

    def total_average(self) -> FunctionEventAvg:
        """Everything in one sum."""
        total = FunctionEventAvg("Total")
        for event in self:
            total.add(event)
        return total
