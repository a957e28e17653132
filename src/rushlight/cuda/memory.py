"""PyTorch's `torch.cuda.memory`: how much device memory is in use, which is none.

Counters are zero and resetting them does nothing; what asks a device raises.  Level 12.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from rushlight.cuda._absent import NeedsDevice, no_device

_BYTES_ROWS = (
    "Allocated memory", "Active memory", "Requested memory", "GPU reserved memory",
)  # fmt: skip


def empty_cache() -> None:
    """Give cached device memory back: there is none."""


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors hold on a device."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """Most bytes that tensors held on a device."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes reserved on a device."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """Most bytes reserved on a device."""
    return 0


def memory_cached(device: Any = None) -> int:
    """The former name of `memory_reserved`."""
    return memory_reserved(device)


def max_memory_cached(device: Any = None) -> int:
    """The former name of `max_memory_reserved`."""
    return max_memory_reserved(device)


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Counters of the device's allocator: an empty dictionary."""
    return OrderedDict()


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """The same as a dictionary of dictionaries."""
    return {}


def host_memory_stats() -> OrderedDict[str, Any]:
    """Counters of pinned memory: an empty dictionary."""
    return OrderedDict()


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """The same as a dictionary of dictionaries."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The counters as a table."""
    lines = ["PyTorch CUDA memory summary: no CUDA device, nothing allocated"]
    return "\n".join(lines + [f"{name:<24}{0:>12} B" for name in _BYTES_ROWS])


def memory_snapshot(mempool_id: Any = None, include_traces: bool = True) -> list[Any]:
    """The allocator's segments: none."""
    return []


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start the peaks anew: they are zero."""


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Start the sums anew: they are zero."""


def reset_peak_host_memory_stats() -> None:
    """Start the peaks of pinned memory anew: they are zero."""


def reset_accumulated_host_memory_stats() -> None:
    """Start the sums of pinned memory anew: they are zero."""


def reset_max_memory_allocated(device: Any = None) -> None:
    """Start the peak anew: it is zero."""


def reset_max_memory_cached(device: Any = None) -> None:
    """Start the peak anew: it is zero."""


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total memory of a device.  Raises: AssertionError."""
    no_device("mem_get_info")


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The share of the memory that this process may use.  Raises: AssertionError."""
    no_device("get_per_process_memory_fraction")


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit the memory that this process may use.  Raises: AssertionError."""
    no_device("set_per_process_memory_fraction")


def list_gpu_processes(device: Any = None) -> str:
    """Processes that use a device, as text."""
    return "no CUDA device"


def device_memory_used(device: Any = None) -> int:
    """Bytes in use on a device.  Raises: AssertionError."""
    no_device("device_memory_used")


def get_allocator_backend() -> str:
    """The name of the device's allocator.  Raises: AssertionError."""
    no_device("get_allocator_backend")


def caching_allocator_alloc(size: int, device: Any = None, stream: Any = None) -> int:
    """Allocate device memory.  Raises: AssertionError."""
    no_device("caching_allocator_alloc")


def caching_allocator_delete(mem_ptr: int) -> None:
    """Free device memory.  Raises: AssertionError."""
    no_device("caching_allocator_delete")


def caching_allocator_enable(value: bool = True) -> None:
    """Choose whether freed device memory is kept: there is none."""


@contextlib.contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """Context without kept device memory: there is none."""
    yield


def change_current_allocator(allocator: Any) -> None:
    """Choose another allocator.  Raises: AssertionError."""
    no_device("change_current_allocator")


class CUDAPluggableAllocator(NeedsDevice):
    """An allocator from a library.  Raises: RuntimeError."""


class MemPool(NeedsDevice):
    """A pool of device memory.  Raises: RuntimeError."""


@contextlib.contextmanager
def use_mem_pool(pool: Any, device: Any = None) -> Iterator[None]:
    """Context that allocates from a pool.  Raises: AssertionError."""
    no_device("use_mem_pool")
    yield
