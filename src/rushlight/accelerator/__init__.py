"""PyTorch's `torch.accelerator`: whichever accelerator there is, and there is none.

Questions are answered, whatever needs a device raises RuntimeError as in PyTorch.  Level 12.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NoReturn

from rushlight.base.device import device as Device

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "device_index",
    "empty_cache",
    "empty_host_cache",
    "get_device_capability",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def _none_available(operation: str) -> NoReturn:
    raise RuntimeError(
        f"Cannot access accelerator device when none is available: accelerator.{operation} needs"
        " one; test accelerator.is_available() first"
    )


def is_available() -> bool:
    """Whether an accelerator can be used: no."""
    return False


def device_count() -> int:
    """Number of usable accelerators: 0."""
    return 0


def current_accelerator(check_available: bool = False) -> Device | None:
    """The type of accelerator that is used, or None."""
    return None


def current_device_index() -> int:
    """Index of the current accelerator.  Raises: RuntimeError."""
    _none_available("current_device_index")


def current_device_idx() -> int:
    """The former name of `current_device_index`."""
    return current_device_index()


def set_device_index(device: Any, /) -> None:
    """Choose the current accelerator.  Raises: RuntimeError."""
    _none_available("set_device_index")


def set_device_idx(device: Any, /) -> None:
    """The former name of `set_device_index`."""
    set_device_index(device)


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """What an accelerator can do.  Raises: RuntimeError."""
    _none_available("get_device_capability")


def current_stream(device: Any = None, /) -> Any:
    """The current stream.  Raises: RuntimeError."""
    _none_available("current_stream")


def set_stream(stream: Any) -> None:
    """Choose the current stream.  Raises: RuntimeError."""
    _none_available("set_stream")


def synchronize(device: Any = None, /) -> None:
    """Wait for an accelerator.  Raises: RuntimeError."""
    _none_available("synchronize")


def empty_cache() -> None:
    """Give cached memory back.  Raises: RuntimeError."""
    _none_available("empty_cache")


def empty_host_cache() -> None:
    """Give cached pinned memory back.  Raises: RuntimeError."""
    _none_available("empty_host_cache")


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """Free and total memory.  Raises: RuntimeError."""
    _none_available("get_memory_info")


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes that tensors hold.  Raises: RuntimeError."""
    _none_available("memory_allocated")


def max_memory_allocated(device_index: Any = None, /) -> int:
    """Most bytes that tensors held.  Raises: RuntimeError."""
    _none_available("max_memory_allocated")


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes reserved.  Raises: RuntimeError."""
    _none_available("memory_reserved")


def max_memory_reserved(device_index: Any = None, /) -> int:
    """Most bytes reserved.  Raises: RuntimeError."""
    _none_available("max_memory_reserved")


def memory_stats(device_index: Any = None, /) -> OrderedDict[str, Any]:
    """Counters of the allocator.  Raises: RuntimeError."""
    _none_available("memory_stats")


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Start the peaks anew.  Raises: RuntimeError."""
    _none_available("reset_peak_memory_stats")


def reset_accumulated_memory_stats(device_index: Any = None, /) -> None:
    """Start the sums anew.  Raises: RuntimeError."""
    _none_available("reset_accumulated_memory_stats")


class device_index:  # noqa: N801 - PyTorch's name
    """Context that chooses an accelerator; None changes nothing.  Raises: RuntimeError."""

    def __init__(self, device: int | None, /) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            set_device_index(self.idx)

    def __exit__(self, *_: object) -> None:
        return None
