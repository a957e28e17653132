"""PyTorch's `torch.mps`, truthfully: rushlight has no code generator for Apple's GPUs.

Questions are answered, seeding does nothing, whatever needs the device raises RuntimeError as
PyTorch does elsewhere than on such a machine.  Level 12.
"""

from __future__ import annotations

from typing import Any, NoReturn

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


def _refuse(operation: str) -> NoReturn:
    raise RuntimeError(
        f"Cannot execute {operation}() without MPS backend: rushlight runs on the CPU; test"
        " mps.is_available() first"
    )


def is_available() -> bool:
    """Whether tensors can live on an Apple GPU: no."""
    return False


def device_count() -> int:
    """Number of usable Apple GPUs: 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Seed the GPU's generator, if there is one."""


def seed() -> None:
    """Seed the GPU's generator at random.  Raises: RuntimeError."""
    _refuse("seed")


def get_rng_state(device: Any = "mps") -> Any:
    """State of the GPU's generator.  Raises: RuntimeError."""
    _refuse("get_rng_state")


def set_rng_state(new_state: Any, device: Any = "mps") -> None:
    """Set the state of the GPU's generator.  Raises: RuntimeError."""
    _refuse("set_rng_state")


def synchronize() -> None:
    """Wait for the GPU.  Raises: RuntimeError."""
    _refuse("synchronize")


def empty_cache() -> None:
    """Give cached memory back.  Raises: RuntimeError."""
    _refuse("empty_cache")


def set_per_process_memory_fraction(fraction: float) -> None:
    """Limit the memory of this process.  Raises: RuntimeError."""
    _refuse("set_per_process_memory_fraction")


def current_allocated_memory() -> int:
    """Bytes that tensors hold.  Raises: RuntimeError."""
    _refuse("current_allocated_memory")


def driver_allocated_memory() -> int:
    """Bytes that the driver holds.  Raises: RuntimeError."""
    _refuse("driver_allocated_memory")


def recommended_max_memory() -> int:
    """Bytes that may be used.  Raises: RuntimeError."""
    _refuse("recommended_max_memory")


def compile_shader(source: str) -> Any:
    """Functions from Metal source.  Raises: RuntimeError."""
    _refuse("compile_shader")


def load_metallib(source: Any) -> Any:
    """Functions from a Metal library.  Raises: RuntimeError."""
    _refuse("load_metallib")
