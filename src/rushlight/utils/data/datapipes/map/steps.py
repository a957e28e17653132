"""Steps of pipelines whose samples are looked up.  Level 12."""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.batching import Batching
from rushlight.utils.data.datapipes.columns import check_function
from rushlight.utils.data.datapipes.datapipe import (
    DataChunk,
    IterDataPipe,
    MapDataPipe,
    length_of,
)
from rushlight.utils.data.seeding import draw_seed

T_co = TypeVar("T_co", covariant=True)


def _same(sample: Any) -> Any:
    return sample


class SequenceWrapperMapDataPipe(MapDataPipe[T_co]):
    """The elements of a sequence or a dict; of a deep copy of it, unless deepcopy is False."""

    def __init__(self, sequence: Sequence | dict, deepcopy: bool = True) -> None:
        self.sequence: Any = sequence
        if deepcopy:
            try:
                self.sequence = copy.deepcopy(sequence)
            except TypeError:
                warnings.warn(
                    "The input sequence can not be deepcopied, please be aware of in-place"
                    " modification would affect source data",
                    stacklevel=2,
                )

    def __getitem__(self, index: Any) -> T_co:
        return self.sequence[index]

    def __len__(self) -> int:
        return len(self.sequence)


@functional_datapipe("map")
class MapperMapDataPipe(MapDataPipe[T_co]):
    """`fn` of each sample."""

    def __init__(self, datapipe: Any, fn: Callable = _same) -> None:
        super().__init__()
        check_function(fn)
        self.datapipe = datapipe
        self.fn = fn

    def __getitem__(self, index: Any) -> T_co:
        return self.fn(self.datapipe[index])

    def __len__(self) -> int:
        return length_of(self.datapipe, self)


@functional_datapipe("batch")
class BatcherMapDataPipe(Batching, MapDataPipe[DataChunk]):
    """Batches of `batch_size` samples; the last one may have fewer, or is dropped."""

    def __getitem__(self, index: int) -> DataChunk:
        if not 0 <= index < len(self):
            raise IndexError(f"Index {index} is out of bound.")
        first = index * self.batch_size
        places = range(first, min(first + self.batch_size, len(self.datapipe)))
        return self.wrapper_class([self.datapipe[place] for place in places])


class _Combined(MapDataPipe):
    """datapipes: at least one, all of them maps."""

    def __init__(self, *datapipes: Any) -> None:
        if not datapipes:
            raise ValueError("Expected at least one DataPipe, but got nothing")
        if not all(isinstance(pipe, MapDataPipe) for pipe in datapipes):
            raise TypeError("Expected all inputs to be `MapDataPipe`")
        self.datapipes = datapipes

    def _lengths(self) -> list[int]:
        return [length_of(pipe, self) for pipe in self.datapipes]


@functional_datapipe("concat")
class ConcaterMapDataPipe(_Combined):
    """The samples of the first, then those of the next."""

    def __getitem__(self, index: int) -> Any:
        rest = index
        for pipe in self.datapipes:
            if rest < len(pipe):
                return pipe[rest]
            rest -= len(pipe)
        raise IndexError(f"Index {index} is out of range.")

    def __len__(self) -> int:
        return sum(self._lengths())


@functional_datapipe("zip")
class ZipperMapDataPipe(_Combined):
    """Tuples of a sample of each."""

    def __getitem__(self, index: Any) -> tuple:
        found = []
        for pipe in self.datapipes:
            try:
                found.append(pipe[index])
            except IndexError as error:
                raise IndexError(
                    f"Index {index} is out of range for one of the input MapDataPipes {pipe}."
                ) from error
        return tuple(found)

    def __len__(self) -> int:
        return min(self._lengths())


class ShufflerIterDataPipe(IterDataPipe[T_co]):
    """A stream of a map's samples in random order.

    indices: its keys; 0, 1, ... by default.
    """

    def __init__(self, datapipe: Any, *, indices: list | None = None) -> None:
        super().__init__()
        self.datapipe = datapipe
        self.indices = list(range(len(datapipe))) if indices is None else indices
        self._enabled = True
        self._seed: int | None = None
        self._rng = random.Random()
        self._shuffled_indices: list = self.indices

    def set_shuffle(self, shuffle: bool = True) -> ShufflerIterDataPipe:
        """Whether to shuffle at all."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: int) -> ShufflerIterDataPipe:
        """The seed of the next pass."""
        self._seed = seed
        return self

    def __iter__(self) -> Iterator[T_co]:
        if not self._enabled:
            for index in self.indices:
                yield self.datapipe[index]
            return
        while self._shuffled_indices:
            yield self.datapipe[self._shuffled_indices.pop()]

    def reset(self) -> None:
        """Draw the order of the pass."""
        if self._enabled and self._seed is None:
            self._seed = draw_seed(None)
        self._rng.seed(self._seed)
        self._seed = None
        self._shuffled_indices = self._rng.sample(self.indices, len(self.indices))

    def __len__(self) -> int:
        return len(self.datapipe)


MapDataPipe.register_datapipe_as_function("shuffle", ShufflerIterDataPipe)
