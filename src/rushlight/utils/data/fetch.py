"""Fetchers: from indices to one collated batch, in this process or in a worker.  Level 12."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.tensor.tensor import Tensor, tensor_from_numpy
from rushlight.utils.data.collate import default_collate
from rushlight.utils.data.dataset import Subset, TensorDataset


class Fetcher:
    """What a batch is made by.

    auto_collation: whether indices come in lists, to be collated; else one index is one item.
    """

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable, drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def fetch(self, index: Any) -> Any:
        """The batch for `index`.  Raises: StopIteration at the end of a stream."""
        raise NotImplementedError

    @staticmethod
    def of(dataset: Any, is_stream: bool, *options: Any) -> Fetcher:
        """The fetcher for a dataset that is iterated, or one that is indexed."""
        kind = IterableFetcher if is_stream else MapFetcher
        return kind(dataset, *options)


class MapFetcher(Fetcher):
    """Looks samples up by index."""

    def fetch(self, index: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[index])
        if self.collate_fn is default_collate:
            batch = rows_of(self.dataset, index)
            if batch is not None:
                return batch
        many = getattr(self.dataset, "__getitems__", None)
        samples = many(index) if many else [self.dataset[i] for i in index]
        return self.collate_fn(samples)


class IterableFetcher(Fetcher):
    """Takes samples from an iterator."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.iterator: Iterator[Any] = iter(self.dataset)
        self.ended = False

    def fetch(self, index: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.iterator))
        samples = []
        for _ in index:
            try:
                samples.append(next(self.iterator))
            except StopIteration:
                self.ended = True
                break
        if not samples or (self.drop_last and len(samples) < len(index)):
            raise StopIteration
        return self.collate_fn(samples)


def rows_of(dataset: Any, indices: list) -> list[Tensor] | None:
    """A batch of a TensorDataset (or a Subset of one) by one gather from each tensor.

    The result is what indexing and collating each sample gives.  None where that would not hold:
    subclasses, tensors that require gradients, indices that are not plain integers.
    """
    while type(dataset) is Subset:
        indices = [dataset.indices[i] for i in indices]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or not all(type(i) is int for i in indices):
        return None
    if any(tensor.requires_grad for tensor in dataset.tensors):
        return None
    rows = np.asarray(indices, dtype=np.intp)
    return [tensor_from_numpy(t._materialize()[rows], t.dtype) for t in dataset.tensors]
