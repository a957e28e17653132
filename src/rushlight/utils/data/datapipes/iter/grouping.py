"""Steps that make batches and take them apart.  Level 12."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rushlight.utils.data.datapipes._decorator import functional_datapipe
from rushlight.utils.data.datapipes.batching import Batching
from rushlight.utils.data.datapipes.columns import check_function
from rushlight.utils.data.datapipes.datapipe import DataChunk, IterDataPipe


@functional_datapipe("batch")
class BatcherIterDataPipe(Batching, IterDataPipe[DataChunk]):
    """Batches of `batch_size` samples; the last one may have fewer, or is dropped."""

    def __iter__(self) -> Iterator[DataChunk]:
        batch: list = []
        for sample in self.datapipe:
            batch.append(sample)
            if len(batch) == self.batch_size:
                yield self.wrapper_class(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.wrapper_class(batch)


@functional_datapipe("unbatch")
class UnBatcherIterDataPipe(IterDataPipe):
    """Samples out of batches that are `unbatch_level` deep; -1 takes lists apart to the end.

    Raises, while iterating: IndexError if they are not that deep.
    """

    def __init__(self, datapipe: Any, unbatch_level: int = 1) -> None:
        self.datapipe = datapipe
        self.unbatch_level = unbatch_level

    def __iter__(self) -> Iterator:
        if self.unbatch_level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        for batch in self.datapipe:
            yield from self._apart(batch, self.unbatch_level)

    def _apart(self, batch: Any, level: int) -> Iterator:
        if level == 0 or (level < 0 and not isinstance(batch, list)):
            yield batch
        elif isinstance(batch, list):
            for part in batch:
                yield from self._apart(part, max(level - 1, -1))
        else:
            raise IndexError(
                f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe"
            )


@functional_datapipe("groupby")
class GrouperIterDataPipe(IterDataPipe[DataChunk]):
    """Batches of samples with the same key.

    keep_key: yield (key, batch).
    group_size: a group goes out when it has so many.
    buffer_size: when so many samples wait, the largest group goes out;
    guaranteed_group_size: which it must have then, else RuntimeError, or it is dropped with
    `drop_remaining`.
    """

    def __init__(
        self,
        datapipe: Any,
        group_key_fn: Callable,
        *,
        keep_key: bool = False,
        buffer_size: int = 10000,
        group_size: int | None = None,
        guaranteed_group_size: int | None = None,
        drop_remaining: bool = False,
    ) -> None:
        check_function(group_key_fn)
        if group_size is not None and not 0 < group_size <= buffer_size:
            raise AssertionError("group_size must be > 0 and <= buffer_size")
        if guaranteed_group_size is None:
            guaranteed_group_size = group_size
        elif group_size is None or not 0 < guaranteed_group_size <= group_size:
            raise AssertionError(
                "guaranteed_group_size must be > 0 and <= group_size and group_size must be set"
            )
        self.datapipe = datapipe
        self.group_key_fn = group_key_fn
        self.keep_key = keep_key
        self.max_buffer_size = buffer_size
        self.group_size = group_size
        self.guaranteed_group_size = guaranteed_group_size
        self.drop_remaining = drop_remaining
        self.wrapper_class = DataChunk

    def __iter__(self) -> Iterator:
        groups: dict[Any, list] = {}
        waiting = 0
        for sample in self.datapipe:
            key = self.group_key_fn(sample)
            group = groups.setdefault(key, [])
            group.append(sample)
            waiting += 1
            if len(group) == self.group_size:
                waiting -= len(group)
                yield self._out(key, groups.pop(key))
            if waiting == self.max_buffer_size:
                key = max(groups, key=lambda k: len(groups[k]))
                group = groups.pop(key)
                waiting -= len(group)
                if len(group) >= (self.guaranteed_group_size or 0):
                    yield self._out(key, group)
                elif not self.drop_remaining:
                    raise RuntimeError("Failed to group items", str(group))
        for key, group in groups.items():
            yield self._out(key, group)

    def _out(self, key: Any, group: list) -> Any:
        batch: DataChunk = self.wrapper_class(group)
        return (key, batch) if self.keep_key else batch
