"""The default generator's seed and state: PyTorch's `torch.random`.  Level 12."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from rushlight.base.device import ACCELERATORS, resolve_device
from rushlight.ops.generator import Generator, default_generator, of_devices
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
    of_devices.seed_all(int(seed))
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

    So do those of the accelerators in `devices`; None: all that were used.
    """
    if not enabled or device_type == "meta":
        yield
        return
    chosen = (
        list(of_devices.generators) if devices is None else [resolve_device(d) for d in devices]
    )
    generators = [default_generator, *[of_devices.of(d) for d in chosen if d.type in ACCELERATORS]]
    states = [generator.engine.state_bytes() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states):
            generator.engine.restore(state)
