"""Damaged or malicious checkpoints give clear errors, bounded memory and no side effects."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import random
import struct
import threading
import zipfile

import numpy as np
import pytest

from rushlight.base import dtypes
from rushlight.serialization import load, save, saving
from rushlight.tensor.tensor import tensor_from_numpy

CLEAR = (RuntimeError, pickle.UnpicklingError, EOFError)


def checkpoint() -> bytes:
    buffer = io.BytesIO()
    save({"x": tensor_from_numpy(np.arange(6, dtype=np.float32), dtypes.float32)}, buffer)
    return buffer.getvalue()


def archive(records: dict[str, bytes], compression=zipfile.ZIP_STORED) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, data in records.items():
            out.writestr(name, data)
    buffer.seek(0)
    return buffer


def tensor_pickle(count=6, offset=0, size=(6,), stride=(1,), key="0", kind="FloatStorage") -> bytes:
    def number(n: int) -> bytes:
        return b"L%dL\n" % n

    def numbers(ns) -> bytes:
        return b"(" + b"".join(map(number, ns)) + b"t"

    def text(s: str) -> bytes:
        return b"X" + struct.pack("<I", len(s.encode())) + s.encode()

    identity = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key)
    identity += text("cpu") + number(count) + b"tQ"
    call = b"(" + identity + number(offset) + numbers(size) + numbers(stride) + b"\x89)t"
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + call.replace(b"\x89)t", b"\x89Nt") + b"R."
    )


def loaded(pickled: bytes, data: bytes = b"\0" * 24, **more):
    return load(archive({"a/data.pkl": pickled, "a/data/0": data, "a/version": b"3", **more}))


def test_the_handmade_file_is_good():
    assert loaded(tensor_pickle()).shape == (6,)


def test_every_truncation_gives_a_clear_error():
    data = checkpoint()
    for length in range(len(data)):
        with pytest.raises(CLEAR):
            load(io.BytesIO(data[:length]))


def test_every_flipped_byte_loads_or_gives_a_clear_error():
    data = checkpoint()
    rng = random.Random(0)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << rng.randrange(8)
        with contextlib.suppress(CLEAR):
            load(io.BytesIO(bytes(damaged)))


def test_damage_inside_a_storage_is_noticed():
    data = checkpoint()
    position = data.index(np.arange(6, dtype=np.float32).tobytes())
    damaged = data[:position] + b"\x01" + data[position + 1 :]
    with pytest.raises(RuntimeError, match="checksum"):
        load(io.BytesIO(damaged))


@pytest.mark.parametrize("start", [b"\x7fELF", b"hello world", b"GIF89a", b"\x80\x02}."])
def test_other_files_are_refused_by_what_they_start_with(start):
    with pytest.raises(pickle.UnpicklingError, match="not a checkpoint"):
        load(io.BytesIO(start + b"\0" * 50))


def test_an_empty_file_is_named_as_such():
    with pytest.raises(EOFError, match="empty"):
        load(io.BytesIO(b""))


@pytest.mark.parametrize(
    "window",
    [
        {"count": 10**15, "size": (10**15,)},
        {"count": 7},
        {"count": -1},
        {"offset": 1},
        {"offset": -1},
        {"offset": 10**30, "size": (1,)},
        {"size": (7,)},
        {"size": (-6,)},
        {"size": (2, 3), "stride": (1,)},
        {"size": (6,), "stride": (-1,)},
        {"size": (2,), "stride": (6,)},
        {"size": (2**40, 2**40), "stride": (0, 0)},
        {"key": "1"},
        {"key": "../version"},
        {"key": "/etc/passwd"},
        {"kind": "DoubleStorage"},
        {"kind": "Size"},
    ],
    ids=str,
)
def test_windows_and_storages_that_do_not_fit_are_refused(window):
    with pytest.raises(CLEAR):
        loaded(tensor_pickle(**window))


def test_compressed_records_are_refused_so_there_are_no_zip_bombs():
    bomb = archive({"a/data.pkl": b"N." + b"\0" * 10**7}, zipfile.ZIP_DEFLATED)
    with pytest.raises(RuntimeError, match="compressed"):
        load(bomb)


def test_overlapping_records_are_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("a/data.pkl", b"N." + b"\0" * 200)
        out.writestr("a/data/0", b"\0" * 200)
        # Both directory entries now point at the first record.
        out.filelist[1].header_offset = 0
        out.filelist[1].CRC = out.filelist[0].CRC
    buffer.seek(0)
    with pytest.raises(RuntimeError, match=r"[Oo]verlap"):
        load(buffer)


@pytest.mark.parametrize(
    "records",
    [
        {"a/data.pkl": b"N.", "b/data/0": b""},
        {"data.pkl": b"N."},
        {"../../data.pkl": b"N.", "/etc/passwd": b""},
        {"a/other": b"N."},
    ],
    ids=str,
)
def test_archives_laid_out_otherwise_are_refused(records, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        load(archive(records))
    assert os.listdir(tmp_path) == []


def test_a_torchscript_archive_is_named():
    with pytest.raises(RuntimeError, match="TorchScript"):
        load(archive({"a/data.pkl": b"N.", "a/constants.pkl": b"N."}))


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    target = tmp_path / "attacked"
    code = f"open({str(target)!r}, 'w')".encode()
    pickled = b"\x80\x02cbuiltins\nexec\n(X" + struct.pack("<I", len(code)) + code + b"tR."
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.exec"):
        loaded(pickled)
    assert not target.exists()


# ---- saving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", [KeyboardInterrupt, OSError("disk full"), MemoryError])
def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch, cause):
    path = tmp_path / "model.pt"
    save({"step": 1}, path)

    def fail(self):
        raise cause

    monkeypatch.setattr(saving.RecordWriter, "finish", fail)
    with pytest.raises(type(cause) if isinstance(cause, BaseException) else cause):
        save({"step": 2}, path)
    assert load(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["model.pt"]


def test_an_object_that_cannot_be_pickled_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    save({"step": 1}, path)
    with pytest.raises(TypeError, match="lock"):
        save({"step": threading.Lock()}, path)
    assert load(path) == {"step": 1}


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    path, link = tmp_path / "model.pt", tmp_path / "latest.pt"
    save(1, path)
    path.chmod(0o640)
    link.symlink_to(path)
    save(2, link)
    assert link.is_symlink()
    assert load(path) == 2
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"Parent directory .*nowhere does not exist"):
        save(1, tmp_path / "nowhere" / "model.pt")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing.pt")


def test_targets_that_cannot_be_written_or_sought_are_refused():
    with pytest.raises(AttributeError, match="write"):
        save(1, 3)
    with pytest.raises(AttributeError, match="seekable"):
        load(3)
