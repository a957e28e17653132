"""GGUF files: tensors come out as they were stored, facts too; files that lie are refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.serialization import open_gguf
from rushlight.serialization.gguf_blocks import BLOCKS

RNG = np.random.default_rng(3)
KINDS = {block.name: number for number, block in BLOCKS.items()}


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def _fact(key: str, value: Any) -> bytes:
    if isinstance(value, str):
        return _text(key) + struct.pack("<I", 8) + _text(value)
    if isinstance(value, list):
        body = b"".join(_text(v) for v in value)
        return _text(key) + struct.pack("<IIQ", 9, 8, len(value)) + body
    return _text(key) + struct.pack("<Ii", 5, value)


def write(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]], **facts: Any) -> Path:
    """A GGUF file of tensors (how they are stored, shape, bytes) and facts."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts))
    head += b"".join(_fact(key, value) for key, value in facts.items())
    body = b""
    for name, (kind, shape, data) in tensors.items():
        sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += _text(name) + sizes + struct.pack("<IQ", KINDS[kind], len(body))
        body += data + bytes(-len(data) % 32)
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return path


def test_floats_and_integers_come_as_they_are(tmp_path: Path) -> None:
    table = RNG.normal(size=(3, 5)).astype("<f4")
    path = write(
        tmp_path / "a.gguf",
        {
            "whole": ("F32", (3, 5), table.tobytes()),
            "half": ("F16", (3, 5), table.astype("<f2").tobytes()),
            "ids": ("I32", (2,), np.array([7, -7], "<i4").tobytes()),
            "brain": ("BF16", (1,), b"\xc0\x3f"),
        },
        **{"general.architecture": "llama", "llama.block_count": 2, "tokens": ["a", "ä", ""]},
    )
    with open_gguf(path) as file:
        assert sorted(file) == ["brain", "half", "ids", "whole"]
        assert np.array_equal(file["whole"].numpy(), table)
        assert file["half"].dtype == rl.float16
        assert file["ids"].tolist() == [7, -7] and file["ids"].dtype == rl.int32
        assert file["brain"].tolist() == [1.5]
        assert file.metadata["general.architecture"] == "llama"
        assert file.metadata["llama.block_count"] == 2
        assert file.metadata["tokens"] == ["a", "ä", ""]
        assert file.kind("half") == "F16" and file.shape("whole") == (3, 5)


def _q4_0(data: bytes) -> list[float]:
    scale = struct.unpack("<e", data[:2])[0]
    low = [(byte & 15) - 8 for byte in data[2:]]
    return [scale * v for v in low + [(byte >> 4) - 8 for byte in data[2:]]]


def _q8_0(data: bytes) -> list[float]:
    scale = struct.unpack("<e", data[:2])[0]
    return [scale * v for v in struct.unpack("<32b", data[2:])]


def _q5_0(data: bytes) -> list[float]:
    scale, upper = struct.unpack("<eI", data[:2] + data[2:6])
    found = []
    for j in range(32):
        byte = data[6 + j % 16]
        nibble = byte & 15 if j < 16 else byte >> 4
        found.append(scale * ((nibble | ((upper >> j) & 1) << 4) - 16))
    return found


def _k_scale(packed: bytes, j: int) -> tuple[int, int]:
    if j < 4:
        return packed[j] & 63, packed[j + 4] & 63
    return (
        (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4,
        (packed[j + 4] >> 4) | (packed[j] >> 6) << 4,
    )


def _q4_k(data: bytes) -> list[float]:
    scale, least = struct.unpack("<ee", data[:4])
    packed, values = data[4:16], data[16:]
    found = []
    for i in range(256):
        part, at = i // 32, i % 32
        byte = values[32 * (part // 2) + at]
        nibble = byte >> 4 if part % 2 else byte & 15
        step, low = _k_scale(packed, part)
        found.append(scale * step * nibble - least * low)
    return found


def _q6_k(data: bytes) -> list[float]:
    low, high, scales = data[:128], data[128:192], struct.unpack("<16b", data[192:208])
    scale = struct.unpack("<e", data[208:])[0]
    found = []
    for i in range(256):
        half, within = i // 128, i % 128
        quarter, at = within // 32, within % 32
        byte = low[64 * half + 32 * (quarter % 2) + at]
        nibble = byte >> 4 if quarter >= 2 else byte & 15
        upper = (high[32 * half + at] >> (2 * quarter)) & 3
        found.append(
            scale * scales[8 * half + 2 * quarter + at // 16] * ((nibble | upper << 4) - 32)
        )
    return found


SLOW = {"Q4_0": _q4_0, "Q8_0": _q8_0, "Q5_0": _q5_0, "Q4_K": _q4_k, "Q6_K": _q6_k}
# Where in a block the halves are, which random bytes would make infinite.
HALVES = {"Q4_K": (0, 2), "Q6_K": (208,), "Q5_K": (0, 2), "Q2_K": (80, 82), "Q3_K": (108,)}


def _blocks(kind: str, count: int) -> bytes:
    block = BLOCKS[KINDS[kind]]
    rows = RNG.integers(0, 256, (count, block.bytes)).astype("u1")
    places = HALVES.get(kind, (0, 2) if kind in ("Q4_1", "Q5_1") else (0,))
    for place in places:
        rows[:, place : place + 2] = RNG.normal(size=(count, 1)).astype("<f2").view("u1")
    return rows.tobytes()


@pytest.mark.parametrize("kind", SLOW)
def test_blocks_become_what_their_description_says(kind: str, tmp_path: Path) -> None:
    block = BLOCKS[KINDS[kind]]
    data = _blocks(kind, 6)
    path = write(tmp_path / "a.gguf", {"w": (kind, (3, 2 * block.numbers), data)})
    parts = [data[i : i + block.bytes] for i in range(0, len(data), block.bytes)]
    wanted = np.array([SLOW[kind](part) for part in parts], np.float32).reshape(3, -1)
    with open_gguf(path) as file:
        assert np.allclose(file["w"].numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith("Q")])
def test_all_blocks_equal_those_of_the_format_s_own_package(kind: str, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    data = _blocks(kind, 4)
    width = 4 * BLOCKS[KINDS[kind]].numbers
    path = write(tmp_path / "a.gguf", {"w": (kind, (1, width), data)})
    raw = np.frombuffer(data, "u1").reshape(1, -1)
    wanted = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType(KINDS[kind]))
    with open_gguf(path) as file:
        assert np.allclose(file["w"].numpy(), wanted, rtol=1e-6, atol=1e-6)


def _header(tensors: int, facts: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, facts) + rest + bytes(64)


def _tensor(sizes: list[int], kind: int, start: int) -> bytes:
    return (
        _text("w")
        + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        + struct.pack("<IQ", kind, start)
    )


NEST = b"".join(struct.pack("<IQ", 9, 1) for _ in range(50))
LIES = {
    "empty": b"",
    "another magic number": b"GGML" + bytes(60),
    "an old version": b"GGUF" + struct.pack("<IQQ", 1, 0, 0) + bytes(64),
    "more tensors than bytes": _header(2**60, 0),
    "more facts than bytes": _header(0, 2**63),
    "a text beyond the end": _header(0, 1, struct.pack("<Q", 2**40)),
    "an array beyond the end": _header(0, 1, _text("k") + struct.pack("<IIQ", 9, 4, 2**50)),
    "arrays within arrays": _header(0, 1, _text("k") + struct.pack("<I", 9) + NEST),
    "an unknown fact": _header(0, 1, _text("k") + struct.pack("<I", 77)),
    "many axes": _header(1, 0, _tensor([1] * 9, 0, 0)),
    "sizes that overflow": _header(1, 0, _tensor([2**40, 2**40], 0, 0)),
    "a place outside": _header(1, 0, _tensor([4], 0, 2**62)),
    "an odd place": _header(1, 0, _tensor([4], 0, 5)),
    "an unknown type": _header(1, 0, _tensor([4], 99, 0)),
    "a row that is no block": _header(1, 0, _tensor([33], 8, 0)),
    "two of one name": _header(2, 0, _tensor([1], 0, 0) * 2),
    "an alignment of zero": _header(0, 1, _fact("general.alignment", 0)),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused(lie: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(LIES[lie])
    with pytest.raises(RuntimeError, match="GGUF"):
        open_gguf(path)


def test_a_file_cut_anywhere_is_refused_or_whole(tmp_path: Path) -> None:
    table = np.arange(8, dtype="<f4")
    whole = write(tmp_path / "a.gguf", {"w": ("F32", (8,), table.tobytes())}, a="b").read_bytes()
    path = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(RuntimeError, match="GGUF"):
            open_gguf(path)
