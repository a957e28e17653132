"""From a folder to one file of `torch.save` and back.  Level 12.

Source: torch.distributed.checkpoint.format_utils.
"""

from __future__ import annotations

import os
from typing import Any

from rushlight.distributed.checkpoint.filesystem import FileSystemReader
from rushlight.distributed.checkpoint.flattening import nested
from rushlight.distributed.checkpoint.metadata import TensorStorageMetadata
from rushlight.distributed.checkpoint.state_dict_saver import save as save_folder
from rushlight.ops.creation import empty
from rushlight.serialization.loading import load
from rushlight.serialization.saving import save

__all__ = ["dcp_to_torch_save", "torch_save_to_dcp"]


def read_all(folder: str | os.PathLike) -> dict[str, Any]:
    """Everything in a checkpoint's folder, nested as it was."""
    reader = FileSystemReader(folder)
    metadata = reader.read_metadata()
    parts: dict[str, Any] = {}
    for name, saved in metadata.state_dict_metadata.items():
        if isinstance(saved, TensorStorageMetadata):
            parts[name] = empty(tuple(saved.size), dtype=saved.properties.dtype)
            reader.fill(metadata, name, parts[name])
        else:
            parts.update(reader.objects(metadata, [name]))
    return nested(parts, metadata.planner_data)


def dcp_to_torch_save(
    dcp_checkpoint_dir: str | os.PathLike, torch_save_path: str | os.PathLike
) -> None:
    """Write a folder's state as one file."""
    save(read_all(dcp_checkpoint_dir), torch_save_path)


def torch_save_to_dcp(
    torch_save_path: str | os.PathLike, dcp_checkpoint_dir: str | os.PathLike
) -> None:
    """Write one file's state as a folder."""
    save_folder(load(torch_save_path, weights_only=False), checkpoint_id=dcp_checkpoint_dir)
