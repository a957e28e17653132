"""State of modules and optimizers, in folders that several processes could share.  Level 12.

In one process all of it is here: `save` writes a nested state, `load` fills one in place, in
PyTorch's format; `state_dict` gives and takes states by the names of parameters.
Source: torch.distributed.checkpoint.
"""

from rushlight.distributed.checkpoint import format_utils, hf_storage, state_dict
from rushlight.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from rushlight.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from rushlight.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    TensorStorageMetadata,
)
from rushlight.distributed.checkpoint.state_dict_loader import load, load_state_dict
from rushlight.distributed.checkpoint.state_dict_saver import async_save, save, save_state_dict
from rushlight.distributed.checkpoint.stateful import Stateful

__all__ = [
    "BytesStorageMetadata", "ChunkStorageMetadata", "DefaultLoadPlanner", "DefaultSavePlanner",
    "FileSystemReader", "FileSystemWriter", "Metadata", "Stateful", "TensorStorageMetadata",
    "async_save", "format_utils", "hf_storage", "load", "load_state_dict", "save",
    "save_state_dict", "state_dict",
]  # fmt: skip
