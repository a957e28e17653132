"""PyTorch's `torch.cuda.profiler`: NVIDIA's profiler of a device.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rushlight.cuda._absent import unsupported

__all__ = ["init", "profile", "start", "stop"]


def init(output_file: str, flags: list[str] | None = None, output_mode: str = "key_value") -> None:
    """Set the profiler up.  Raises: AssertionError."""
    unsupported("profiler.init")


def start() -> None:
    """Start profiling.  Raises: AssertionError."""
    unsupported("profiler.start")


def stop() -> None:
    """Stop profiling.  Raises: AssertionError."""
    unsupported("profiler.stop")


@contextlib.contextmanager
def profile() -> Iterator[None]:
    """Profiling as a context.  Raises: AssertionError."""
    start()
    yield
    stop()
