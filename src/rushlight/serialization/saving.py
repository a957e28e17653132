"""save: objects to a checkpoint file in PyTorch's format.

A path is written atomically: the bytes go to a temporary file in the same folder, which replaces
the old file only when it is complete and on the disk, so an interrupted save loses nothing.
Level: serialization (12).
"""

from __future__ import annotations

import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

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
        _write_atomically(os.fspath(f), lambda target: _write_archive(target, data, storages))
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


def _write_atomically(path: Any, write: Callable[[Any], None]) -> None:
    path = os.path.realpath(path)  # a link keeps pointing at the file, which is replaced
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with open(path, "wb") as target:  # a device or a pipe cannot be replaced
            write(target)
        return
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {folder} does not exist.")
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as target:
            write(target)
            target.flush()
            os.fsync(target.fileno())
        os.chmod(temporary, _permissions(path))
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _permissions(path: str) -> int:
    """Those of the file being replaced, or those that a new file would get."""
    if os.path.exists(path):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
