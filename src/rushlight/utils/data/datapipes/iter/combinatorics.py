"""Steps that change the order.  Level 12."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, TypeVar

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.datapipe import IterDataPipe, length_of
from rushlight.utils.data.sampler import Sampler, SequentialSampler
from rushlight.utils.data.seeding import draw_seed

T_co = TypeVar("T_co", covariant=True)


class SamplerIterDataPipe(IterDataPipe[T_co]):
    """What a sampler, made of the pipe and of the arguments given, says."""

    def __init__(
        self,
        datapipe: Any,
        sampler: type[Sampler] = SequentialSampler,
        sampler_args: tuple | None = None,
        sampler_kwargs: dict | None = None,
    ) -> None:
        super().__init__()
        if not hasattr(type(datapipe), "__len__"):
            raise AssertionError("Sampler class requires input datapipe implemented `__len__`")
        self.datapipe = datapipe
        self.sampler_args = sampler_args or ()
        self.sampler_kwargs = {**(sampler_kwargs or {}), "data_source": datapipe}
        self.sampler: Any = sampler(*self.sampler_args, **self.sampler_kwargs)

    def __iter__(self) -> Iterator[T_co]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return length_of(self.sampler, self)


@functional_datapipe("shuffle")
class ShufflerIterDataPipe(IterDataPipe[T_co]):
    """Samples in an order that is random as far as a buffer of `buffer_size` of them goes.

    unbatch_level: batches are taken apart that deep before.
    Each pass draws a seed from the default generator, unless `set_seed` gave one.
    """

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        super().__init__()
        if buffer_size <= 0:
            raise AssertionError("buffer_size should be larger than 0")
        self.datapipe = datapipe.unbatch(unbatch_level) if unbatch_level else datapipe
        self.buffer_size = buffer_size
        self._buffer: list = []
        self._enabled = True
        self._seed: int | None = None
        self._rng = random.Random()

    def set_shuffle(self, shuffle: bool = True) -> ShufflerIterDataPipe:
        """Whether to shuffle at all."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> ShufflerIterDataPipe:
        """The seed of the next pass."""
        self._seed = seed
        return self

    def _place(self) -> int:
        return self._rng.randint(0, len(self._buffer) - 1)

    def __iter__(self) -> Iterator[T_co]:
        if not self._enabled:
            yield from self.datapipe
            return
        for sample in self.datapipe:
            if len(self._buffer) < self.buffer_size:
                self._buffer.append(sample)
                continue
            place = self._place()
            out, self._buffer[place] = self._buffer[place], sample
            yield out
        while self._buffer:
            yield self._buffer.pop(self._place())

    def __len__(self) -> int:
        return length_of(self.datapipe, self)

    def reset(self) -> None:
        """Empty the buffer and take the seed of the pass."""
        self._buffer = []
        if self._enabled:
            self._rng.seed(draw_seed(None) if self._seed is None else self._seed)
            self._seed = None
