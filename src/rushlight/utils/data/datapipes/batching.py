"""What batches of streams and of maps have in common.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.utils.data.datapipes.datapipe import DataChunk, length_of


class Batching:
    """How many samples a batch has, how many batches there are, and what a batch is made by."""

    def __init__(
        self,
        datapipe: Any,
        batch_size: int,
        drop_last: bool = False,
        wrapper_class: type[DataChunk] = DataChunk,
    ) -> None:
        super().__init__()
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe = datapipe
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.wrapper_class = wrapper_class

    def __len__(self) -> int:
        length = length_of(self.datapipe, self)
        return (length + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size
