"""Steps that make one pipe of several.  Level 12."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.datapipe import IterDataPipe, length_of


class _Combined(IterDataPipe):
    """datapipes: at least one, all of them streams."""

    def __init__(self, *datapipes: Any) -> None:
        super().__init__()
        if not datapipes:
            raise ValueError("Expected at least one DataPipe, but got nothing")
        if not all(isinstance(pipe, IterDataPipe) for pipe in datapipes):
            raise TypeError("Expected all inputs to be `IterDataPipe`")
        self.datapipes = datapipes

    def _lengths(self) -> list[int]:
        return [length_of(pipe, self) for pipe in self.datapipes]


@functional_datapipe("concat")
class ConcaterIterDataPipe(_Combined):
    """The samples of the first, then those of the next."""

    def __iter__(self) -> Iterator:
        for pipe in self.datapipes:
            yield from pipe

    def __len__(self) -> int:
        return sum(self._lengths())


@functional_datapipe("mux")
class MultiplexerIterDataPipe(_Combined):
    """One sample of each in turn, as long as each has one."""

    def __iter__(self) -> Iterator:
        for samples in zip(*self.datapipes):
            yield from samples

    def __len__(self) -> int:
        return min(self._lengths()) * len(self.datapipes)


@functional_datapipe("zip")
class ZipperIterDataPipe(_Combined):
    """Tuples of a sample of each, as long as each has one."""

    def __iter__(self) -> Iterator:
        yield from zip(*self.datapipes)

    def __len__(self) -> int:
        return min(self._lengths())
