"""Checkpoints in a folder: `.metadata`, and files of one `torch.save` record after the other.

What is written here PyTorch reads, and the other way round; folders that several processes wrote
are read piece by piece.  Level 12.  Source: torch.distributed.checkpoint.filesystem.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import pickle
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rushlight.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from rushlight.serialization.atomic import write_atomically
from rushlight.serialization.checkpoint_pickle import TrustingUnpickler, dump_checkpoint
from rushlight.serialization.loading import load
from rushlight.serialization.names import NATIVE_NAMES
from rushlight.serialization.saving import save
from rushlight.tensor.tensor import Size, Tensor

__all__ = ["FileSystemReader", "FileSystemWriter"]

METADATA = ".metadata"
FILE = "__0_0.distcp"
_OURS, _THEIRS = "rushlight.distributed.checkpoint", "torch.distributed.checkpoint"


@dataclasses.dataclass
class _StorageInfo:
    """Where a record lies."""

    relative_path: str
    offset: int
    length: int
    transform_descriptors: Any = None


# By the names that files hold.
_CLASSES: dict[str, type] = {
    **{
        f"{_THEIRS}.metadata.{kind.__name__}": kind
        for kind in (
            BytesStorageMetadata, ChunkStorageMetadata, Metadata, MetadataIndex, StorageMeta,
            TensorProperties, TensorStorageMetadata,
        )
    },
    f"{_THEIRS}.filesystem._StorageInfo": _StorageInfo,
}  # fmt: skip
_ENCODING = f"{_THEIRS}.metadata._MEM_FORMAT_ENCODING"


def _names() -> dict[tuple[str, str], tuple[str, str]]:
    renamed = {}
    for full in (*_CLASSES, _ENCODING):
        module, _, name = full.rpartition(".")
        renamed[module.replace(_THEIRS, _OURS), name] = (module, name)
    return renamed


class _MetadataUnpickler(TrustingUnpickler):
    """Knows what a `.metadata` file is made of, and nothing else."""

    def __init__(self, source: Any) -> None:
        super().__init__(source, _no_storage)

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _CLASSES:
            return _CLASSES[full]
        if full == _ENCODING:
            return super().find_class(module, name)
        if full in NATIVE_NAMES or full == "collections.OrderedDict":
            return super().find_class(module, name)
        if module.startswith("pathlib") and name.endswith("Path"):
            return _path  # of whichever system wrote it
        raise pickle.UnpicklingError(f"{METADATA}: {full} is no part of a checkpoint's metadata")


def _no_storage(_: Any) -> Any:
    raise pickle.UnpicklingError(f"{METADATA} holds no tensors")


def _path(*parts: str) -> pathlib.PurePath:
    return pathlib.PurePosixPath(*parts)


class FileSystemWriter:
    """Writes checkpoints into a folder, which is made if it is not there.

    single_file_per_rank, sync_files, thread_count, per_thread_copy_ahead: how PyTorch's writes; one
    file is written here, whole or not at all.  overwrite: whether a checkpoint that is there is
    replaced; otherwise RuntimeError.
    """

    def __init__(
        self, path: str | os.PathLike, single_file_per_rank: bool = True, sync_files: bool = True,
        thread_count: int = 1, per_thread_copy_ahead: int = 10_000_000,
        cache_staged_state_dict: bool = False, overwrite: bool = True, **others: Any,
    ) -> None:  # fmt: skip
        self.path = pathlib.Path(path)
        self.checkpoint_id = path
        self.overwrite = overwrite

    def reset(self, checkpoint_id: str | os.PathLike | None = None) -> None:
        """Write into another folder from now on."""
        if checkpoint_id is not None:
            self.path = pathlib.Path(checkpoint_id)
            self.checkpoint_id = checkpoint_id

    def encoded(
        self, parts: Mapping[str, Any], ways: Mapping[str, Any]
    ) -> tuple[Metadata, Callable[[], None]]:
        """The metadata of what is to be written, and a function that writes it."""
        objects = {n: x for n, x in parts.items() if not isinstance(x, Tensor)}
        tensors = {n: x for n, x in parts.items() if isinstance(x, Tensor)}
        content, places = io.BytesIO(), {}
        described: dict[str, Any] = {}
        for name, value in objects.items():
            places[MetadataIndex(name)] = _written(value, content)
        for name, tensor in tensors.items():
            index = MetadataIndex(name, (0,) * tensor.dim(), 0)  # type: ignore[attr-defined]
            places[index] = _written(_plain(tensor), content)
        for name, value in parts.items():
            described[name] = BytesStorageMetadata()
            if name in tensors:
                described[name] = _described(value)
        about = StorageMeta(str(self.checkpoint_id), str(uuid.uuid4()))
        made = Metadata(described, dict(ways), places, about, "1.0.0")
        return made, lambda: self._write(made, content.getvalue())

    def _write(self, metadata: Metadata, content: bytes) -> None:
        if not self.overwrite and (self.path / METADATA).exists():
            raise RuntimeError(
                f"{self.path} has a checkpoint already, and overwrite=False asks that it stays"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / FILE, lambda target: _put(target, content))
        # Last: a folder without it is no checkpoint.
        pickled, _ = dump_checkpoint(metadata, _names())
        write_atomically(self.path / METADATA, lambda target: _put(target, pickled))


def _put(target: Any, content: bytes) -> None:
    target.write(content)


def _plain(tensor: Any) -> Tensor:
    """The values alone, row-major, without what a subclass or a view adds."""
    return tensor.detach().as_subclass(Tensor).clone().contiguous()


def _written(value: Any, content: io.BytesIO) -> _StorageInfo:
    start = content.tell()
    record = io.BytesIO()
    save(value, record)
    content.write(record.getvalue())
    return _StorageInfo(FILE, start, content.tell() - start)


def _described(tensor: Any) -> TensorStorageMetadata:
    whole = ChunkStorageMetadata(Size((0,) * tensor.dim()), Size(tensor.shape))
    properties = TensorProperties.create_from_tensor(tensor)
    return TensorStorageMetadata(properties, Size(tensor.shape), [whole])


class FileSystemReader:
    """Reads checkpoints of a folder."""

    def __init__(self, path: str | os.PathLike, *others: Any, **more: Any) -> None:
        self.path = pathlib.Path(path)
        self.checkpoint_id = path

    def reset(self, checkpoint_id: str | os.PathLike | None = None) -> None:
        """Read from another folder from now on."""
        if checkpoint_id is not None:
            self.path = pathlib.Path(checkpoint_id)
            self.checkpoint_id = checkpoint_id

    def read_metadata(self) -> Metadata:
        """What the folder holds.  Raises: FileNotFoundError if it has no checkpoint."""
        with open(self.path / METADATA, "rb") as file:
            found = _MetadataUnpickler(file).load()
        if not isinstance(found, Metadata):
            raise RuntimeError(f"{self.path / METADATA} is no checkpoint's metadata")
        return found

    def objects(self, metadata: Metadata, names: Iterable[str]) -> dict[str, Any]:
        """Objects that are no tensors, as they were: of files that are trusted, as in PyTorch."""
        return {
            name: self._record(metadata.storage_data[MetadataIndex(name)], False) for name in names
        }

    def fill(self, metadata: Metadata, name: str, target: Any) -> None:
        """Write a tensor's pieces into `target`, which has its shape."""
        for piece in metadata.state_dict_metadata[name].chunks:  # type: ignore[union-attr]
            place = metadata.storage_data[MetadataIndex(name, piece.offsets)]
            window = target
            for axis, (start, size) in enumerate(zip(piece.offsets, piece.sizes)):
                window = window.narrow(axis, start, size)
            window.copy_(self._record(place, True))

    def _record(self, place: _StorageInfo, weights_only: bool) -> Any:
        if place.transform_descriptors:
            raise NotImplementedError(
                f"checkpoint: records of {place.relative_path} are transformed by "
                f"{place.transform_descriptors}; write them without extensions"
            )
        with open(self.path / place.relative_path, "rb") as file:
            file.seek(place.offset)
            record = io.BytesIO(file.read(place.length))
        return load(record, weights_only=weights_only)
