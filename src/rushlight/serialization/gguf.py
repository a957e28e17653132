"""Language models in GGUF files: their facts, and their tensors as floats.

In: a file, which may come from anyone.  Out: a mapping from names to tensors that reads and
dequantizes one tensor at a time.  Each number of the header is checked against the file's length
before anything is allocated; no code of a file exists, so none can run.  Source: the format's
description in ggml, versions 2 and 3.  Level 12.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np

from rushlight.serialization.gguf_blocks import BLOCKS
from rushlight.tensor.interop import from_numpy
from rushlight.tensor.tensor import Tensor

__all__ = ["GGUFFile", "open_gguf"]

MAGIC = b"GGUF"
MOST_AXES = 4
MOST_NESTING = 4
MOST_TEXT = 1 << 26  # bytes of one text, as chat templates and tokens are far from
_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_TEXT, _ARRAY = 8, 9
_SMALLEST_ENTRY = 9  # bytes: a text's length, and one more for whatever follows


class _Reader:
    """Reads forward and never beyond the end."""

    def __init__(self, data: Any, name: str) -> None:
        self.data = data
        self.name = name
        self.at = 0

    def wrong(self, what: str) -> RuntimeError:
        return RuntimeError(f"{self.name}: is no GGUF file that can be read: {what}")

    def bytes(self, count: int, what: str) -> bytes:
        if count > len(self.data) - self.at:
            raise self.wrong(f"it ends within {what}")
        found = self.data[self.at : self.at + count]
        self.at += count
        return found

    def number(self, form: str, what: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form), what))[0]

    def count(self, what: str, smallest: int) -> int:
        """How many entries follow, each of at least so many bytes."""
        found = self.number("<Q", what)
        if found * smallest > len(self.data) - self.at:
            raise self.wrong(f"it says {found} {what}, more than the file can hold")
        return found

    def text(self, what: str) -> str:
        length = self.number("<Q", what)
        if length > MOST_TEXT:
            raise self.wrong(f"{what} says {length} bytes")
        return self.bytes(length, what).decode("utf-8", "replace")

    def value(self, kind: int, key: str, depth: int = 0) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind], key)
        if kind == _TEXT:
            return self.text(key)
        if kind != _ARRAY or depth >= MOST_NESTING:
            raise self.wrong(f"{key!r} has the type {kind}")
        inner = self.number("<I", key)
        if inner in _NUMBERS:
            form = _NUMBERS[inner]
            size = struct.calcsize(form)
            length = self.count(f"numbers of {key!r}", size)
            return np.frombuffer(self.bytes(length * size, key), form.replace("?", "u1")).tolist()
        length = self.count(f"entries of {key!r}", 8)
        return [self.value(inner, key, depth + 1) for _ in range(length)]


class _Entry:
    __slots__ = ("kind", "shape", "size", "start")

    def __init__(self, shape: tuple[int, ...], kind: int, start: int, size: int) -> None:
        self.shape = shape
        self.kind = kind
        self.start = start
        self.size = size


class GGUFFile(Mapping[str, Tensor]):
    """The tensors of a GGUF file by name; `metadata` are its facts.

    A tensor is read when it is asked for: floats as they are, quantized ones as float32, integers
    as such; its shape is PyTorch's, the outermost axis first.  Close it, or use `with`.
    """

    def __init__(self, path: Any) -> None:
        self.path = os.fspath(path)
        self._tensors: dict[str, _Entry] = {}
        self.metadata: dict[str, Any] = {}
        self.version = 0
        with open(self.path, "rb") as file:
            if os.fstat(file.fileno()).st_size < 24:
                raise RuntimeError(
                    f"{self.path}: is no GGUF file that can be read: it is too short"
                )
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._read(_Reader(self._data, self.path))
        except BaseException:
            self._data.close()
            raise

    def _read(self, reader: _Reader) -> None:
        if reader.bytes(4, "its magic number") != MAGIC:
            raise reader.wrong("it begins otherwise")
        self.version = reader.number("<I", "its version")
        if self.version not in (2, 3):
            raise reader.wrong(f"version {self.version}; 2 and 3 are known")
        count = reader.count("tensors", _SMALLEST_ENTRY)
        facts = reader.count("facts", _SMALLEST_ENTRY)
        for _ in range(facts):
            key = reader.text("the name of a fact")
            self.metadata[key] = reader.value(reader.number("<I", key), key)
        rows = [self._entry(reader) for _ in range(count)]
        step = self.metadata.get("general.alignment", 32)
        if not isinstance(step, int) or step <= 0 or step % 8:
            raise reader.wrong(f"an alignment of {step!r}")
        base = -(-reader.at // step) * step
        for name, entry in rows:
            entry.start += base
            if entry.start + entry.size > len(self._data) or entry.start % step:
                raise reader.wrong(f"the tensor {name!r} lies outside of the file")
            if name in self._tensors:
                raise reader.wrong(f"two tensors are called {name!r}")
            self._tensors[name] = entry

    def _entry(self, reader: _Reader) -> tuple[str, _Entry]:
        name = reader.text("the name of a tensor")
        rank = reader.number("<I", name)
        if rank > MOST_AXES:
            raise reader.wrong(f"the tensor {name!r} has {rank} axes")
        sizes = [reader.number("<Q", name) for _ in range(rank)]
        kind = reader.number("<I", name)
        start = reader.number("<Q", name)
        if kind not in BLOCKS:
            raise reader.wrong(f"the tensor {name!r} is of type {kind}, which is not known here")
        block, width = BLOCKS[kind].numbers, BLOCKS[kind].bytes
        total = math.prod(sizes)
        if sizes and sizes[0] % block:
            raise reader.wrong(f"rows of {sizes[0]} numbers of {name!r} in blocks of {block}")
        return name, _Entry(tuple(reversed(sizes)), kind, start, total // block * width)

    def __getitem__(self, name: str) -> Tensor:
        entry = self._tensors[name]
        # A copy: what the tensor holds must outlive the file.
        raw = bytearray(self._data[entry.start : entry.start + entry.size])
        values = BLOCKS[entry.kind].decode(np.frombuffer(raw, np.uint8))
        return from_numpy(np.ascontiguousarray(values.reshape(entry.shape)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def kind(self, name: str) -> str:
        """How a tensor is stored, "Q4_K" and its like."""
        return BLOCKS[self._tensors[name].kind].name

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor, without reading it."""
        return self._tensors[name].shape

    def close(self) -> None:
        """Let go of the file."""
        self._data.close()

    def __enter__(self) -> GGUFFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def __repr__(self) -> str:
        return f"GGUFFile({self.path!r}, {len(self)} tensors)"


def open_gguf(path: Any) -> GGUFFile:
    """The tensors and facts of a language model in a GGUF file, read one at a time.

    Raises: RuntimeError for files that are damaged, lie or have types that are not known.
    """
    return GGUFFile(path)
