"""TensorBoard's event files, written without TensorBoard.

In: numbers, distributions, pictures (PNG) and texts with their steps, from any thread.  Out: a
file that `tensorboard --logdir` reads.  A record is its length, its bytes and their sums (CRC-32C
of Castagnoli, masked); the bytes are a message of protocol buffers, of which the few fields that
are needed are written here.  Source: tensorflow's event.proto and summary.proto.  Level 12.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

__all__ = ["EventFile"]

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reversed
_MASK = 0xA282EAD8


def _table() -> list[int]:
    found = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return found


_TABLE = _table()


def _masked_sum(data: bytes) -> bytes:
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 255] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + _MASK) & 0xFFFFFFFF)


# ---- protocol buffers --------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # negative numbers take ten bytes
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)


def _whole(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number)


def _float(field: int, number: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", number)


def _part(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _doubles(field: int, numbers: Iterable[float]) -> bytes:
    return _part(field, np.asarray(list(numbers), "<f8").tobytes())


class EventFile:
    """One file of events in a folder, which is made."""

    def __init__(self, folder: str | os.PathLike) -> None:
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self.path = place / name
        self._lock = threading.Lock()
        # Unbuffered: a process that forks, or is killed, leaves whole records and none twice.
        self._file = open(self.path, "wb", buffering=0)  # noqa: SIM115
        self._owner = os.getpid()
        self._write(_part(3, "brain.Event:2"), 0)

    def _write(self, what: bytes, step: float) -> None:
        data = _double(1, time.time()) + _whole(2, int(step)) + what
        length = struct.pack("<Q", len(data))
        record = length + _masked_sum(length) + data + _masked_sum(data)
        with self._lock:
            if not self._file.closed and os.getpid() == self._owner:
                self._file.write(record)

    def _value(self, name: str, what: bytes, step: float) -> None:
        self._write(_part(5, _part(1, _part(1, name) + what)), step)

    def scalar(self, name: str, value: float, step: float) -> None:
        """A number of a series, as float32; also one that is not finite."""
        with np.errstate(over="ignore"):
            self._value(name, _float(2, float(np.float32(value))), step)

    def histogram(
        self, name: str, values: np.ndarray, counts: Iterable[float], edges: np.ndarray, step: float
    ) -> None:
        """How many of the finite values lie between one edge and the next."""
        if not values.size:
            return
        facts = [values.min(), values.max(), values.size, values.sum(), np.square(values).sum()]
        body = b"".join(_double(i + 1, float(fact)) for i, fact in enumerate(facts))
        # The first bucket ends at the first edge and holds nothing.
        body += _doubles(6, edges) + _doubles(7, [0, *counts])
        self._value(name, _part(5, body), step)

    def picture(self, name: str, encoded: bytes, size: tuple[int, int], step: float) -> None:
        """A picture as PNG of (width, height)."""
        body = _whole(1, size[1]) + _whole(2, size[0]) + _whole(3, 3) + _part(4, encoded)
        self._value(name, _part(4, body), step)

    def text(self, name: str, words: str, step: float) -> None:
        """A text."""
        plugin = _part(9, _part(1, _part(1, "text")))
        shape = _part(2, _part(2, _whole(1, 1)))
        self._value(name, plugin + _part(8, _whole(1, 7) + shape + _part(8, words)), step)

    def close(self) -> None:
        """Close the file.  What comes later is left out."""
        with self._lock:
            self._file.close()
