"""PyTorch's `torch.cuda.streams`: no device, so no stream can be made.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.cuda._absent import NeedsDevice, no_device

__all__ = ["Event", "ExternalStream", "Stream", "StreamContext"]


class Stream(NeedsDevice):
    """A stream of a device.  Raises: RuntimeError."""


class ExternalStream(Stream):
    """A stream that another library made.  Raises: RuntimeError."""


class Event(NeedsDevice):
    """An event of a stream.  Raises: RuntimeError."""


class StreamContext:
    """Context that would choose a stream; for None it changes nothing.

    Raises: AssertionError for anything but None.
    """

    def __init__(self, stream: Any) -> None:
        if stream is not None:
            no_device("stream")

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def current_stream(device: Any = None) -> Any:
    """The current stream.  Raises: AssertionError."""
    no_device("current_stream")


def default_stream(device: Any = None) -> Any:
    """The stream that a device starts with.  Raises: AssertionError."""
    no_device("default_stream")


def get_stream_from_external(data_ptr: int, device: Any = None) -> Any:
    """A stream that another library made.  Raises: AssertionError."""
    no_device("get_stream_from_external")


def set_stream(stream: Any) -> None:
    """Choose the current stream; None changes nothing.  Raises: AssertionError."""
    if stream is not None:
        no_device("set_stream")


def stream(stream: Any) -> StreamContext:
    """Context that would choose a stream; see StreamContext."""
    return StreamContext(stream)
