"""PyTorch's `torch.xpu`: Intel's GPUs by OpenCL, or other devices of OpenCL where one asks.

Without a device questions are answered, seeding and emptying a cache do nothing, and whatever needs
one raises AssertionError, as PyTorch built without it.  Level 12.
"""

from __future__ import annotations

import functools
from typing import Any

from rushlight import streams
from rushlight.accelerated import Devices, Memory, Random
from rushlight.engine import xpu as engine
from rushlight.streams import StreamContext, set_stream, stream

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "device_of",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "stream",
    "synchronize",
]

_devices = Devices(engine.kind)
is_available, is_initialized = _devices.is_available, _devices.is_initialized
device_count, init = _devices.device_count, _devices.init
current_device, set_device = _devices.current_device, _devices.set_device
synchronize, get_device_name = _devices.synchronize, _devices.get_device_name

_memory = Memory(engine.kind)
empty_cache, mem_get_info = _memory.empty_cache, _memory.mem_get_info
memory_allocated, max_memory_allocated = _memory.memory_allocated, _memory.max_memory_allocated
memory_reserved, max_memory_reserved = _memory.memory_reserved, _memory.max_memory_reserved
memory_stats = _memory.memory_stats
memory_stats_as_nested_dict = _memory.memory_stats_as_nested_dict
reset_peak_memory_stats = _memory.reset_peak_memory_stats
reset_accumulated_memory_stats = _memory.reset_accumulated_memory_stats

_random = Random(engine.kind)
get_rng_state, get_rng_state_all = _random.get_rng_state, _random.get_rng_state_all
set_rng_state, set_rng_state_all = _random.set_rng_state, _random.set_rng_state_all
manual_seed, manual_seed_all = _random.manual_seed, _random.manual_seed_all
seed, seed_all, initial_seed = _random.seed, _random.seed_all, _random.initial_seed


class Stream(streams.Stream):
    """A queue of work of a device.  Raises: RuntimeError without one."""

    kind = engine.kind


class Event(streams.Event):
    """A mark behind the work asked for.  Raises: RuntimeError without a device."""

    kind = engine.kind


current_stream = functools.partial(streams.current_stream, of=Stream)
default_stream = functools.partial(streams.default_stream, of=Stream)


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current device computes with bfloat16: all do, by way of float32."""
    return is_available() and including_emulation


def get_arch_list() -> list[str]:
    """Architectures there is code for: text is compiled where it runs, so none is named."""
    return []


def get_device_capability(device: Any = None) -> dict[str, Any]:
    """What a device can do.  Raises: AssertionError without one."""
    facts = engine.kind.backend(device).facts
    return {
        "name": facts.name, "max_compute_units": facts.multiprocessors,
        "max_work_group_size": facts.threads, "total_memory": facts.total_bytes,
    }  # fmt: skip


class _Properties:
    """What a device is, under the names of PyTorch's `_XpuDeviceProperties`."""

    def __init__(self, facts: Any) -> None:
        self.name = facts.name
        self.platform_name = "OpenCL"
        self.total_memory = facts.total_bytes
        self.max_compute_units = facts.multiprocessors
        self.max_work_group_size = facts.threads

    def __repr__(self) -> str:
        return (
            f"_XpuDeviceProperties(name='{self.name}', platform_name='OpenCL', "
            f"total_memory={self.total_memory >> 20}MB, "
            f"max_compute_units={self.max_compute_units})"
        )


def get_device_properties(device: Any = None) -> _Properties:
    """Properties of a device.  Raises: AssertionError without one."""
    return _Properties(engine.kind.backend(device).facts)


class device:  # noqa: N801 - PyTorch's name
    """Context in which a device is the current one; without devices it changes nothing."""

    def __init__(self, device: Any) -> None:
        self.idx = device
        self.prev_idx = -1

    def __enter__(self) -> None:
        if engine.kind.backends() and self.idx is not None:
            self.prev_idx = engine.kind.current.index
            set_device(self.idx)

    def __exit__(self, *_: object) -> None:
        if self.prev_idx >= 0:
            engine.kind.current.index = self.prev_idx


class device_of(device):  # noqa: N801 - PyTorch's name
    """Context in which the device of a tensor is the current one; the CPU changes nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if obj.device.type == "xpu" else -1)


def __getattr__(name: str) -> Any:
    if name == "default_generators":
        return _random.default_generators()
    raise AttributeError(f"module 'torch.xpu' has no attribute {name!r}")
