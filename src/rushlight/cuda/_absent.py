"""What questions about CUDA come to that nothing here answers.  Level 12."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.engine import cuda


def unsupported(operation: str) -> NoReturn:
    """Raise what is raised without a device, or say that it is not done here.

    Raises: AssertionError without a device, NotImplementedError with one.
    """
    cuda.backend()
    raise NotImplementedError(f"torch.cuda.{operation} is not supported by rushlight")


class NeedsDevice:
    """Base of classes that are not supported.  Raises: RuntimeError when made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        if not cuda.backends():
            raise RuntimeError(
                f"torch.cuda.{name} requires CUDA support; there is no CUDA device here"
            )
        raise RuntimeError(f"torch.cuda.{name} is not supported by rushlight")
