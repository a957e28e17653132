"""PyTorch's `torch.monitor`: counters and events that a program hands to its own listeners.

Level 12.
"""

from __future__ import annotations

import datetime
import enum
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Aggregation",
    "Event",
    "EventHandlerHandle",
    "Stat",
    "data_value_t",
    "log_event",
    "register_event_handler",
    "unregister_event_handler",
]

data_value_t = Any


class Aggregation(enum.Enum):
    """What a Stat makes of the numbers of an interval."""

    VALUE = 0
    MEAN = 1
    COUNT = 2
    SUM = 3
    MAX = 4
    MIN = 5


@dataclass
class Event:
    """Something that happened: a name, a time, and data by name."""

    name: str
    timestamp: datetime.datetime
    data: dict[str, Any] = field(default_factory=dict)


class EventHandlerHandle:
    """Names a registered handler."""

    def __init__(self, handler: Callable[[Event], None]) -> None:
        self.handler = handler


_handlers: list[EventHandlerHandle] = []


def register_event_handler(callback: Callable[[Event], None]) -> EventHandlerHandle:
    """Have a function called with every event."""
    handle = EventHandlerHandle(callback)
    _handlers.append(handle)
    return handle


def unregister_event_handler(handler: EventHandlerHandle) -> None:
    """Stop calling the function."""
    _handlers.remove(handler)


def log_event(event: Event) -> None:
    """Hand an event to every handler."""
    for handle in list(_handlers):
        handle.handler(event)


class Stat:
    """Numbers gathered over an interval of `window_size` seconds, or of `max_samples` numbers, and
    then logged as one event."""

    def __init__(
        self,
        name: str,
        aggregations: Iterable[Aggregation],
        window_size: datetime.timedelta,
        max_samples: int | None = None,
    ) -> None:
        self._name = name
        self._aggregations = list(aggregations)
        self._window = window_size.total_seconds()
        self._most = max_samples
        self._began = time.monotonic()
        self._numbers: list[float] = []

    @property
    def name(self) -> str:
        """The name of the numbers."""
        return self._name

    @property
    def count(self) -> int:
        """Numbers in this interval so far."""
        self._close_if_over()
        return len(self._numbers)

    def add(self, v: float) -> None:
        """Add a number."""
        self._close_if_over()
        if self._most is None or len(self._numbers) < self._most:
            self._numbers.append(float(v))
        if self._most is not None and len(self._numbers) >= self._most:
            self._log()

    def get(self) -> dict[Aggregation, float]:
        """The aggregations of this interval so far."""
        self._close_if_over()
        return self._aggregated()

    def _close_if_over(self) -> None:
        if time.monotonic() - self._began >= self._window:
            self._log()
            self._began = time.monotonic()

    def _aggregated(self) -> dict[Aggregation, float]:
        numbers = self._numbers
        rules: dict[Aggregation, Callable[[], float]] = {
            Aggregation.VALUE: lambda: numbers[-1],
            Aggregation.MEAN: lambda: sum(numbers) / len(numbers),
            Aggregation.COUNT: lambda: float(len(numbers)),
            Aggregation.SUM: lambda: sum(numbers),
            Aggregation.MAX: lambda: max(numbers),
            Aggregation.MIN: lambda: min(numbers),
        }
        return {kind: rules[kind]() if numbers else 0.0 for kind in self._aggregations}

    def _log(self) -> None:
        if self._numbers and _handlers:
            values = self._aggregated()
            data = {f"{self._name}.{kind.name.lower()}": value for kind, value in values.items()}
            log_event(Event("torch.monitor.Stat", datetime.datetime.now(), data))
        self._numbers = []
