"""load: checkpoints written by rushlight or PyTorch, from a path or a seekable binary file.

By default nothing from the file is executed (`restricted_pickle.py`), and memory use is bounded by
the size of the file.  Three formats: the zip archive, the older sequence of pickles, and (by a
clear error) everything else.  Level: serialization (12).
"""

from __future__ import annotations

import io
import mmap as memory_map
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.device import device, resolve_device
from rushlight.base.dtypes import DType
from rushlight.engine.accelerators import KINDS
from rushlight.serialization.checkpoint_pickle import TrustingUnpickler
from rushlight.serialization.legacy import LEGACY_MAGIC_PICKLE, load_legacy
from rushlight.serialization.names import allowed_names
from rushlight.serialization.rebuild import StorageTable
from rushlight.serialization.restricted_pickle import RestrictedUnpickler
from rushlight.serialization.zip_records import RecordReader
from rushlight.tensor.memory import Storage

_ZIP_START = b"PK\x03\x04"


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """The object saved in `f`, a path or a seekable file opened for reading bytes.

    With `weights_only` (the default) only tensors, containers and plain values are read and no code
    of the file runs; False opens any pickle and must be used for trusted files only.
    `map_location` redirects storages that were on another device.  `mmap` maps the file into memory
    instead of reading it; writes to the tensors stay private.
    Raises: pickle.UnpicklingError for what the pickle may not contain, RuntimeError for a damaged
    file or a device that does not exist here, EOFError for an empty one.  Source: torch.load.
    """
    if pickle_module is not None and pickle_module is not pickle:
        raise ValueError("load: pickle_module must be Python's own pickle module")
    trust = weights_only is False
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as source:
            return _load(source, map_location, trust, bool(mmap), pickle_load_args)
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    for needed in ("read", "seek", "tell"):
        if not hasattr(f, needed):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{needed}'. You can only torch.load "
                "from a file that is seekable. Please pre-load the data into a buffer like "
                "io.BytesIO and try to load from it instead."
            )
    return _load(f, map_location, trust, False, pickle_load_args)


def _load(source: Any, map_location: Any, trust: bool, mapped: bool, options: dict) -> Any:
    start = source.tell()
    opening = source.read(len(LEGACY_MAGIC_PICKLE))
    source.seek(start)
    locate = locator(map_location)
    if not opening:
        raise EOFError("Ran out of input: the file is empty")
    if opening.startswith(_ZIP_START):
        return _load_archive(source, locate, trust, mapped, options)
    if mapped:
        raise RuntimeError(
            "mmap can only be used with files saved in the zip format; load without mmap=True"
        )
    if opening == LEGACY_MAGIC_PICKLE:
        return load_legacy(source.read(), locate, trust, options)
    raise pickle.UnpicklingError(
        f"load: not a checkpoint: it starts with {opening[:8]!r}, and neither a zip archive nor "
        "PyTorch's older format does"
    )


# ---- devices -----------------------------------------------------------------------------------


def locator(map_location: Any) -> Callable[[str], device]:
    """A function from a storage's location tag to its device, which raises if there is none."""

    def locate(tag: str) -> device:
        target = _mapped_location(map_location, tag)
        named = device(target)
        found = KINDS.get(named.type)
        if named.type == "cpu" or (found is not None and found.backends()):
            return resolve_device(named)
        name = named.type.upper()
        if map_location is None or target == tag:
            raise RuntimeError(
                f"Attempting to deserialize object on a {name} device but "
                f"torch.{name.lower()}.is_available() is False. If you are running on a CPU-only "
                "machine, please use torch.load with map_location=torch.device('cpu') to map your "
                "storages to the CPU."
            )
        raise RuntimeError(f"load: map_location={map_location!r} asks for {target}, not available")

    return locate


class _Located:
    """Stands for a storage that is loaded to the CPU first, where a function maps locations."""

    def __init__(self, place: str) -> None:
        self.place = place

    def cuda(self, index: int | None = None) -> _Located:
        """The storage on a CUDA device."""
        return _Located("cuda" if index is None else f"cuda:{index}")

    def cpu(self) -> _Located:
        """The storage on the CPU."""
        return _Located("cpu")


def _mapped_location(map_location: Any, tag: str) -> str:
    if map_location is None:
        return tag
    if isinstance(map_location, (str, device)):
        return str(map_location)
    if isinstance(map_location, dict):
        return str(map_location.get(tag, tag))
    if callable(map_location):
        # Functions get a storage, whose `cuda(n)` they may call, and return one, or None for "as
        # saved"; they learn of the storage where it would be, and nothing of what is in it.
        found = map_location(_Located("cpu"), tag)
        return tag if found is None else getattr(found, "place", "cpu")
    raise TypeError(
        f"load: map_location must be a device, a string, a dict or a function, got "
        f"{type(map_location).__name__}"
    )


# ---- the zip format ----------------------------------------------------------------------------


def _load_archive(
    source: Any, locate: Callable[[str], device], trust: bool, mapped: bool, options: dict
) -> Any:
    records = RecordReader(source)
    if "constants.pkl" in records:
        raise RuntimeError(
            "load: the file is a TorchScript archive, which holds a compiled program; load it "
            "with torch.jit.load"
        )
    swapped = byteorder(records) != sys.byteorder
    buffer = _map_file(source) if mapped else None

    def read(key: str, dtype: DType, count: int) -> np.ndarray:
        return read_storage(records, buffer, key, dtype, count, swapped)

    table = StorageTable(read, locate)
    return unpickle(records.read("data.pkl"), table.find, trust, options)


def byteorder(records: RecordReader) -> str:
    """The order of bytes in the archive's storages.  Raises: ValueError for unknown ones."""
    if "byteorder" not in records:
        return "little"
    order = records.read("byteorder").decode("ascii", "replace")
    if order not in ("little", "big"):
        raise ValueError(f"Unknown endianness type: {order}")
    return order


def _map_file(source: Any) -> memory_map.mmap:
    return memory_map.mmap(source.fileno(), 0, access=memory_map.ACCESS_COPY)


def read_storage(
    records: RecordReader,
    buffer: memory_map.mmap | None,
    key: str,
    dtype: DType,
    count: int,
    swapped: bool,
    folder: str = "data",
) -> np.ndarray:
    """The flat array of a storage.  Raises: RuntimeError if its record has another size."""
    name = f"{folder}/{key}"
    if records.size(name) != count * dtype.itemsize:
        raise RuntimeError(
            f"load: storage {key!r} should hold {count} elements of {dtype}, its record has "
            f"{records.size(name)} bytes; the file is damaged"
        )
    if count == 0:
        return np.empty(0, dtype.numpy)
    if buffer is not None and records.offset(name) % dtype.itemsize == 0 and not swapped:
        return np.frombuffer(buffer, dtype.numpy, count, records.offset(name))
    flat = records.read_array(name).view(dtype.numpy)
    if dtype.numpy.kind == "b":
        flat = flat.view(np.uint8) != 0  # any other byte is no valid NumPy boolean
    return flat.byteswap() if swapped else flat


def unpickle(
    data: bytes, find_storage: Callable[[Any], Storage], trust: bool, options: dict
) -> Any:
    """The object in a checkpoint's pickle."""
    if trust:
        return TrustingUnpickler(io.BytesIO(data), find_storage, **options).load()
    encoding = options.get("encoding", "utf-8")
    return RestrictedUnpickler(data, allowed_names(), find_storage, encoding=encoding).load()
