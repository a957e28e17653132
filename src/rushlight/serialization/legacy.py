"""The format PyTorch wrote before version 1.6: five pickles, then the storages' bytes.

Read only.  In: the whole file as bytes.  Each storage is preceded by its element count; its bytes
follow in the order of a list of keys.  Since the objects' pickle mentions storages before their
bytes are known, arrays are made at first mention, bounded by the file's size, and filled last.
Level: serialization (12).
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.serialization.checkpoint_pickle import TrustingUnpickler
from rushlight.serialization.names import allowed_names
from rushlight.serialization.rebuild import StorageTable
from rushlight.serialization.restricted_pickle import RestrictedUnpickler

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
LEGACY_MAGIC_PICKLE = b"\x80\x02\x8a\x0a" + _MAGIC.to_bytes(10, "little") + b"."


def load_legacy(data: bytes, locate: Callable[[str], device], trust: bool, options: dict) -> Any:
    """The object in a file of the older format.

    Raises: pickle.UnpicklingError or RuntimeError for damaged files.
    """
    position = 0
    header = []
    for _ in range(3):
        value, position = _plain_pickle(data, position)
        header.append(value)
    _check_header(header)
    made: dict[str, np.ndarray] = {}
    claimed = 0

    def read(key: str, dtype: DType, count: int) -> np.ndarray:
        nonlocal claimed
        claimed += count * dtype.itemsize
        if claimed > len(data):
            raise pickle.UnpicklingError("load: the storages are larger than the file")
        made[key] = np.empty(count, dtype.numpy)
        return made[key]

    table = StorageTable(read, locate)
    if trust:
        stream = io.BytesIO(data)
        stream.seek(position)
        result = TrustingUnpickler(stream, table.find, **options).load()
        position = stream.tell()
    else:
        encoding = options.get("encoding", "utf-8")
        reader = RestrictedUnpickler(data, allowed_names(), table.find, position, encoding)
        result = reader.load()
        position = reader.position
    keys, position = _plain_pickle(data, position)
    _fill(data, position, keys, made)
    return result


def _plain_pickle(data: bytes, position: int) -> tuple[Any, int]:
    reader = RestrictedUnpickler(data, {}, None, position)
    return reader.load(), reader.position


def _check_header(header: list[Any]) -> None:
    magic, protocol, system = header
    if magic != _MAGIC or protocol != _PROTOCOL or type(system) is not dict:
        raise RuntimeError(f"load: Invalid protocol version: {protocol!r}, expected {_PROTOCOL}")
    if system.get("little_endian", True) is not (sys.byteorder == "little"):
        raise RuntimeError("load: the file was written on a machine of the other byte order")


def _fill(data: bytes, position: int, keys: Any, made: dict[str, np.ndarray]) -> None:
    if type(keys) is not list or set(keys) != set(made):
        raise pickle.UnpicklingError("load: the list of storages does not match the objects")
    for key in keys:
        array = made[key]
        end = position + 8 + array.nbytes
        if end > len(data):
            raise RuntimeError(f"load: unexpected end of file in storage {key!r}")
        (count,) = struct.unpack_from("<q", data, position)
        if count != array.size:
            raise RuntimeError(f"load: storage {key!r} has {count} elements, not {array.size}")
        raw = np.frombuffer(data, np.uint8, array.nbytes, position + 8)
        if array.dtype.kind == "b":
            array[...] = raw != 0
        else:
            array.view(np.uint8)[...] = raw
        position = end
