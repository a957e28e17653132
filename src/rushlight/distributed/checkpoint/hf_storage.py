"""Sharded files of safetensors; refused, as one process needs no shards.  Level 12.

Source: torch.distributed.checkpoint.hf_storage.
"""

from __future__ import annotations

from typing import Any

__all__ = ["HuggingFaceStorageReader", "HuggingFaceStorageWriter"]


class _Storage:
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            f"{type(self).__name__}: sharded checkpoints of several processes are not written or"
            " read here; use safetensors.torch.save_file and load_file on the whole state"
        )


class HuggingFaceStorageWriter(_Storage):
    """Writes shards."""


class HuggingFaceStorageReader(_Storage):
    """Reads shards."""
