"""PyTorch's `torch.cuda.nccl`: collectives between devices; there are none.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.cuda._absent import unsupported

__all__ = ["all_gather", "all_reduce", "broadcast", "reduce", "reduce_scatter"]


def is_available(tensors: Any) -> bool:
    """Whether NCCL can be used: no."""
    return False


def version() -> tuple[int, ...]:
    """The version of NCCL.  Raises: AssertionError."""
    unsupported("nccl.version")


def all_reduce(
    inputs: Any, outputs: Any = None, op: int = 0, streams: Any = None, comms: Any = None
) -> None:
    """Raises: AssertionError."""
    unsupported("nccl.all_reduce")


def reduce(
    inputs: Any,
    output: Any = None,
    root: int = 0,
    op: int = 0,
    streams: Any = None,
    comms: Any = None,
) -> None:
    """Raises: AssertionError."""
    unsupported("nccl.reduce")


def broadcast(inputs: Any, root: int = 0, streams: Any = None, comms: Any = None) -> None:
    """Raises: AssertionError."""
    unsupported("nccl.broadcast")


def all_gather(inputs: Any, outputs: Any, streams: Any = None, comms: Any = None) -> None:
    """Raises: AssertionError."""
    unsupported("nccl.all_gather")


def reduce_scatter(
    inputs: Any, outputs: Any, op: int = 0, streams: Any = None, comms: Any = None
) -> None:
    """Raises: AssertionError."""
    unsupported("nccl.reduce_scatter")
