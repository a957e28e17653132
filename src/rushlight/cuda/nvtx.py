"""PyTorch's `torch.cuda.nvtx`: marks for NVIDIA's profiler; using them raises RuntimeError.

Level 12.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]


def _refuse() -> NoReturn:
    raise RuntimeError(
        "NVTX functions not installed. Are you sure you have a CUDA build? rushlight.profiler"
        " has record_function for marks on the CPU"
    )


def range_push(msg: str) -> int:
    """Begin a range.  Raises: RuntimeError."""
    _refuse()


def range_pop() -> int:
    """End the innermost range.  Raises: RuntimeError."""
    _refuse()


def range_start(msg: str) -> Any:
    """Begin a range that any thread may end.  Raises: RuntimeError."""
    _refuse()


def range_end(range_id: Any) -> None:
    """End a range.  Raises: RuntimeError."""
    _refuse()


def mark(msg: str) -> None:
    """Mark a moment.  Raises: RuntimeError."""
    _refuse()


@contextlib.contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:  # noqa: A001 - PyTorch's name
    """A range as a context.  Raises: RuntimeError."""
    _refuse()
    yield
