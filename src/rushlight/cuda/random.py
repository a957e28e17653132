"""PyTorch's `torch.cuda.random`: generators of devices, of which there are none.  Level 12."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight.cuda._absent import no_device

__all__ = [
    "get_rng_state", "get_rng_state_all", "initial_seed", "manual_seed", "manual_seed_all",
    "seed", "seed_all", "set_rng_state", "set_rng_state_all",
]  # fmt: skip


def get_rng_state(device: Any = "cuda") -> Any:
    """State of a device's generator.  Raises: AssertionError."""
    no_device("get_rng_state")


def get_rng_state_all() -> list[Any]:
    """States of all devices' generators: none."""
    return []


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Set the state of a device's generator, if there is one.

    PyTorch without CUDA keeps the call for later, too.
    """


def set_rng_state_all(new_states: Iterable[Any]) -> None:
    """Set the states of all devices' generators.  Raises: AssertionError for any state."""
    for place, _ in enumerate(new_states):
        no_device(f"set_rng_state_all, state {place}")


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
    no_device("initial_seed")
