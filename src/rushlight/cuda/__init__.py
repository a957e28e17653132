"""PyTorch's `torch.cuda`, truthfully: of the cards that there are, of the emulated device, of none.

Without a device questions are answered (none available, none counted, nothing allocated), seeding
and emptying a cache do nothing, and whatever needs one raises PyTorch's AssertionError.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.accelerated import Devices, Random
from rushlight.base.errors import OutOfMemoryError
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
from rushlight.cuda._absent import NeedsDevice, unsupported
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
from rushlight.engine import cuda as engine

globals().update(TYPES)
_devices = Devices(engine.kind)
is_available, is_initialized = _devices.is_available, _devices.is_initialized
device_count, init = _devices.device_count, _devices.init
current_device, set_device = _devices.current_device, _devices.set_device
synchronize, get_device_name = _devices.synchronize, _devices.get_device_name

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


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current CUDA device computes with bfloat16: all do, by way of float32."""
    if not engine.backends():
        return False
    return including_emulation or engine.backend().facts.capability >= (8, 0)


def is_tf32_supported() -> bool:
    """Whether the current CUDA device computes with TF32."""
    return bool(engine.backends()) and engine.backend().facts.capability >= (8, 0)


def get_arch_list() -> list[str]:
    """CUDA architectures there is code for: PTX for the oldest runs on all later ones."""
    return ["compute_75"] if engine.backends() else []


def get_gencode_flags() -> str:
    """The flags of nvcc that the code was made with: none."""
    return ""


def check_error(res: int) -> None:
    """Raises: CudaError unless `res` says success."""
    if res != cudaStatus.SUCCESS:
        raise CudaError(res)


def cudart() -> Any:
    """The CUDA runtime.  Raises: AssertionError, NotImplementedError: the driver alone is used."""
    unsupported("cudart")


def current_blas_handle() -> int:
    """The handle of cuBLAS.  Raises: AssertionError, NotImplementedError: it is not used."""
    unsupported("current_blas_handle")


def current_solver_handle() -> int:
    """The handle of cuSOLVER.  Raises: AssertionError, NotImplementedError: it is not used."""
    unsupported("current_solver_handle")


def ipc_collect() -> None:
    """Free memory that other processes gave back: none is shared.  Raises: AssertionError."""
    engine.backend()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Compute capability of a device.  Raises: AssertionError without one."""
    return engine.backend(device).facts.capability


class _Properties:
    """What a device is, under the names of PyTorch's `_CudaDeviceProperties`."""

    def __init__(self, facts: Any) -> None:
        self.name = facts.name
        self.major, self.minor = facts.capability
        self.total_memory = facts.total_bytes
        self.multi_processor_count = facts.multiprocessors
        self.max_threads_per_multi_processor = facts.threads
        self.shared_memory_per_block_optin = facts.shared_bytes
        self.warp_size = facts.warp
        self.clock_rate = facts.clock_khz
        self.is_integrated = self.is_multi_gpu_board = 0

    def __repr__(self) -> str:
        return (
            f"_CudaDeviceProperties(name='{self.name}', major={self.major}, minor={self.minor}, "
            f"total_memory={self.total_memory >> 20}MB, "
            f"multi_processor_count={self.multi_processor_count})"
        )


def get_device_properties(device: Any = None) -> _Properties:
    """Properties of a device.  Raises: AssertionError without one."""
    return _Properties(engine.backend(device).facts)


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a device reads another's memory without the host.

    Raises: AssertionError without devices.
    """
    first, second = engine.backend(device), engine.backend(peer_device)
    return first is not second and first.driver.reaches(first.index, second.index)


def get_sync_debug_mode() -> int:
    """What happens when the program waits for a device.  Raises: AssertionError."""
    unsupported("get_sync_debug_mode")


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Choose what happens when the program waits for a device.  Raises: AssertionError."""
    unsupported("set_sync_debug_mode")


def utilization(device: Any = None) -> int:
    """Share of time a device was busy.  Raises: AssertionError."""
    unsupported("utilization")


def memory_usage(device: Any = None) -> int:
    """Share of time a device's memory was busy.  Raises: AssertionError."""
    unsupported("memory_usage")


def temperature(device: Any = None) -> int:
    """Temperature of a device.  Raises: AssertionError."""
    unsupported("temperature")


def power_draw(device: Any = None) -> int:
    """Power a device takes.  Raises: AssertionError."""
    unsupported("power_draw")


def clock_rate(device: Any = None) -> int:
    """Clock rate of a device.  Raises: AssertionError."""
    unsupported("clock_rate")


class device:  # noqa: N801 - PyTorch's name
    """Context in which a device is the current one; without devices it changes nothing."""

    def __init__(self, device: Any) -> None:
        self.idx = device
        self.prev_idx = -1

    def __enter__(self) -> None:
        if engine.backends() and self.idx is not None:
            self.prev_idx = engine.current.index
            set_device(self.idx)

    def __exit__(self, *_: object) -> None:
        if self.prev_idx >= 0:
            engine.current.index = self.prev_idx


class device_of(device):  # noqa: N801 - PyTorch's name
    """Context in which the device of a tensor is the current one; the CPU changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.device.type == "cuda" else -1)


def __getattr__(name: str) -> Any:
    if name == "default_generators":
        return Random(engine.kind).default_generators()
    raise AttributeError(f"module 'torch.cuda' has no attribute {name!r}")


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
    "OutOfMemoryError",
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
