"""The zip container of a checkpoint: named, uncompressed, aligned records.

Writing needs only `write()` of the target and is deterministic: equal records give equal bytes.
Reading trusts nothing in the file: records must be stored uncompressed, lie inside the file, not
overlap, and match their checksum, so that memory use is bounded by the size of the file.  Archives
of code may hold compressed records of a bounded size, where the caller says so.
Record names are keys of a table and never touch the file system.  Level: serialization (12).
"""

from __future__ import annotations

import dataclasses
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

# PyTorch aligns records so that they can be mapped into memory and read as aligned arrays.
ALIGNMENT = 64

_CHUNK = 1 << 24  # bytes written or checked at a time
_MOST_INFLATED = 1 << 26  # bytes of a compressed record: only code is compressed
_MAX32 = 0xFFFFFFFF
_MAX16 = 0xFFFF
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_DATE_1980 = 0x21  # 1 January 1980, the earliest date a zip file can hold
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")


def _damaged(why: str) -> RuntimeError:
    """PyTorch's type and opening words, so that a search for them finds the cause."""
    return RuntimeError(
        f"PytorchStreamReader failed reading zip archive: {why}; the file is truncated, damaged or "
        "not a checkpoint: save it again or fetch it again"
    )


@dataclasses.dataclass(frozen=True)
class _Written:
    name: bytes
    size: int
    crc: int
    offset: int


class RecordWriter:
    """Writes records to `target`, one after the other; `finish` writes the table of contents."""

    def __init__(self, target: Any, folder: str) -> None:
        self._target = target
        self._folder = folder
        self._position = 0
        self._written: list[_Written] = []

    def _emit(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            chunk = view[start : start + _CHUNK]
            while len(chunk):
                # Unbuffered targets may take a part only; None means that all was taken.
                count = self._target.write(chunk)
                if count is None:
                    count = len(chunk)
                self._position += count
                chunk = chunk[count:]

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Append the record `folder/name` holding `data` (flat bytes), its first byte aligned."""
        encoded = f"{self._folder}/{name}".encode()
        view = memoryview(data)
        size, offset = len(view), self._position
        extra = b"" if size < _MAX32 else struct.pack("<HHQQ", 1, 16, size, size)
        size32, version = (size, 20) if size < _MAX32 else (_MAX32, 45)
        extra += _padding(offset + _LOCAL.size + len(encoded) + len(extra))
        crc = zlib.crc32(view)
        header = _LOCAL.pack(
            b"PK\3\4",
            version,
            _UTF8_NAME,
            0,  # stored
            0,
            _DATE_1980,
            crc,
            size32,
            size32,
            len(encoded),
            len(extra),
        )
        self._emit(header + encoded + extra)
        self._emit(view)
        self._written.append(_Written(encoded, size, crc, offset))

    def finish(self) -> None:
        """Write the table of contents; without it the archive is unreadable."""
        start = self._position
        for record in self._written:
            self._emit(_central_entry(record))
        size, count = self._position - start, len(self._written)
        if start >= _MAX32 or size >= _MAX32 or count >= _MAX16:
            end64 = self._position
            self._emit(
                _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
                + _LOCATOR64.pack(b"PK\6\7", 0, end64, 1)
            )
        self._emit(
            _END.pack(
                b"PK\5\6",
                0,
                0,
                min(count, _MAX16),
                min(count, _MAX16),
                min(size, _MAX32),
                min(start, _MAX32),
                0,
            )
        )


def _padding(position: int) -> bytes:
    """An extra field (PyTorch's tag "FB") after which the data at `position` is aligned."""
    room = (-(position + 4)) % ALIGNMENT
    return struct.pack("<2sH", b"FB", room) + b"Z" * room


def _central_entry(record: _Written) -> bytes:
    extra, size, offset, version = b"", record.size, record.offset, 20
    if size >= _MAX32 or offset >= _MAX32:
        wide = []
        if size >= _MAX32:
            wide += [size, size]
            size = _MAX32
        if offset >= _MAX32:
            wide.append(offset)
            offset = _MAX32
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide)
        version = 45
    fixed = _CENTRAL.pack(
        b"PK\1\2",
        version,
        version,
        _UTF8_NAME,
        0,
        0,
        _DATE_1980,
        record.crc,
        size,
        size,
        len(record.name),
        len(extra),
        0,
        0,
        0,
        0,
        offset,
    )
    return fixed + record.name + extra


@dataclasses.dataclass(frozen=True)
class _Record:
    offset: int  # of the first byte of data
    size: int
    crc: int
    packed: int | None = None  # bytes in the file, of a compressed record


class RecordReader:
    """Reads records of a checkpoint from a seekable binary file.

    Raises: RuntimeError if the file is damaged or breaks a rule in the module's docstring.
    """

    def __init__(self, source: IO[bytes], compressed: bool = False) -> None:
        self._source = source
        self._may_be_compressed = compressed
        self._length = source.seek(0, 2)
        self._records: dict[str, _Record] = {}
        self.folder = ""
        try:
            with zipfile.ZipFile(source) as archive:
                entries = archive.infolist()
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            struct.error,
            ValueError,
            OverflowError,
            OSError,
        ) as error:
            raise _damaged(f"failed finding central directory ({error})") from error
        if not entries:
            raise _damaged("it holds no records")
        self._index(entries)

    def _index(self, entries: list[zipfile.ZipInfo]) -> None:
        self.folder = entries[0].filename.partition("/")[0]
        for entry in entries:
            folder, slash, name = entry.filename.partition("/")
            if folder != self.folder or not slash:
                raise _damaged(f"record {entry.filename!r} lies outside folder {self.folder!r}")
            if name in self._records:
                raise _damaged(f"record {name!r} occurs twice")
            deflated = self._may_be_compressed and entry.compress_type == zipfile.ZIP_DEFLATED
            if deflated and entry.file_size > _MOST_INFLATED:
                raise _damaged(f"compressed record {name!r} claims {entry.file_size} bytes")
            stored = entry.compress_type == zipfile.ZIP_STORED
            if not deflated and not (stored and entry.compress_size == entry.file_size):
                raise _damaged(f"record {name!r} is compressed, which checkpoints never are")
            if entry.flag_bits & _ENCRYPTED:
                raise _damaged(f"record {name!r} is encrypted")
            offset = self._data_offset(entry)
            packed = entry.compress_size if deflated else None
            self._records[name] = _Record(offset, entry.file_size, entry.CRC, packed)
        self._check_extents()

    def _data_offset(self, entry: zipfile.ZipInfo) -> int:
        if not 0 <= entry.header_offset < self._length:
            raise _damaged(f"record {entry.filename!r} lies outside the file")
        self._source.seek(entry.header_offset)
        header = self._source.read(_LOCAL.size)
        if len(header) != _LOCAL.size or header[:4] != b"PK\3\4":
            raise _damaged(f"record {entry.filename!r} has no header where the directory says")
        fields = _LOCAL.unpack(header)
        return entry.header_offset + _LOCAL.size + fields[-2] + fields[-1]

    def _check_extents(self) -> None:
        """Overlapping records are how a small file claims to hold terabytes."""
        end, previous = 0, ""
        for name, record in sorted(self._records.items(), key=lambda item: item[1].offset):
            if record.offset < end:
                raise _damaged(f"records {previous!r} and {name!r} overlap")
            taken = record.size if record.packed is None else record.packed
            end, previous = record.offset + taken, name
        if end > self._length:
            raise _damaged(f"record {previous!r} ends after the end of the file")

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def _find(self, name: str) -> _Record:
        record = self._records.get(name)
        if record is None:
            raise RuntimeError(
                f"PytorchStreamReader failed locating file {name}: file not found in the archive"
            )
        return record

    def size(self, name: str) -> int:
        """Bytes in the record."""
        return self._find(name).size

    def offset(self, name: str) -> int:
        """Position in the file of the record's first byte."""
        return self._find(name).offset

    def read(self, name: str) -> bytes:
        """The record's bytes, checked against its checksum."""
        return self.read_array(name).tobytes()

    def read_array(self, name: str) -> np.ndarray:
        """The record as a new uint8 array, checked against its checksum."""
        record = self._find(name)
        if record.packed is not None:
            return self._inflated(name, record)
        array = np.empty(record.size, np.uint8)
        view = array.data
        self._source.seek(record.offset)
        crc, filled = 0, 0
        while filled < record.size:
            chunk = view[filled : filled + _CHUNK]
            data = self._source.read(len(chunk))
            if not data:
                raise _damaged(f"record {name!r} is cut off")
            chunk[: len(data)] = data
            crc = zlib.crc32(data, crc)
            filled += len(data)
        if crc != record.crc:
            raise _damaged(f"record {name!r} does not match its checksum")
        return array

    def _inflated(self, name: str, record: _Record) -> np.ndarray:
        """A compressed record; it never takes more memory than the directory says."""
        self._source.seek(record.offset)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(self._source.read(record.packed or 0), record.size + 1)
        except zlib.error as error:
            raise _damaged(f"record {name!r} cannot be decompressed ({error})") from error
        if len(data) != record.size or zlib.crc32(data) != record.crc:
            raise _damaged(f"record {name!r} does not match its size or checksum")
        return np.frombuffer(bytearray(data), np.uint8)
