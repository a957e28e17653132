"""Random numbers as transforms draw them: one at a time, from the default generator.

Level 14.
"""

from __future__ import annotations

import rushlight as rl
from rushlight import Tensor
from rushlight.distributions.pathwise import _sample_dirichlet


def uniform(low: float, high: float) -> float:
    """A number of the default generator, in float32 as torchvision draws it."""
    return float(rl.empty(1).uniform_(low, high).item())


def integer(low: int, high: int) -> int:
    """A whole number of the default generator from `low` to `high - 1`."""
    return int(rl.randint(low, high, size=(1,)).item())


def chance() -> float:
    """A number of the default generator between 0 and 1."""
    return float(rl.rand(1).item())


def dirichlet(concentrations: list[list[float]]) -> Tensor:
    """Shares that sum to 1 in each row, by the library's Dirichlet sampler."""
    return _sample_dirichlet(rl.tensor(concentrations, dtype=rl.float32))
