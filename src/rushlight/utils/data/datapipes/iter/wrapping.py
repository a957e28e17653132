"""The first step: what can be iterated as a pipe.  Level 12."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, length_of

T = TypeVar("T")


class IterableWrapperIterDataPipe(IterDataPipe[T]):
    """The samples of an iterable; of a deep copy of it, so that steps may change them in place.

    deepcopy: False takes the iterable itself.
    """

    def __init__(self, iterable: Iterable[T], deepcopy: bool = True) -> None:
        self.iterable = iterable
        self.deepcopy = deepcopy

    def __iter__(self) -> Iterator[T]:
        source = self.iterable
        if self.deepcopy:
            try:
                source = copy.deepcopy(source)
            except TypeError:
                warnings.warn(
                    "The input iterable can not be deepcopied, please be aware of in-place"
                    " modification would affect source data.",
                    stacklevel=2,
                )
        yield from source

    def __len__(self) -> int:
        return length_of(self.iterable, self)
