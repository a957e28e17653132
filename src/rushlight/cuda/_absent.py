"""What every question about a CUDA device comes to when there is none.  Level 12."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.base.device import resolve_device


def no_device(operation: str) -> NoReturn:
    """Raise what using a CUDA device raises anywhere.  Raises: AssertionError."""
    resolve_device("cuda")
    raise AssertionError(f"cuda.{operation} needs a CUDA device")


class NeedsDevice:
    """Base of classes that mean nothing without a device.  Raises: RuntimeError when made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise RuntimeError(f"torch.cuda.{name} requires CUDA support; rushlight runs on the CPU")
