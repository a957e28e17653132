"""PyTorch's `torch.cuda`, truthfully: rushlight has no CUDA code generator, so there is no device.

Questions are answered (none available, none counted, nothing allocated), seeding and emptying a
cache do nothing, and whatever needs a device raises PyTorch's AssertionError.  Level 12.
"""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.base.device import resolve_device

__all__ = [
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "get_rng_state_all",
    "init",
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
    "seed",
    "seed_all",
    "set_device",
    "stream",
    "synchronize",
]


def _no_device(operation: str) -> NoReturn:
    """Raise what using a CUDA device raises anywhere."""
    resolve_device("cuda")
    raise AssertionError(f"cuda.{operation} needs a CUDA device")


def is_available() -> bool:
    """Whether a CUDA device can be used: no."""
    return False


def is_initialized() -> bool:
    """Whether CUDA was started: no."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the current CUDA device computes with bfloat16: there is none."""
    return False


def device_count() -> int:
    """Number of usable CUDA devices: 0, whatever this machine has (`rushlight doctor` says)."""
    return 0


def get_arch_list() -> list[str]:
    """CUDA architectures there is code for."""
    return []


def init() -> None:
    """Start CUDA.  Raises: AssertionError."""
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


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """Compute capability of a device.  Raises: AssertionError."""
    _no_device("get_device_capability")


def get_device_properties(device: Any = None) -> Any:
    """Properties of a device.  Raises: AssertionError."""
    _no_device("get_device_properties")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total memory of a device.  Raises: AssertionError."""
    _no_device("mem_get_info")


def get_rng_state(device: Any = "cuda") -> Any:
    """State of a device's generator.  Raises: AssertionError."""
    _no_device("get_rng_state")


def get_rng_state_all() -> list[Any]:
    """States of all devices' generators: none."""
    return []


def current_stream(device: Any = None) -> Any:
    """The current stream.  Raises: AssertionError."""
    _no_device("current_stream")


def manual_seed(seed: int) -> None:
    """Seed the current device's generator, if there is one."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices: of none."""


def seed() -> None:
    """Seed the current device's generator at random, if there is one."""


def seed_all() -> None:
    """Seed the generators of all devices at random: of none."""


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


class device:  # noqa: N801 - PyTorch's name
    """Context that would choose a device; without devices it changes nothing, as in PyTorch."""

    def __init__(self, device: Any) -> None:
        self.idx = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class stream:  # noqa: N801 - PyTorch's name
    """Context that would choose a stream; `stream(None)` changes nothing.

    Raises: AssertionError for anything but None.
    """

    def __init__(self, stream: Any) -> None:
        if stream is not None:
            _no_device("stream")

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class Stream:
    """A stream of a device.  Raises: RuntimeError."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError("torch.cuda.Stream requires CUDA support; rushlight runs on the CPU")


class Event:
    """An event of a stream.  Raises: RuntimeError."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError("torch.cuda.Event requires CUDA support; rushlight runs on the CPU")
