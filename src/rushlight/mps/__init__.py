"""PyTorch's `torch.mps`: Apple's GPUs by Metal.

Without one questions are answered, seeding does nothing, whatever needs the device raises
RuntimeError as PyTorch does elsewhere than on such a machine.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.accelerated import Devices, Memory, Random
from rushlight.engine import mps as engine
from rushlight.mps import profiler
from rushlight.mps.event import Event

__all__ = [
    "Event",
    "compile_shader",
    "current_allocated_memory",
    "device_count",
    "driver_allocated_memory",
    "empty_cache",
    "get_rng_state",
    "is_available",
    "load_metallib",
    "manual_seed",
    "profiler",
    "recommended_max_memory",
    "seed",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "synchronize",
]


_devices, _memory, _random = Devices(engine.kind), Memory(engine.kind), Random(engine.kind)
is_available, device_count = _devices.is_available, _devices.device_count
manual_seed = _random.manual_seed


def seed() -> None:
    """Seed the GPU's generator at random.  Raises: RuntimeError without one."""
    engine.kind.backend()
    _random.seed()


def get_rng_state(device: Any = "mps") -> Any:
    """State of the GPU's generator.  Raises: RuntimeError without one."""
    return _random.get_rng_state(device)


def set_rng_state(new_state: Any, device: Any = "mps") -> None:
    """Set the state of the GPU's generator.  Raises: RuntimeError without one."""
    engine.kind.backend()
    _random.set_rng_state(new_state, device)


def synchronize() -> None:
    """Compute what was recorded, and wait for the GPU.  Raises: RuntimeError without one."""
    _devices.synchronize()


def empty_cache() -> None:
    """Give cached memory back.  Raises: RuntimeError without a GPU."""
    engine.kind.backend()
    _memory.empty_cache()


def set_per_process_memory_fraction(fraction: float) -> None:
    """Limit the memory of this process.  Raises: RuntimeError without a GPU, ValueError."""
    _memory.set_per_process_memory_fraction(fraction)


def current_allocated_memory() -> int:
    """Bytes that tensors hold.  Raises: RuntimeError without a GPU."""
    engine.kind.backend()
    return _memory.memory_allocated()


def driver_allocated_memory() -> int:
    """Bytes that the driver holds.  Raises: RuntimeError without a GPU."""
    free, total = _memory.mem_get_info()
    return total - free


def recommended_max_memory() -> int:
    """Bytes that may be used.  Raises: RuntimeError without a GPU."""
    return engine.kind.backend().facts.total_bytes


def compile_shader(source: str) -> Any:
    """Functions from Metal source.  Raises: RuntimeError, NotImplementedError with a GPU."""
    engine.kind.backend()
    raise NotImplementedError("mps.compile_shader: kernels of a program's own are not supported")


def load_metallib(source: Any) -> Any:
    """Functions from a Metal library.  Raises: RuntimeError, NotImplementedError with a GPU."""
    engine.kind.backend()
    raise NotImplementedError("mps.load_metallib: kernels of a program's own are not supported")
