"""Telling what was done and when to those who asked: the profiler, traces, reports.

In: events from the places that do the work: flushes, compiles, kernels, functions under a profiler.
Out: calls of the watchers.  Nobody watches by default, and then a flush asks once whether the list
is empty; recording an operation never asks.  Level 0.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

# Kinds of events.
FLUSH = "flush"  # a tape was executed; name: the reason
PLAN = "plan"  # groups, loop nests and machine code of one plan were made
LIBRARY = "library"  # machine code was compiled or read from disk; name: which of the two
KERNEL = "kernel"  # one kernel ran
REFERENCE = "reference"  # one operation ran by its reference rule
FUNCTION = "function"  # a function of the library was called; see profiler/
RANGE = "range"  # a stretch that the program named
EVENT_KINDS = (FLUSH, PLAN, LIBRARY, KERNEL, REFERENCE, FUNCTION, RANGE)


class Event:
    """Something that lasted from `start` to `end` (seconds of `clock`) on one thread.

    detail: what the kind's teller knows of it; see where it is told.
    """

    __slots__ = ("kind", "name", "start", "end", "thread", "detail")

    def __init__(self, kind: str, name: str, start: float, end: float, detail: Any) -> None:
        self.kind = kind
        self.name = name
        self.start = start
        self.end = end
        self.thread = threading.get_ident()
        self.detail = detail

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r} {self.seconds * 1e6:.1f} us>"


clock = time.perf_counter

watchers: list[Callable[[Event], None]] = []


def tell(kind: str, name: str, start: float, detail: Any = None, end: float | None = None) -> None:
    """Call every watcher with an event that ends now, or at `end`."""
    event = Event(kind, name, start, clock() if end is None else end, detail)
    for watcher in tuple(watchers):
        watcher(event)


class watching:
    """`with watching(function):` calls the function with each event of the block."""

    def __init__(self, watcher: Callable[[Event], None]) -> None:
        self.watcher = watcher

    def __enter__(self) -> None:
        watchers.append(self.watcher)

    def __exit__(self, *exc_info: object) -> None:
        watchers.remove(self.watcher)
