"""PyTorch's `torch.cpu`: the one device there is, seen as an accelerator.  Level 12."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from typing import Any

from rushlight.cpu import amp
from rushlight.tensor.flush import synchronize as compute_pending

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "amp",
    "current_device",
    "current_stream",
    "device_count",
    "get_capabilities",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is a CPU: yes."""
    return True


def is_initialized() -> bool:
    """Whether the CPU was started: yes."""
    return True


def synchronize(device: Any = None) -> None:
    """Compute everything that was recorded so far."""
    compute_pending()


def device_count() -> int:
    """Number of CPUs, as devices: 1."""
    return 1


def current_device() -> str:
    """The current device: "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Choose the device: there is only one."""


def get_capabilities() -> dict[str, Any]:
    """What kind of processor this is."""
    return {"architecture": platform.machine()}


class Stream:
    """A queue of work; the CPU has one."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Wait for another queue: everything runs in the order it was written."""

    def record_event(self) -> None:
        """Mark a moment."""

    def wait_event(self, event: Any) -> None:
        """Wait for a mark."""


class Event:
    """A mark in a queue of work."""

    def query(self) -> bool:
        """Whether the work before the mark is done: it is done by whoever reads it."""
        return True

    def record(self, stream: Any = None) -> None:
        """Set the mark."""

    def synchronize(self) -> None:
        """Compute everything that was recorded so far."""
        compute_pending()

    def wait(self, stream: Any = None) -> None:
        """Let a queue wait for the mark."""


_default_stream = Stream()
_current = [_default_stream]


def current_stream(device: Any = None) -> Stream:
    """The queue that work goes to."""
    return _current[-1]


class StreamContext:
    """Context in which `current_stream` is another one."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            _current.append(self.stream)

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            _current.pop()


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield


def stream(stream: Stream | None) -> Any:
    """Context in which `current_stream` is another one."""
    return _nothing() if stream is None else StreamContext(stream)
