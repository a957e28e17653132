"""Streams of devices and events in them: `torch.Stream`, `torch.cuda.Event` and their like.

All work on a device runs in the order in which the program asks for it, so a stream is a name:
waiting for another is never needed, and never wrong.  Level 12.
"""

from __future__ import annotations

import itertools
from typing import Any

from rushlight.base.device import device as Device
from rushlight.engine import cuda
from rushlight.tensor.flush import synchronize as flush

__all__ = ["Event", "ExternalStream", "Stream", "StreamContext"]

_numbers = itertools.count(1)


def _backend(place: Any, what: str) -> cuda.CudaBackend:
    if not cuda.backends():
        raise RuntimeError(f"torch.cuda.{what} requires CUDA support; there is no CUDA device here")
    return cuda.backend(place)


class Stream:
    """A queue of work of a device.  Raises: RuntimeError without one.

    priority: kept, and of no consequence.
    """

    def __init__(
        self, device: Any = None, priority: int = 0, *, stream_id: int | None = None, **_: Any
    ) -> None:
        self._backend = _backend(device, type(self).__name__)
        self.priority = priority
        self.stream_id = next(_numbers) if stream_id is None else stream_id

    @property
    def device(self) -> Device:
        """Whose work it is."""
        return self._backend.device

    @property
    def device_index(self) -> int:
        """The number of the device."""
        return self._backend.index

    @property
    def cuda_stream(self) -> int:
        """The driver's handle."""
        return self.stream_id

    def query(self) -> bool:
        """Whether all its work is done."""
        flush()
        return self._backend.driver.reached(self._backend.driver.mark(self._backend.index))

    def synchronize(self) -> None:
        """Wait for its work."""
        flush()
        self._backend.synchronize()

    def wait_event(self, event: Event) -> None:
        """Let further work wait for an event: it does."""

    def wait_stream(self, stream: Stream) -> None:
        """Let further work wait for another stream's: it does."""

    def record_event(self, event: Event | None = None) -> Event:
        """Mark the work asked for so far."""
        made = Event() if event is None else event
        made.record(self)
        return made

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stream):
            return NotImplemented
        return (self.stream_id, self.device) == (other.stream_id, other.device)

    def __hash__(self) -> int:
        return hash((self.stream_id, self.device))

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.stream_id:#x}>"


class ExternalStream(Stream):
    """A stream that another library made.  Raises: NotImplementedError."""

    def __init__(self, stream_ptr: int, device: Any = None, **_: Any) -> None:
        _backend(device, "ExternalStream")
        raise NotImplementedError("ExternalStream: work goes through rushlight's own stream only")


class Event:
    """A mark behind the work asked for.  Raises: RuntimeError without a device."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False,
        external: bool = False, *, device: Any = None,
    ) -> None:  # fmt: skip
        self._backend = _backend(device, "Event")
        self._timed = enable_timing
        self._mark: Any = None

    @property
    def device(self) -> Device:
        """Whose work it marks."""
        return self._backend.device

    def record(self, stream: Stream | None = None) -> None:
        """Mark the work recorded so far, which begins to run."""
        flush()
        if stream is not None:
            self._backend = stream._backend
        self._mark = self._backend.driver.mark(self._backend.index)

    def wait(self, stream: Stream | None = None) -> None:
        """Let further work wait for this: it does."""

    def query(self) -> bool:
        """Whether the work before it is done."""
        return self._mark is None or self._backend.driver.reached(self._mark)

    def synchronize(self) -> None:
        """Wait for the work before it."""
        if self._mark is not None:
            self._backend.driver.wait(self._mark)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another.

        Raises: ValueError if one of them was not recorded or does not time.
        """
        if not (self._timed and end_event._timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._mark is None or end_event._mark is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        self.synchronize()
        end_event.synchronize()
        return self._backend.driver.milliseconds(self._mark, end_event._mark)

    def __repr__(self) -> str:
        return f"<torch.cuda.Event {id(self):#x}>"


class _Chosen:
    """The stream of each device that the program chose."""

    streams: dict[Device, Stream] = {}


class StreamContext:
    """Context in which a stream is the current one; None changes nothing.

    Raises: AssertionError for anything else without a device.
    """

    def __init__(self, stream: Any) -> None:
        if stream is not None:
            cuda.backend()
        self.stream = stream
        self._before: Any = None

    def __enter__(self) -> None:
        if self.stream is not None:
            self._before = current_stream(self.stream.device)
            set_stream(self.stream)

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            set_stream(self._before)


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to.  Raises: AssertionError without a device."""
    place = cuda.backend(device).device
    found = _Chosen.streams.get(place)
    return default_stream(place) if found is None else found


def default_stream(device: Any = None) -> Stream:
    """The stream that a device starts with.  Raises: AssertionError without one."""
    return Stream(cuda.backend(device).device, stream_id=0)


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """A stream that another library made.  Raises: AssertionError, NotImplementedError."""
    cuda.backend(device)
    return ExternalStream(data_ptr, device)


def set_stream(stream: Any) -> None:
    """Choose the current stream; None changes nothing.  Raises: AssertionError without a device."""
    if stream is not None:
        cuda.backend()
        _Chosen.streams[stream.device] = stream


def stream(stream: Any) -> StreamContext:
    """Context in which a stream is the current one; see StreamContext."""
    return StreamContext(stream)
