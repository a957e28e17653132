"""Generator: a stream of random numbers as an object, and the process's default one.

In: seeds and states as PyTorch has them. Out: engines (`rng.mt19937`) for the random operations.
Level 11.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.device import CPU, device
from rushlight.base.dtypes import uint8
from rushlight.ops.creation import value_of
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


class Generator:
    """A pseudo-random stream of its own.  Source: torch.Generator; the numbers are PyTorch's."""

    __slots__ = ("__weakref__", "engine")

    def __init__(self, device: Any = None) -> None:
        resolve_cpu("Generator", device)
        self.engine = MersenneTwister()

    @property
    def device(self) -> device:
        """Where the numbers are made: always the CPU."""
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed`, an int of 64 bits.  Returns the generator itself.

        Raises: RuntimeError if `seed` is not an int, ValueError if it has more than 64 bits.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self.engine.reseed(int(seed))
        return self

    def initial_seed(self) -> int:
        """The seed that the stream started from."""
        return self.engine.seed

    def seed(self) -> int:
        """Seed from the operating system's entropy; returns the seed."""
        return self.engine.reseed_from_system()

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor of 5056 bytes, in PyTorch's layout."""
        return tensor_from_numpy(self.engine.state_bytes(), uint8)

    def set_state(self, new_state: Tensor) -> None:
        """Continue from a state that `get_state` returned, here or in PyTorch.

        Raises: TypeError unless `new_state` is a uint8 tensor; RuntimeError if it is no state.
        """
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype is not uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor, got one of {new_state.dtype}")
        self.engine.restore(value_of(new_state))

    def clone_state(self) -> Generator:
        """A second generator that continues from the same point."""
        clone = Generator()
        clone.engine = self.engine.copy()
        return clone

    def get_offset(self) -> int:
        """Raises: RuntimeError always; only counter-based generators have an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def set_offset(self, offset: int) -> None:
        """Raises: RuntimeError always; only counter-based generators have an offset."""
        raise RuntimeError("CPU Generator does not use offset")

    def graphsafe_get_state(self) -> Generator:
        """Raises: NotImplementedError always; a CPU stream has no shared state."""
        raise NotImplementedError("graphsafe_get_state is not supported in this Generator")

    def graphsafe_set_state(self, state: Generator) -> None:
        """Raises: NotImplementedError always; a CPU stream has no shared state."""
        raise NotImplementedError("graphsafe_set_state is not supported in this Generator")

    def __reduce__(self) -> tuple:
        return _restored, (self.engine.state_bytes().tobytes(),)

    def __repr__(self) -> str:
        return f"<torch.Generator object at {id(self):#x}>"


def _restored(state: bytes) -> Generator:
    generator = Generator()
    generator.engine.restore(np.frombuffer(state, np.uint8))
    return generator


def resolve_cpu(operation: str, place: Any) -> None:
    """Check that `place` means the CPU.  Raises: RuntimeError otherwise."""
    if place is None or device(place).type == "cpu":
        return
    raise RuntimeError(
        f"{operation}: cannot get a generator for device {place}, as random numbers are made on "
        "the CPU; use device='cpu'"
    )


def _seeded_from_system() -> Generator:
    generator = Generator()
    generator.seed()
    return generator


#: What the random operations use when no generator is passed; each process starts differently.
default_generator = _seeded_from_system()


def engine_of(operation: str, generator: Generator | None) -> MersenneTwister:
    """The engine to draw from.  Raises: TypeError if `generator` is something else."""
    if generator is None:
        return default_generator.engine
    if not isinstance(generator, Generator):
        raise TypeError(
            f"{operation}(): argument 'generator' must be torch.Generator, "
            f"not {type(generator).__name__}"
        )
    return generator.engine
