"""save: objects to a checkpoint file in PyTorch's format.

A path is written atomically (`atomic.py`): an interrupted save loses nothing and leaves nothing.
Level: serialization (12).
"""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any

import numpy as np

from rushlight.serialization.atomic import write_atomically
from rushlight.serialization.checkpoint_pickle import PROTOCOL, dump_checkpoint
from rushlight.serialization.zip_records import ALIGNMENT, RecordWriter
from rushlight.tensor.pickling import storage_array

FOLDER = "archive"
VERSION = b"3\n"


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Write `obj` to `f`, a path or an object with `write`, so that `load` and torch.load open it.

    Tensors that share memory share it after loading; whole storages are written, not only the
    window a view shows.  Whatever `pickle_protocol` allows, protocol 2 is written: every reader of
    checkpoints accepts it.
    Raises: RuntimeError if the folder of a path does not exist.  Source: torch.save.
    """
    if pickle_module is not pickle:
        raise ValueError("save: pickle_module must be Python's own pickle module")
    if not 0 <= pickle_protocol <= pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"pickle protocol must be <= {pickle.HIGHEST_PROTOCOL}")
    if not _use_new_zipfile_serialization:
        raise ValueError("save: only the zip format is written; the older one can be loaded")
    if isinstance(f, (str, os.PathLike)):
        data, storages = dump_checkpoint(obj)
        write_atomically(os.fspath(f), lambda target: _write_archive(target, data, storages))
        return
    if not hasattr(f, "write"):
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object with a 'write' attribute, "
            f"got {type(f).__name__}"
        )
    data, storages = dump_checkpoint(obj)
    _write_archive(f, data, storages)


def _write_archive(target: Any, data: bytes, storages: list) -> None:
    writer = RecordWriter(target, FOLDER)
    writer.write("data.pkl", data)
    writer.write(".format_version", b"1")
    writer.write(".storage_alignment", str(ALIGNMENT).encode())
    writer.write("byteorder", sys.byteorder.encode())
    for key, storage in enumerate(storages):
        writer.write(f"data/{key}", storage_array(storage).view(np.uint8).data)
    writer.write("version", VERSION)
    writer.finish()
