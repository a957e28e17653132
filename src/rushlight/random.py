"""The default generator's seed and state: PyTorch's `torch.random`.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from rushlight.ops.generator import Generator, default_generator
from rushlight.tensor.tensor import Tensor

__all__ = [
    "Generator",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "seed",
    "set_rng_state",
    "thread_safe_generator",
]


def thread_safe_generator() -> Generator | None:
    """The generator of a loader's worker thread; None, as workers are processes.

    Source: torch.random.thread_safe_generator.
    """
    return None


def manual_seed(seed: int) -> Generator:
    """Seed the default generator; equal seeds give PyTorch's CPU numbers.

    Raises: ValueError if the seed has more than 64 bits.
    """
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Seed the default generator from the operating system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state as a uint8 tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Continue the default generator from `new_state`.  Raises: see `Generator.set_state`."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(
    devices: Iterable[int] | None = None,
    enabled: bool = True,
    _caller: str = "fork_rng",
    _devices_kw: str = "devices",
    device_type: str | None = None,
) -> Iterator[None]:
    """Within the block draw freely; afterwards the default generator stands where it stood.

    Raises: RuntimeError if `devices` names accelerators, of which there are none.
    """
    if devices is not None and len(list(devices)) > 0 and enabled:
        raise RuntimeError(
            f"{_caller}: {_devices_kw} must be empty, as only the CPU has random numbers here; "
            f"leave {_devices_kw} out"
        )
    if not enabled or device_type == "meta":
        yield
        return
    state = default_generator.engine.state_bytes()
    try:
        yield
    finally:
        default_generator.engine.restore(state)
