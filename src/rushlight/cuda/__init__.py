"""PyTorch's `torch.cuda`, truthfully: rushlight has no CUDA code generator, so there is no device.

Questions are answered (none available, none counted, nothing allocated), seeding and emptying a
cache do nothing, and whatever needs a device raises PyTorch's AssertionError.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.cuda import (
    amp,
    graphs,
    jiterator,
    memory,
    nccl,
    nvtx,
    profiler,
    random,
    sparse,
    streams,
    tunable,
)
from rushlight.cuda._absent import NeedsDevice, no_device
from rushlight.cuda.graphs import (
    CUDAGraph,
    graph,
    graph_pool_handle,
    is_current_stream_capturing,
    make_graphed_callables,
)
from rushlight.cuda.legacy_types import STORAGE_NAMES, TENSOR_NAMES, TYPES
from rushlight.cuda.memory import (
    CUDAPluggableAllocator,
    MemPool,
    caching_allocator_alloc,
    caching_allocator_delete,
    caching_allocator_disabled,
    caching_allocator_enable,
    change_current_allocator,
    device_memory_used,
    empty_cache,
    get_allocator_backend,
    get_per_process_memory_fraction,
    host_memory_stats,
    host_memory_stats_as_nested_dict,
    list_gpu_processes,
    max_memory_allocated,
    max_memory_cached,
    max_memory_reserved,
    mem_get_info,
    memory_allocated,
    memory_cached,
    memory_reserved,
    memory_snapshot,
    memory_stats,
    memory_stats_as_nested_dict,
    memory_summary,
    reset_accumulated_host_memory_stats,
    reset_accumulated_memory_stats,
    reset_max_memory_allocated,
    reset_max_memory_cached,
    reset_peak_host_memory_stats,
    reset_peak_memory_stats,
    set_per_process_memory_fraction,
    use_mem_pool,
)
from rushlight.cuda.random import (
    get_rng_state,
    get_rng_state_all,
    initial_seed,
    manual_seed,
    manual_seed_all,
    seed,
    seed_all,
    set_rng_state,
    set_rng_state_all,
)
from rushlight.cuda.streams import (
    Event,
    ExternalStream,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    get_stream_from_external,
    set_stream,
    stream,
)

globals().update(TYPES)

# Generators of devices: none.
default_generators: tuple[Any, ...] = ()
has_half = True
has_magma = False


class CudaError(RuntimeError):
    """An error that CUDA reported, by its number."""

    def __init__(self, code: int) -> None:
        super().__init__(f"CUDA error {code}")


class DeferredCudaCallError(Exception):
    """A call that waited for CUDA to start has failed."""


class cudaStatus:  # noqa: N801 - PyTorch's name
    """Numbers that CUDA's functions return."""

    SUCCESS = 0
    ERROR_NOT_READY = 34


class GreenContext(NeedsDevice):
    """A part of a device.  Raises: RuntimeError."""


def is_available() -> bool:
    """Whether a CUDA device can be used: no."""
    return False


def is_initialized() -> bool:
    """Whether CUDA was started: no."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current CUDA device computes with bfloat16: there is none."""
    return False


def is_tf32_supported() -> bool:
    """Whether the current CUDA device computes with TF32: there is none."""
    return False


def device_count() -> int:
    """Number of usable CUDA devices: 0, whatever this machine has (`rushlight doctor` says)."""
    return 0


def get_arch_list() -> list[str]:
    """CUDA architectures there is code for."""
    return []


def get_gencode_flags() -> str:
    """The flags of nvcc that the code was made with: none."""
    return ""


def check_error(res: int) -> None:
    """Raises: CudaError unless `res` says success."""
    if res != cudaStatus.SUCCESS:
        raise CudaError(res)


def init() -> None:
    """Start CUDA.  Raises: AssertionError."""
    no_device("init")


def cudart() -> Any:
    """The CUDA runtime.  Raises: AssertionError."""
    no_device("cudart")


def current_blas_handle() -> int:
    """The handle of cuBLAS.  Raises: AssertionError."""
    no_device("current_blas_handle")


def current_solver_handle() -> int:
    """The handle of cuSOLVER.  Raises: AssertionError."""
    no_device("current_solver_handle")


def current_device() -> int:
    """Index of the current device.  Raises: AssertionError."""
    no_device("current_device")


def set_device(device: Any) -> None:
    """Choose the current device.  Raises: AssertionError."""
    no_device("set_device")


def synchronize(device: Any = None) -> None:
    """Wait for a device.  Raises: AssertionError."""
    no_device("synchronize")


def ipc_collect() -> None:
    """Free memory that other processes gave back.  Raises: AssertionError."""
    no_device("ipc_collect")


def get_device_name(device: Any = None) -> str:
    """Name of a device.  Raises: AssertionError."""
    no_device("get_device_name")


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Compute capability of a device.  Raises: AssertionError."""
    no_device("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """Properties of a device.  Raises: AssertionError."""
    no_device("get_device_properties")


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a device reads another's memory.  Raises: AssertionError."""
    no_device("can_device_access_peer")


def get_sync_debug_mode() -> int:
    """What happens when the program waits for a device.  Raises: AssertionError."""
    no_device("get_sync_debug_mode")


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Choose what happens when the program waits for a device.  Raises: AssertionError."""
    no_device("set_sync_debug_mode")


def utilization(device: Any = None) -> int:
    """Share of time a device was busy.  Raises: AssertionError."""
    no_device("utilization")


def memory_usage(device: Any = None) -> int:
    """Share of time a device's memory was busy.  Raises: AssertionError."""
    no_device("memory_usage")


def temperature(device: Any = None) -> int:
    """Temperature of a device.  Raises: AssertionError."""
    no_device("temperature")


def power_draw(device: Any = None) -> int:
    """Power a device takes.  Raises: AssertionError."""
    no_device("power_draw")


def clock_rate(device: Any = None) -> int:
    """Clock rate of a device.  Raises: AssertionError."""
    no_device("clock_rate")


class device:  # noqa: N801 - PyTorch's name
    """Context that would choose a device; without devices it changes nothing, as in PyTorch."""

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class device_of(device):  # noqa: N801 - PyTorch's name
    """Context that would choose the device of a tensor; every tensor is on the CPU."""

    def __init__(self, obj: Any) -> None:
        super().__init__(-1)


__all__ = [
    *TENSOR_NAMES,
    *STORAGE_NAMES,
    "CUDAGraph",
    "CUDAPluggableAllocator",
    "CudaError",
    "DeferredCudaCallError",
    "Event",
    "ExternalStream",
    "GreenContext",
    "MemPool",
    "Stream",
    "StreamContext",
    "amp",
    "caching_allocator_alloc",
    "caching_allocator_delete",
    "caching_allocator_disabled",
    "caching_allocator_enable",
    "can_device_access_peer",
    "change_current_allocator",
    "check_error",
    "clock_rate",
    "cudaStatus",
    "cudart",
    "current_blas_handle",
    "current_device",
    "current_solver_handle",
    "current_stream",
    "default_generators",
    "default_stream",
    "device",
    "device_count",
    "device_memory_used",
    "device_of",
    "empty_cache",
    "get_allocator_backend",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_gencode_flags",
    "get_per_process_memory_fraction",
    "get_rng_state",
    "get_rng_state_all",
    "get_stream_from_external",
    "get_sync_debug_mode",
    "graph",
    "graph_pool_handle",
    "graphs",
    "has_half",
    "has_magma",
    "host_memory_stats",
    "host_memory_stats_as_nested_dict",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_current_stream_capturing",
    "is_initialized",
    "is_tf32_supported",
    "jiterator",
    "list_gpu_processes",
    "make_graphed_callables",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_snapshot",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "memory_summary",
    "memory_usage",
    "nccl",
    "nvtx",
    "power_draw",
    "profiler",
    "random",
    "reset_accumulated_host_memory_stats",
    "reset_accumulated_memory_stats",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_host_memory_stats",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "set_sync_debug_mode",
    "sparse",
    "stream",
    "streams",
    "synchronize",
    "temperature",
    "tunable",
    "use_mem_pool",
    "utilization",
]
