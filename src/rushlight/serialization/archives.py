"""`PyTorchFileReader`: the records of a checkpoint by their names.  Level: serialization (12).

In: a path or a seekable binary file.  Out: bytes, or tensors over them.  Source: torch._C.
"""

from __future__ import annotations

import io
import os
from typing import Any

from rushlight.base.dtypes import DType, uint8
from rushlight.serialization.zip_records import RecordReader
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


class PyTorchFileReader:
    """The archive, read record by record.  Raises: RuntimeError for a damaged file."""

    def __init__(self, name_or_buffer: Any) -> None:
        if isinstance(name_or_buffer, (str, os.PathLike)):
            with open(name_or_buffer, "rb") as file:
                self._source: Any = io.BytesIO(file.read())
        else:
            self._source = name_or_buffer
        self._records = RecordReader(self._source)

    def has_record(self, name: str) -> bool:
        """Whether there is a record of that name."""
        return name in self._records

    def get_all_records(self) -> list[str]:
        """The names."""
        return list(self._records)

    def get_record(self, name: str) -> bytes:
        """The bytes of a record."""
        return self._records.read(name)

    def get_record_offset(self, name: str) -> int:
        """Where in the file the record begins."""
        return self._records.offset(name)

    def get_storage_from_record(self, name: str, numel: int, dtype: Any) -> Tensor:
        """The first `numel` elements of a record, as a tensor of a dtype, or bytes."""
        kind = dtype if isinstance(dtype, DType) else uint8
        values = self._records.read_array(name).view(kind.numpy)
        return tensor_from_numpy(values[:numel], kind)

    def archive_name(self) -> str:
        """The folder that the archive unpacks to."""
        return self._records.folder

    def version(self) -> int:
        """The version of the format."""
        return int(self.get_record("version")) if self.has_record("version") else 3
