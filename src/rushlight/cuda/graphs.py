"""PyTorch's `torch.cuda.graphs`: recording work on a device, of which there is none.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.cuda._absent import NeedsDevice, unsupported

__all__ = [
    "CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing",
    "make_graphed_callables",
]  # fmt: skip


class CUDAGraph(NeedsDevice):
    """Recorded work of a device.  Raises: RuntimeError."""


class graph(NeedsDevice):  # noqa: N801 - PyTorch's name
    """Context that records work of a device.  Raises: RuntimeError."""


def graph_pool_handle() -> Any:
    """A handle for graphs that share memory.  Raises: AssertionError."""
    unsupported("graph_pool_handle")


def is_current_stream_capturing() -> bool:
    """Whether work of the device is being recorded: no."""
    return False


def make_graphed_callables(
    callables: Any,
    sample_args: Any,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """Functions whose device work is recorded once.  Raises: AssertionError."""
    unsupported("make_graphed_callables")
