"""TensorBoard's event files hold what a run said, and nothing twice."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.watch import Run
from rushlight.watch.events import EventFile, _masked_sum


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """The fields of a message: numbers as they are, parts as bytes."""
    found, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: Any
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            form, width = ("<d", 8) if kind == 1 else ("<f", 4)
            value, at = struct.unpack(form, data[at : at + width])[0], at + width
        found.append((key >> 3, value))
    return found


def _events(folder: Path) -> list[dict[int, Any]]:
    (path,) = folder.glob("events.out.tfevents.*")
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        head = data[at : at + 8]
        length = struct.unpack("<Q", head)[0]
        body = data[at + 12 : at + 12 + length]
        assert data[at + 8 : at + 12] == _masked_sum(head)
        assert data[at + 12 + length : at + 16 + length] == _masked_sum(body)
        found.append(dict(_fields(body)))
        at += 16 + length
    return found


def _values(folder: Path) -> list[tuple[int, dict[int, Any]]]:
    """(step, the value's fields) of each event but the first, which is the version."""
    first, *rest = _events(folder)
    assert first[3] == b"brain.Event:2"
    return [(event[2], dict(_fields(dict(_fields(event[5]))[1]))) for event in rest]


def test_the_sum_is_castagnoli_s() -> None:
    # RFC 3720, appendix B.4: 32 bytes of zeros have the sum 8a9136aa.
    masked = struct.unpack("<I", _masked_sum(bytes(32)))[0]
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert ((turned >> 17 | turned << 15) & 0xFFFFFFFF) == 0x8A9136AA


def test_numbers_pictures_and_texts_are_written(tmp_path: Path) -> None:
    with Run("r", port=None, events=tmp_path) as run:
        run.log(loss=0.5)
        run.log(loss=float("nan"))
        run.image("weights", np.zeros((2, 5)), step=7)
        run.text("note", "hé")
    (one, loss), (two, bad), (seven, picture), (_, note) = _values(tmp_path)
    assert (one, loss) == (1, {1: b"loss", 2: 0.5})
    assert two == 2 and np.isnan(bad[2])
    image = dict(_fields(picture[4]))
    assert seven == 7 and (image[1], image[2]) == (2, 5) and image[4].startswith(b"\x89PNG")
    tensor = dict(_fields(note[8]))
    assert tensor[1] == 7 and tensor[8] == "hé".encode()
    assert b"text" in note[9]


def test_a_histogram_counts_each_value_once(tmp_path: Path) -> None:
    values = np.array([0.0, 1.0, 1.0, 4.0])
    with Run("r", port=None, events=tmp_path) as run:
        run.histogram("w", values, step=3)
    ((step, value),) = _values(tmp_path)
    facts = dict(_fields(value[5]))
    limits, counts = (np.frombuffer(facts[i], "<f8") for i in (6, 7))
    assert step == 3
    assert [facts[i] for i in range(1, 6)] == [0.0, 4.0, 4.0, 6.0, 18.0]
    assert counts.sum() == 4 and len(limits) == len(counts) and limits[-1] == 4.0


def test_what_comes_after_the_end_is_left_out(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.close()
    file.scalar("a", 1.0, 1)
    assert _values(tmp_path) == []


def test_a_watched_program_writes_them(tmp_path: Path) -> None:
    code = (
        "import torch\n"
        "w = torch.nn.Parameter(torch.ones(3))\n"
        "optimizer = torch.optim.SGD([w], lr=0.1)\n"
        "for _ in range(3):\n"
        "    optimizer.zero_grad(); w.square().sum().backward(); optimizer.step()\n"
    )
    page, folder = tmp_path / "run.html", tmp_path / "events"
    words = ["run", f"--watch={page}", f"--events={folder}", "-c", code]
    subprocess.run([sys.executable, "-m", "rushlight", *words], check=True, capture_output=True)
    assert b"loss" in [value[1] for _, value in _values(folder)]


def test_tensorboard_reads_them(tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Run("r", port=None, events=tmp_path) as run:
        run.log(loss=0.5)
    found = loader.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, 0.5)]


def test_events_without_a_page_are_an_error() -> None:
    words = [sys.executable, "-m", "rushlight", "run", "--events=x", "-c", ""]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and "--events" in done.stderr
