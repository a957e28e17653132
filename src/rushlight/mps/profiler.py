"""PyTorch's `torch.mps.profiler`: there is no such device to profile.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["is_capturing_metal", "is_metal_capture_enabled", "profile", "start", "stop"]


def start(mode: str = "interval", wait_until_completed: bool = False) -> None:
    """Start profiling.  Raises: RuntimeError."""
    raise RuntimeError("mps.profiler needs the MPS backend; rushlight.profiler profiles the CPU")


def stop() -> None:
    """Stop profiling.  Raises: RuntimeError."""
    start()


@contextlib.contextmanager
def profile(mode: str = "interval", wait_until_completed: bool = False) -> Iterator[None]:
    """Profiling as a context.  Raises: RuntimeError."""
    start(mode, wait_until_completed)
    yield


def is_metal_capture_enabled() -> bool:
    """Whether Metal's calls can be recorded: no."""
    return False


def is_capturing_metal() -> bool:
    """Whether Metal's calls are being recorded: no."""
    return False
