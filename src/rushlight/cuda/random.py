"""PyTorch's `torch.cuda.random`: the generators of CUDA devices.  Level 12."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight.engine import cuda
from rushlight.ops.generator import Generator, of_devices
from rushlight.tensor.tensor import Tensor

__all__ = [
    "get_rng_state", "get_rng_state_all", "initial_seed", "manual_seed", "manual_seed_all",
    "seed", "seed_all", "set_rng_state", "set_rng_state_all",
]  # fmt: skip


def _generator(device: Any = None) -> Generator:
    return of_devices.of(cuda.resolved(device))


def get_rng_state(device: Any = "cuda") -> Tensor:
    """State of a device's generator: seed and offset.  Raises: AssertionError without devices."""
    return _generator(device).get_state()


def get_rng_state_all() -> list[Tensor]:
    """States of all devices' generators."""
    return [get_rng_state(backend.index) for backend in cuda.backends()]


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Set the state of a device's generator, if there is one.

    PyTorch without CUDA keeps the call for later, too.
    """
    if cuda.backends():
        _generator(device).set_state(new_state)


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Set the states of all devices' generators.  Raises: AssertionError for any without one."""
    for place, state in enumerate(new_states):
        cuda.backend(place)
        set_rng_state(state, place)


def manual_seed(seed: int) -> None:
    """Seed the current device's generator, if there is one."""
    if cuda.backends():
        _generator().manual_seed(int(seed))


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices."""
    of_devices.seed_all(int(seed))


def seed() -> None:
    """Seed the current device's generator at random, if there is one."""
    if cuda.backends():
        _generator().seed()


def seed_all() -> None:
    """Seed the generators of all devices at random, each with the same number."""
    if cuda.backends():
        of_devices.seed_all(_generator().seed())


def initial_seed() -> int:
    """The seed of the current device's generator.  Raises: AssertionError without devices."""
    return _generator().initial_seed()
