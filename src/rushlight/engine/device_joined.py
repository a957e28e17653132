"""Alike launches of a plan that do not wait for each other become one: an optimizer's update is one
launch, however many parameters there are.

In: the steps of a stretch in order.  Out: fewer ones, of which a joined step does the work of
several (`codegen/grid_joined.py`).  A step waits for others of its kernel as long as nothing in
between reads what it writes or writes what it reads, and as long as little memory that would have
been free is held by waiting.  Level 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from rushlight.codegen.grid_joined import joined_kernel, row_of, table_of
from rushlight.engine.device_step import DeviceStep
from rushlight.engine.takeover import Lifetimes
from rushlight.tape.program import OPERATION, OUTPUT

# Bytes that waiting steps may hold of values whose last readers they are.
MOST_HELD = 1 << 20


@dataclass
class JoinedStep(DeviceStep):
    """One launch that does the work of several steps; members: those."""

    members: tuple[DeviceStep, ...] = ()

    def __post_init__(self) -> None:
        width = len(self.kernel.arguments())
        count = len(self.members)
        self.blocks = sum(step.blocks for step in self.members)
        self.pointers = 0
        self.table = table_of([(step.blocks, step.table) for step in self.members])
        rows = [row_of(number, count, width) for number in range(count)]
        self.places = [r + place for r, step in zip(rows, self.members) for place in step.places]
        self.varying = [
            (r + place, slot, floating)
            for r, step in zip(rows, self.members)
            for place, slot, floating in step.varying
        ]


def _joined(steps: list[DeviceStep], backend: Any) -> DeviceStep:
    if len(steps) == 1:
        return steps[0]
    first = steps[0]
    kernel = first.kernel
    joined, entry = backend.loaded(f"joined_{kernel.name}", lambda: joined_kernel(kernel))
    return JoinedStep(
        joined, entry, [slot for step in steps for slot in step.buffers],
        {slot for step in steps for slot in step.written}, [], 0, nest=first.nest,
        group=first.group, part=first.part, members=tuple(steps),
    )  # fmt: skip


class _Waiting:
    """Steps of one kernel that go together; none reads what another one writes."""

    def __init__(self) -> None:
        self.steps: list[DeviceStep] = []
        self.read: set[int] = set()
        self.written: set[int] = set()
        self.held = 0

    def add(self, step: DeviceStep, held: int) -> None:
        self.steps.append(step)
        self.written |= step.written
        self.read |= set(step.buffers) - step.written
        self.held += held

    def is_before(self, read: set[int], written: set[int]) -> bool:
        """Whether something that reads and writes this has to come after."""
        return not self.written.isdisjoint(read | written) or not self.read.isdisjoint(written)


def with_joined_steps(
    sequence: list, values: dict, backend: Any, buffers_of: Callable[[Any], list[int]]
) -> list:
    """The items of a sequence, alike launches joined.

    buffers_of: the slots of memory that an item uses, the one it writes first where it is no step.
    """
    if not backend.driver.joins:
        return sequence
    counts: dict[str, int] = {}
    for item in sequence:
        if isinstance(item, DeviceStep):
            counts[item.function] = counts.get(item.function, 0) + 1
    lifetimes = Lifetimes([buffers_of(item) for item in sequence])
    waiting: dict[str, _Waiting] = {}
    found: list = []

    def go(names: Iterable[str]) -> None:
        found.extend(_joined(waiting.pop(name).steps, backend) for name in names)

    for time, item in enumerate(sequence):
        used = buffers_of(item)
        written = getattr(item, "written", None) or {used[0]}
        read = set(used) - written
        go([name for name, others in waiting.items() if others.is_before(read, written)])
        alone = not isinstance(item, DeviceStep) or bool(item.scratch)
        if alone or counts[item.function] == 1:
            found.append(item)
            continue
        own = waiting.setdefault(item.function, _Waiting())
        own.add(item, sum(_bytes(values[s]) for s in read if lifetimes.last[s] == time))
        if sum(others.held for others in waiting.values()) > MOST_HELD:
            go([item.function])
    go(list(waiting))
    return found


def _bytes(value: Any) -> int:
    """Bytes of a value of a plan that nobody keeps."""
    if value.live or value.source not in (OPERATION, OUTPUT):
        return 0
    return value.numel * value.dtype.itemsize
