"""What a checkpoint's `.metadata` file says: which tensors there are, and where their pieces lie.

Level 12.  Source: torch.distributed.checkpoint.metadata.
"""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Sequence
from typing import Any

from rushlight.base.dtypes import DType, get_default_dtype
from rushlight.base.formats import (
    channels_last,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from rushlight.tensor.tensor import Size, Tensor

__all__ = [
    "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta",
    "TensorProperties", "TensorStorageMetadata",
]  # fmt: skip


@dataclasses.dataclass
class ChunkStorageMetadata:
    """One piece of a tensor: where it begins and its shape."""

    offsets: Size
    sizes: Size


class _MEM_FORMAT_ENCODING(enum.Enum):  # noqa: N801 - the name that files hold
    TORCH_CONTIGUOUS_FORMAT = 0
    TORCH_CHANNELS_LAST = 1
    TORCH_PRESERVE_FORMAT = 2


_FORMATS = (contiguous_format, channels_last, preserve_format)


@dataclasses.dataclass
class TensorProperties:
    """What a tensor is besides its shape."""

    dtype: DType = dataclasses.field(default_factory=get_default_dtype)
    layout: layout = dataclasses.field(default=strided)
    requires_grad: bool = False
    memory_format: memory_format = dataclasses.field(default=contiguous_format)
    pin_memory: bool = False

    @staticmethod
    def create_from_tensor(tensor: Tensor) -> TensorProperties:
        """Those of a tensor."""
        given: Any = tensor
        return TensorProperties(given.dtype, given.layout, given.requires_grad)

    def __getstate__(self) -> tuple:
        encoded = _MEM_FORMAT_ENCODING(_FORMATS.index(self.memory_format))
        return self.dtype, self.layout, self.requires_grad, encoded, self.pin_memory

    def __setstate__(self, state: tuple) -> None:
        self.dtype, self.layout, self.requires_grad, encoded, self.pin_memory = state
        self.memory_format = _FORMATS[encoded.value]


@dataclasses.dataclass
class TensorStorageMetadata:
    """A tensor's properties, shape and pieces."""

    properties: TensorProperties
    size: Size
    chunks: list[ChunkStorageMetadata]


@dataclasses.dataclass
class BytesStorageMetadata:
    """An object that is no tensor, as `torch.save` writes it."""


@dataclasses.dataclass
class StorageMeta:
    """Where and when a checkpoint was written."""

    checkpoint_id: str | os.PathLike | None = None
    save_id: str | None = None
    load_id: str | None = None
    modules: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Metadata:
    """A checkpoint: for each flat name what it is, its way through the nested state, its place."""

    state_dict_metadata: dict[str, TensorStorageMetadata | BytesStorageMetadata]
    planner_data: Any = None
    storage_data: Any = None
    storage_meta: StorageMeta | None = None
    version: str | None = None


@dataclasses.dataclass(frozen=True)
class MetadataIndex:
    """The key of a piece; `index` is its place in the list of pieces, and no part of the key."""

    fqn: str
    offset: Size | None = None
    index: int | None = dataclasses.field(hash=False, compare=False, default=None)

    def __init__(
        self, fqn: str, offset: Sequence[int] | None = None, index: int | None = None
    ) -> None:
        object.__setattr__(self, "fqn", fqn)
        object.__setattr__(self, "index", index)
        object.__setattr__(self, "offset", None if offset is None else Size(offset))
