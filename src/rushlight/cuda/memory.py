"""PyTorch's `torch.cuda.memory`: how much memory of a device is in use.

What tensors hold is counted by `runtime/devices.Allocator`; without a device counters are zero and
resetting them does nothing.  Level 12.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from rushlight.cuda._absent import NeedsDevice, unsupported
from rushlight.engine import cuda
from rushlight.tensor.flush import synchronize as flush


def _allocator(device: Any = None) -> Any:
    """The allocator of a device; None without devices."""
    return cuda.backend(device).allocator if cuda.backends() else None


def empty_cache() -> None:
    """Give memory that nothing holds back to the system."""
    for backend in cuda.backends():
        backend.synchronize()
        backend.allocator.trim()


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors hold on a device, what was recorded included."""
    found = _allocator(device)
    if found is None:
        return 0
    flush()
    return found.allocated


def max_memory_allocated(device: Any = None) -> int:
    """Most bytes that tensors held on a device."""
    found = _allocator(device)
    if found is None:
        return 0
    flush()
    return found.peak


def memory_reserved(device: Any = None) -> int:
    """Bytes reserved on a device."""
    found = _allocator(device)
    return 0 if found is None else found.reserved


def max_memory_reserved(device: Any = None) -> int:
    """Most bytes reserved on a device."""
    found = _allocator(device)
    return 0 if found is None else found.reserved_peak


def memory_cached(device: Any = None) -> int:
    """The former name of `memory_reserved`."""
    return memory_reserved(device)


def max_memory_cached(device: Any = None) -> int:
    """The former name of `max_memory_reserved`."""
    return max_memory_reserved(device)


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Counters of the device's allocator; an empty dictionary without a device."""
    found = _allocator(device)
    stats: OrderedDict[str, Any] = OrderedDict()
    if found is None:
        return stats
    stats["allocated_bytes.all.current"] = found.allocated
    stats["allocated_bytes.all.peak"] = found.peak
    stats["allocation.all.allocated"] = found.count
    stats["num_alloc_retries"] = 0
    stats["num_ooms"] = found.out_of_memory
    stats["reserved_bytes.all.current"] = found.reserved
    stats["reserved_bytes.all.peak"] = found.reserved_peak
    return stats


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """The same as a dictionary of dictionaries."""
    nested: dict[str, Any] = {}
    for name, value in memory_stats(device).items():
        *path, last = name.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return nested


def host_memory_stats() -> OrderedDict[str, Any]:
    """Counters of pinned memory: an empty dictionary, as none is kept."""
    return OrderedDict()


def host_memory_stats_as_nested_dict() -> dict[str, Any]:
    """The same as a dictionary of dictionaries."""
    return {}


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """The counters as a table."""
    found = _allocator(device)
    if found is None:
        head, rows = "no CUDA device, nothing allocated", [("Allocated memory", 0, 0)]
    else:
        head = f"device {found.device}"
        rows = [
            ("Allocated memory", found.allocated, found.peak),
            ("GPU reserved memory", found.reserved, found.reserved_peak),
        ]
    lines = [f"PyTorch CUDA memory summary: {head}", f"{'':<24}{'now':>16}{'most':>16}"]
    return "\n".join(lines + [f"{name:<24}{now:>14} B{most:>14} B" for name, now, most in rows])


def memory_snapshot(mempool_id: Any = None, include_traces: bool = True) -> list[Any]:
    """The allocator's segments: the driver keeps them."""
    return []


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start the peaks anew."""
    found = _allocator(device)
    if found is not None:
        found.peak = found.allocated
        found.reserved_peak = found.reserved


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Start the sums anew."""
    found = _allocator(device)
    if found is not None:
        found.count = found.out_of_memory = 0


def reset_peak_host_memory_stats() -> None:
    """Start the peaks of pinned memory anew: they are zero."""


def reset_accumulated_host_memory_stats() -> None:
    """Start the sums of pinned memory anew: they are zero."""


def reset_max_memory_allocated(device: Any = None) -> None:
    """Start the peak anew."""
    reset_peak_memory_stats(device)


def reset_max_memory_cached(device: Any = None) -> None:
    """Start the peak anew."""
    reset_peak_memory_stats(device)


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total memory of a device.  Raises: AssertionError without one."""
    backend = cuda.backend(device)
    return backend.driver.memory_info(backend.index)


def get_per_process_memory_fraction(device: Any = None) -> float:
    """The share of the memory that this process may use.  Raises: AssertionError."""
    backend = cuda.backend(device)
    limit = backend.allocator.limit
    return 1.0 if limit is None else limit / backend.facts.total_bytes


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Limit the memory that this process may use.

    Raises: AssertionError without a device, ValueError outside of 0 to 1.
    """
    backend = cuda.backend(device)
    if not 0 <= fraction <= 1:
        raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
    total = backend.facts.total_bytes
    backend.allocator.limit = None if fraction == 1 else int(fraction * total)


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
