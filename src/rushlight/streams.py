"""Streams of devices and events in them: `torch.Stream`, `torch.cuda.Event` and their like.

What was recorded is given to the stream that was current: choosing another one, and marking an
event, flush.  A stream waits where the program says so; values that go from one to another are
waited for in any case (`runtime/device_streams.py`).  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.device import device as Device
from rushlight.engine import cuda
from rushlight.engine.accelerators import KINDS, Accelerators, DeviceBackend
from rushlight.tensor.flush import synchronize as flush

__all__ = ["Event", "ExternalStream", "Stream", "StreamContext"]


def _named(place: Any, kind: Accelerators) -> Accelerators:
    """The kind of a device as PyTorch's functions take it; a number says nothing of it."""
    if place is None or isinstance(place, int):
        return kind
    return KINDS.get(Device(place).type, kind)


def _backend(place: Any, kind: Accelerators, what: str) -> DeviceBackend:
    chosen = _named(place, kind)
    if not chosen.backends():
        name = chosen.name
        raise RuntimeError(
            f"torch.{chosen.kind}.{what} requires {name} support; there is no {name} device here"
        )
    return chosen.backend(place)


class Stream:
    """A queue of work of a device.  Raises: RuntimeError without one.

    priority: smaller ones go first, where the driver has several.
    """

    # Whose devices a number means.
    kind: Accelerators = cuda.kind

    def __init__(
        self, device: Any = None, priority: int = 0, *, made: Any = None, **_: Any
    ) -> None:
        self._backend = _backend(device, self.kind, type(self).__name__)
        self.priority = priority
        self._queue = self._backend.new_stream(priority) if made is None else made

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
        """The driver's handle; 0 of the stream that the device begins with."""
        return self._queue.handle

    @property
    def stream_id(self) -> int:
        """The driver's handle."""
        return self._queue.handle

    def query(self) -> bool:
        """Whether all its work is done."""
        flush()
        return self._queue.mark().reached()

    def synchronize(self) -> None:
        """Wait for its work."""
        flush()
        self._queue.synchronize()

    def wait_event(self, event: Event) -> None:
        """Let further work wait for an event."""
        flush()
        if event._moment is not None:
            self._queue.wait(event._moment)

    def wait_stream(self, stream: Stream) -> None:
        """Let further work wait for what another stream was given."""
        flush()
        self._queue.wait(stream._queue.mark())

    def record_event(self, event: Event | None = None) -> Event:
        """Mark the work asked for so far."""
        made = Event(device=self.device) if event is None else event
        made.record(self)
        return made

    def __enter__(self) -> Stream:
        self._before = current_stream(self.device)
        set_stream(self)
        return self

    def __exit__(self, *_: object) -> None:
        set_stream(self._before)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stream):
            return NotImplemented
        return self._queue is other._queue

    def __hash__(self) -> int:
        return hash(self._queue)

    def __repr__(self) -> str:
        kind, handle = self.device.type, self.cuda_stream
        return f"<torch.{kind}.Stream device={self.device} cuda_stream={handle:#x}>"


class ExternalStream(Stream):
    """A stream that another library made, by the driver's handle; that library ends it.

    Raises: RuntimeError without a device.
    """

    def __init__(self, stream_ptr: int, device: Any = None, **_: Any) -> None:
        backend = _backend(device, self.kind, "ExternalStream")
        super().__init__(backend.device, made=backend.stream_of(stream_ptr))


class Event:
    """A mark behind the work asked for.  Raises: RuntimeError without a device."""

    # Whose devices a number means.
    kind: Accelerators = cuda.kind

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False,
        external: bool = False, *, device: Any = None,
    ) -> None:  # fmt: skip
        self._backend = _backend(device, self.kind, "Event")
        self._timed = enable_timing
        self._moment: Any = None

    @property
    def device(self) -> Device:
        """Whose work it marks."""
        return self._backend.device

    def record(self, stream: Stream | None = None) -> None:
        """Mark the work recorded so far, which begins to run."""
        flush()
        chosen = current_stream(self._backend.device) if stream is None else stream
        self._backend = chosen._backend
        self._moment = chosen._queue.mark()

    def wait(self, stream: Stream | None = None) -> None:
        """Let further work of a stream, the current one unless told otherwise, wait for this."""
        chosen = current_stream(self._backend.device) if stream is None else stream
        chosen.wait_event(self)

    def query(self) -> bool:
        """Whether the work before it is done."""
        return self._moment is None or self._moment.reached()

    def synchronize(self) -> None:
        """Wait for the work before it."""
        if self._moment is not None:
            self._moment.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another.

        Raises: ValueError if one of them was not recorded or does not time.
        """
        if not (self._timed and end_event._timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        if self._moment is None or end_event._moment is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        self.synchronize()
        end_event.synchronize()
        return self._backend.driver.milliseconds(self._moment.mark, end_event._moment.mark)

    def __repr__(self) -> str:
        return f"<torch.{self.device.type}.Event {id(self):#x}>"


class StreamContext:
    """Context in which a stream is the current one; None changes nothing.

    Raises: AssertionError for anything else without a device.
    """

    def __init__(self, stream: Any) -> None:
        if stream is not None:
            _refuse_without_devices(stream)
        self.stream = stream
        self._before: Any = None

    def __enter__(self) -> None:
        if self.stream is not None:
            self._before = current_stream(self.stream.device)
            set_stream(self.stream)

    def __exit__(self, *_: object) -> None:
        if self.stream is not None:
            set_stream(self._before)


def _refuse_without_devices(stream: Any) -> None:
    if not isinstance(stream, Stream):
        cuda.backend()
        raise TypeError(f"a stream is expected, not {type(stream).__name__}")


def current_stream(device: Any = None, *, of: type[Stream] = Stream) -> Stream:
    """The stream that work goes to.  Raises: AssertionError without a device."""
    backend = _named(device, of.kind).backend(device)
    return of(backend.device, made=backend.stream)


def default_stream(device: Any = None, *, of: type[Stream] = Stream) -> Stream:
    """The stream that a device starts with.  Raises: AssertionError without one."""
    backend = _named(device, of.kind).backend(device)
    return of(backend.device, made=backend.allocator.first)


def get_stream_from_external(data_ptr: int, device: Any = None) -> Stream:
    """A stream that another library made.  Raises: AssertionError."""
    return ExternalStream(data_ptr, cuda.backend(device).device)


def set_stream(stream: Any) -> None:
    """Choose this thread's stream of a device; None changes nothing.

    Raises: AssertionError without a device.
    """
    if stream is not None:
        _refuse_without_devices(stream)
        flush()
        stream._backend.choose_stream(stream._queue)


def stream(stream: Any) -> StreamContext:
    """Context in which a stream is the current one; see StreamContext."""
    return StreamContext(stream)
