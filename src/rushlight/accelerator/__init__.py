"""PyTorch's `torch.accelerator`: the devices of CUDA, of Metal or of OpenCL that are here.

Questions are answered; without a device, whatever needs one raises RuntimeError as in PyTorch.
Level 12.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight import streams
from rushlight.accelerated import Devices, Memory
from rushlight.base import dtypes
from rushlight.base.device import device as Device
from rushlight.engine.accelerators import Accelerators, present

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


def _needed(operation: str) -> Accelerators:
    """The kind that is here.  Raises: RuntimeError without an accelerator."""
    found = present()
    if found is None:
        raise RuntimeError(
            "Cannot access accelerator device when none is available: accelerator."
            f"{operation} needs one; test accelerator.is_available() first"
        )
    return found


def is_available() -> bool:
    """Whether an accelerator can be used."""
    return present() is not None


def device_count() -> int:
    """Number of usable accelerators."""
    found = present()
    return 0 if found is None else len(found.backends())


def current_accelerator(check_available: bool = False) -> Device | None:
    """The type of accelerator that is used, or None."""
    found = present()
    return None if found is None else Device(found.kind)


def current_device_index() -> int:
    """Index of the current accelerator.  Raises: RuntimeError without one."""
    return _needed("current_device_index").backend().index


def current_device_idx() -> int:
    """The former name of `current_device_index`."""
    return current_device_index()


def set_device_index(device: Any, /) -> None:
    """Choose the current accelerator.  Raises: RuntimeError if there is none of this number."""
    Devices(_needed("set_device_index")).set_device(device)


def set_device_idx(device: Any, /) -> None:
    """The former name of `set_device_index`."""
    set_device_index(device)


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """What an accelerator can do: the dtypes it computes with.  Raises: RuntimeError."""
    _needed("get_device_capability").backend(device)
    return {"supported_dtypes": set(dtypes.ALL_DTYPES)}


def current_stream(device: Any = None, /) -> Any:
    """The current stream.  Raises: RuntimeError without an accelerator."""
    return streams.current_stream(_needed("current_stream").backend(device).device)


def set_stream(stream: Any) -> None:
    """Choose the current stream.  Raises: RuntimeError without an accelerator."""
    _needed("set_stream")
    streams.set_stream(stream)


def synchronize(device: Any = None, /) -> None:
    """Wait for an accelerator.  Raises: RuntimeError without one."""
    Devices(_needed("synchronize")).synchronize(device)


def empty_cache() -> None:
    """Give cached memory back.  Raises: RuntimeError without an accelerator."""
    Memory(_needed("empty_cache")).empty_cache()


def empty_host_cache() -> None:
    """Give page-locked memory that nothing holds back.  Raises: RuntimeError without a device."""
    _needed("empty_host_cache").host_pool().trim()


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """Free and total memory.  Raises: RuntimeError without an accelerator."""
    return Memory(_needed("get_memory_info")).mem_get_info(device_index)


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes that tensors hold.  Raises: RuntimeError without an accelerator."""
    return Memory(_needed("memory_allocated")).memory_allocated(device_index)


def max_memory_allocated(device_index: Any = None, /) -> int:
    """Most bytes that tensors held.  Raises: RuntimeError without an accelerator."""
    return Memory(_needed("max_memory_allocated")).max_memory_allocated(device_index)


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes reserved.  Raises: RuntimeError without an accelerator."""
    return Memory(_needed("memory_reserved")).memory_reserved(device_index)


def max_memory_reserved(device_index: Any = None, /) -> int:
    """Most bytes reserved.  Raises: RuntimeError without an accelerator."""
    return Memory(_needed("max_memory_reserved")).max_memory_reserved(device_index)


def memory_stats(device_index: Any = None, /) -> OrderedDict[str, Any]:
    """Counters of the allocator.  Raises: RuntimeError without an accelerator."""
    return Memory(_needed("memory_stats")).memory_stats(device_index)


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Start the peaks anew.  Raises: RuntimeError without an accelerator."""
    Memory(_needed("reset_peak_memory_stats")).reset_peak_memory_stats(device_index)


def reset_accumulated_memory_stats(device_index: Any = None, /) -> None:
    """Start the sums anew.  Raises: RuntimeError without an accelerator."""
    Memory(_needed("reset_accumulated_memory_stats")).reset_accumulated_memory_stats(device_index)


class device_index:  # noqa: N801 - PyTorch's name
    """Context that chooses an accelerator; None changes nothing.  Raises: RuntimeError."""

    def __init__(self, device: int | None, /) -> None:
        self.idx = device
        self.before = -1

    def __enter__(self) -> None:
        if self.idx is not None:
            self.before = current_device_index()
            set_device_index(self.idx)

    def __exit__(self, *_: object) -> None:
        if self.idx is not None:
            set_device_index(self.before)
