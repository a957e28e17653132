"""PyTorch's `torch.cuda.memory`: how much memory of a device is in use.

What tensors hold is counted by `runtime/devices.Allocator`; without a device counters are zero and
resetting them does nothing.  Level 12.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from rushlight.accelerated import Memory, nested
from rushlight.cuda._absent import NeedsDevice, unsupported
from rushlight.engine import cuda

_memory = Memory(cuda.kind)
empty_cache = _memory.empty_cache
memory_allocated = _memory.memory_allocated
max_memory_allocated = _memory.max_memory_allocated
memory_reserved = _memory.memory_reserved
max_memory_reserved = _memory.max_memory_reserved
memory_stats = _memory.memory_stats
memory_stats_as_nested_dict = _memory.memory_stats_as_nested_dict
memory_summary = _memory.memory_summary
reset_peak_memory_stats = _memory.reset_peak_memory_stats
reset_accumulated_memory_stats = _memory.reset_accumulated_memory_stats
mem_get_info = _memory.mem_get_info
get_per_process_memory_fraction = _memory.get_per_process_memory_fraction
set_per_process_memory_fraction = _memory.set_per_process_memory_fraction
# The former names.
memory_cached = memory_reserved
max_memory_cached = max_memory_reserved
reset_max_memory_allocated = reset_peak_memory_stats
reset_max_memory_cached = reset_peak_memory_stats


def host_memory_stats() -> OrderedDict[str, Any]:
    """Counters of page-locked memory; an empty dictionary without a device."""
    pool = cuda.host_pool()
    stats: OrderedDict[str, Any] = OrderedDict()
    if pool is not None:
        stats["allocated_bytes.current"] = pool.allocated
        stats["allocated_bytes.peak"] = pool.peak
        stats["reserved_bytes.current"] = pool.reserved
    return stats


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """The same as a dictionary of dictionaries."""
    return nested(host_memory_stats())


def memory_snapshot(mempool_id: Any = None, include_traces: bool = True) -> list[Any]:
    """The allocator's segments: the driver keeps them."""
    return []


def reset_peak_host_memory_stats() -> None:
    """Start the peaks of page-locked memory anew."""
    pool = cuda.host_pool()
    if pool is not None:
        pool.peak = pool.allocated


def reset_accumulated_host_memory_stats() -> None:
    """Start the sums of page-locked memory anew: none are kept."""


def list_gpu_processes(device: Any = None) -> str:
    """Processes that use a device, as text; the driver alone does not tell."""
    return "no CUDA device" if not cuda.backends() else "not known without NVML"


def device_memory_used(device: Any = None) -> int:
    """Bytes in use on a device, by all programs.  Raises: AssertionError without one."""
    free, total = mem_get_info(device)
    return total - free


def get_allocator_backend() -> str:
    """The name of the device's allocator.  Raises: AssertionError without a device."""
    cuda.backend()
    return "cudaMallocAsync"


def caching_allocator_alloc(size: int, device: Any = None, stream: Any = None) -> int:
    """Allocate device memory.  Raises: AssertionError without a device, OutOfMemoryError."""
    backend = cuda.backend(device)
    block = backend.allocator.allocate(size)
    _handed_out[block.address] = block
    return block.address


def caching_allocator_delete(mem_ptr: int) -> None:
    """Free device memory that `caching_allocator_alloc` gave.  Raises: AssertionError, KeyError."""
    cuda.backend()
    del _handed_out[mem_ptr]


# Memory that the program holds by its address.
_handed_out: dict[int, Any] = {}


def caching_allocator_enable(value: bool = True) -> None:
    """Choose whether freed device memory is kept: the driver's pool decides."""


@contextlib.contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """Context without kept device memory: the driver's pool decides."""
    yield


def change_current_allocator(allocator: Any) -> None:
    """Choose another allocator.  Raises: AssertionError, NotImplementedError."""
    unsupported("change_current_allocator")


class CUDAPluggableAllocator(NeedsDevice):
    """An allocator from a library.  Raises: RuntimeError."""


class MemPool(NeedsDevice):
    """A pool of device memory.  Raises: RuntimeError."""


@contextlib.contextmanager
def use_mem_pool(pool: Any, device: Any = None) -> Iterator[None]:
    """Context that allocates from a pool.  Raises: AssertionError, NotImplementedError."""
    unsupported("use_mem_pool")
    yield
