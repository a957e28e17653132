"""Random numbers as transforms draw them: one at a time, from the default generator.

Level 14.
"""

from __future__ import annotations

import functools

import rushlight as rl
from rushlight import Tensor
from rushlight.distributions.pathwise import _sample_dirichlet
from rushlight.ops.generator import engine_of
from rushlight.rng import single
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.tape.tape import local


def _engine(operation: str) -> MersenneTwister | None:
    """The default generator's engine where no tensor is needed to draw one float32 number.

    None: under vmap and where a step is recorded a draw is part of the tape, another device has a
    stream of its own, and another default dtype takes other words of the stream.
    """
    tape = local.tape
    if tape.transforms is not None or tape.recorder is not None:
        return None
    engine = engine_of(operation, None)
    if type(engine) is not MersenneTwister or rl.get_default_dtype() is not rl.float32:
        return None
    return engine


def uniform(low: float, high: float) -> float:
    """A number of the default generator, in float32 as torchvision draws it."""
    engine = _engine("uniform_")
    if engine is None or not low <= high:
        return float(rl.empty(1).uniform_(low, high).item())
    return single.uniform(engine, low, high)


def log_uniform(low: float, high: float) -> float:
    """A ratio of the default generator, as likely in [low, 1] as in [1, high] where they mirror."""
    return single.exponential(uniform(*logarithms(low, high)))


@functools.lru_cache(maxsize=64)
def logarithms(*values: float) -> list[float]:
    """Natural logarithms, in float32 as the library's kernel has them.

    A transform asks when it is made: else each worker of a data loader would load the compiler.
    """
    return rl.log(rl.tensor(values, dtype=rl.float32)).tolist()


def integer(low: int, high: int) -> int:
    """A whole number of the default generator from `low` to `high - 1`."""
    engine = _engine("randint")
    if engine is None or not low < high:
        return int(rl.randint(low, high, size=(1,)).item())
    return single.integer(engine, low, high)


def chance() -> float:
    """A number of the default generator between 0 and 1."""
    engine = _engine("rand")
    return float(rl.rand(1).item()) if engine is None else single.uniform(engine)


def dirichlet(concentrations: list[list[float]]) -> Tensor:
    """Shares that sum to 1 in each row, by the library's Dirichlet sampler."""
    return _sample_dirichlet(rl.tensor(concentrations, dtype=rl.float32))
