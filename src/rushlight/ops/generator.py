"""Generator: a stream of random numbers as an object, and the process's default one.

In: seeds and states as PyTorch has them. Out: engines (`rng.mt19937`) for the random operations.
Level 11.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.device import ACCELERATORS, CPU, device, resolve_device
from rushlight.base.dtypes import uint8
from rushlight.engine.backends import backend_of
from rushlight.ops.creation import value_of
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.rng.philox import Philox
from rushlight.tensor.placing import placed
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


class Generator:
    """A pseudo-random stream of its own.  Source: torch.Generator; the numbers are PyTorch's.

    That of a CUDA device is Philox, with a seed and an offset; see `rng/philox.py`.
    """

    __slots__ = ("__weakref__", "_device", "engine")

    def __init__(self, device: Any = None) -> None:
        try:
            self._device = CPU if device is None else resolve_device(device)
        except AssertionError as error:  # generators of absent devices have an error of their own
            raise RuntimeError(f"Generator: {error}") from None
        self.engine: Any = _engine_for("Generator", self._device)

    @property
    def device(self) -> device:
        """Whose numbers they are."""
        return self._device

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
        """The state as a uint8 tensor of the CPU, in PyTorch's layout: 5056 bytes, or seed and
        offset for a CUDA device."""
        return placed(tensor_from_numpy(self.engine.state_bytes(), uint8), CPU)

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
        clone = Generator(self._device)
        clone.engine = self.engine.copy()
        return clone

    def get_offset(self) -> int:
        """How far the stream of a CUDA device has gone.  Raises: RuntimeError for the CPU's."""
        if not isinstance(self.engine, Philox):
            raise RuntimeError("CPU Generator does not use offset")
        return self.engine.offset

    def set_offset(self, offset: int) -> None:
        """Go on from an offset, a multiple of 4.  Raises: RuntimeError for the CPU's."""
        if not isinstance(self.engine, Philox):
            raise RuntimeError("CPU Generator does not use offset")
        if offset % 4:
            raise RuntimeError("offset must be a multiple of 4")
        self.engine.offset = int(offset)

    def graphsafe_get_state(self) -> Generator:
        """Raises: NotImplementedError always; a CPU stream has no shared state."""
        raise NotImplementedError("graphsafe_get_state is not supported in this Generator")

    def graphsafe_set_state(self, state: Generator) -> None:
        """Raises: NotImplementedError always; a CPU stream has no shared state."""
        raise NotImplementedError("graphsafe_set_state is not supported in this Generator")

    def __reduce__(self) -> tuple:
        return _restored, (self.engine.state_bytes().tobytes(), str(self._device))

    def __repr__(self) -> str:
        return f"<torch.Generator object at {id(self):#x}>"


def _restored(state: bytes, place: str = "cpu") -> Generator:
    generator = Generator(place)
    generator.engine.restore(np.frombuffer(state, np.uint8))
    return generator


def _engine_for(operation: str, place: device) -> Any:
    """A new engine for a device.  Raises: RuntimeError for one without numbers of its own."""
    if place.type in ACCELERATORS:
        facts: Any = backend_of(place).facts
        return Philox(facts.multiprocessors, facts.threads)
    if place.type != "cpu":
        raise RuntimeError(
            f"{operation}: cannot get a generator for device {place}; use device='cpu', or one "
            "of an accelerator"
        )
    return MersenneTwister()


def _seeded_from_system() -> Generator:
    generator = Generator()
    generator.seed()
    return generator


#: What the random operations use when no generator is passed; each process starts differently.
default_generator = _seeded_from_system()


class _OfDevices:
    """The default generators of accelerators, made at first use; seed: what to start them with."""

    def __init__(self) -> None:
        self.generators: dict[device, Generator] = {}
        self.seed: int | None = None

    def of(self, place: device) -> Generator:
        """The one of a device."""
        found = self.generators.get(place)
        if found is None:
            found = self.generators[place] = Generator(place)
            if self.seed is not None:
                found.manual_seed(self.seed)
            else:
                found.seed()
        return found

    def seed_all(self, seed: int) -> None:
        """Start the stream of a seed on all of them, those to come included."""
        self.seed = seed
        for generator in self.generators.values():
            generator.manual_seed(seed)


of_devices = _OfDevices()


def engine_of(operation: str, generator: Generator | None, place: Any = None) -> Any:
    """The engine to draw from, for a result on a device (None: the default one).

    Raises: TypeError if `generator` is something else, RuntimeError if it is another device's.
    """
    where = resolve_device(place)
    if generator is None:
        own = where.type in ACCELERATORS
        return of_devices.of(where).engine if own else default_generator.engine
    if not isinstance(generator, Generator):
        raise TypeError(
            f"{operation}(): argument 'generator' must be torch.Generator, "
            f"not {type(generator).__name__}"
        )
    kind = generator.device.type
    if place is not None and where.type in ("cpu", *ACCELERATORS) and kind != where.type:
        raise RuntimeError(
            f"Expected a '{where.type}' device type for generator but found '{kind}'"
        )
    return generator.engine
