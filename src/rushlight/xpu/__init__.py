"""PyTorch's `torch.xpu`, truthfully: rushlight has no code generator for Intel's GPUs.

Questions are answered, seeding and emptying a cache do nothing, whatever needs a device raises
AssertionError, as PyTorch built without it.  Level 12.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NoReturn

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
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

default_generators: tuple[Any, ...] = ()


def _no_device(operation: str) -> NoReturn:
    raise AssertionError(
        f"Torch not compiled with XPU enabled: xpu.{operation} needs an Intel GPU, rushlight runs"
        " on the CPU; test xpu.is_available() first"
    )


def is_available() -> bool:
    """Whether tensors can live on an Intel GPU: no."""
    return False


def is_initialized() -> bool:
    """Whether the GPU's runtime was started: no."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current device computes with bfloat16: there is none."""
    return False


def device_count() -> int:
    """Number of usable Intel GPUs: 0."""
    return 0


def get_arch_list() -> list[str]:
    """Architectures there is code for."""
    return []


def init() -> None:
    """Start the runtime.  Raises: AssertionError."""
    _no_device("init")


def current_device() -> int:
    """Index of the current device.  Raises: AssertionError."""
    _no_device("current_device")


def set_device(device: Any) -> None:
    """Choose the current device.  Raises: AssertionError."""
    _no_device("set_device")


def synchronize(device: Any = None) -> None:
    """Wait for a device.  Raises: AssertionError."""
    _no_device("synchronize")


def get_device_name(device: Any = None) -> str:
    """Name of a device.  Raises: AssertionError."""
    _no_device("get_device_name")


def get_device_capability(device: Any = None) -> dict[str, Any]:
    """What a device can do.  Raises: AssertionError."""
    _no_device("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """Properties of a device.  Raises: AssertionError."""
    _no_device("get_device_properties")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total memory of a device.  Raises: AssertionError."""
    _no_device("mem_get_info")


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


def memory_stats(device: Any = None) -> OrderedDict[str, Any]:
    """Counters of the device's allocator: an empty dictionary."""
    return OrderedDict()


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """The same as a dictionary of dictionaries."""
    return {}


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start the peaks anew: they are zero."""


def reset_accumulated_memory_stats(device: Any = None) -> None:
    """Start the sums anew: they are zero."""


def get_rng_state(device: Any = "xpu") -> Any:
    """State of a device's generator.  Raises: AssertionError."""
    _no_device("get_rng_state")


def get_rng_state_all() -> list[Any]:
    """States of all devices' generators: none."""
    return []


def set_rng_state(new_state: Any, device: Any = "xpu") -> None:
    """Set the state of a device's generator, if there is one."""


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Set the states of all devices' generators: of none.  Raises: AssertionError for a state."""
    for _ in new_states:
        _no_device("set_rng_state_all")


def manual_seed(seed: int) -> None:
    """Seed the current device's generator, if there is one."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices: of none."""


def seed() -> None:
    """Seed the current device's generator at random, if there is one."""


def seed_all() -> None:
    """Seed the generators of all devices at random: of none."""


def initial_seed() -> int:
    """The seed of the current device's generator.  Raises: AssertionError."""
    _no_device("initial_seed")


def current_stream(device: Any = None) -> Any:
    """The current stream.  Raises: AssertionError."""
    _no_device("current_stream")


def set_stream(stream: Any) -> None:
    """Choose the current stream; None changes nothing.  Raises: AssertionError."""
    if stream is not None:
        _no_device("set_stream")


class Stream:
    """A stream of a device.  Raises: RuntimeError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("xpu.Stream needs an Intel GPU; rushlight runs on the CPU")


class Event:
    """An event of a stream.  Raises: RuntimeError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("xpu.Event needs an Intel GPU; rushlight runs on the CPU")


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


class StreamContext:
    """Context that would choose a stream; for None it changes nothing.  Raises: AssertionError."""

    def __init__(self, stream: Any) -> None:
        set_stream(stream)

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def stream(stream: Any) -> StreamContext:
    """Context that would choose a stream; see StreamContext."""
    return StreamContext(stream)
