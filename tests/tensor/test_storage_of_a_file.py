"""A storage over a file: mapped, sliced, made tensors of; its size counts its memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import rushlight as rl


def test_a_file_is_mapped_and_its_slices_are_memory(tmp_path: Path) -> None:
    file = tmp_path / "bytes"
    file.write_bytes(bytes(range(16)))
    storage = rl.UntypedStorage.from_file(str(file), shared=False, nbytes=16)
    part = rl.asarray(storage.untyped()[4:12], dtype=rl.uint8)
    assert part.tolist() == list(range(4, 12)) and storage[3] == 3
    part.fill_(7)
    assert rl.asarray(storage).tolist() == [0, 1, 2, 3, *[7] * 8, 12, 13, 14, 15]
    assert file.read_bytes() == bytes(range(16))
    words = rl.asarray(storage[:8]).view(rl.int32)
    assert words.tolist() == [0x03020100, 0x07070707]
    with pytest.raises(RuntimeError, match="step 1"):
        storage[::2]
    with pytest.raises(RuntimeError, match="mapping size <17>"):
        rl.UntypedStorage.from_file(str(file), nbytes=17)


def test_writes_to_a_shared_file_reach_it(tmp_path: Path) -> None:
    file = tmp_path / "shared"
    rl.asarray(rl.UntypedStorage.from_file(str(file), shared=True, nbytes=4)).fill_(5)
    assert file.read_bytes() == bytes([5] * 4)


def test_the_size_of_a_storage_counts_its_memory() -> None:
    small, large = rl.zeros(1).untyped_storage(), rl.zeros(1001).untyped_storage()
    assert sys.getsizeof(large) - sys.getsizeof(small) == 4000


def test_a_tensor_of_a_file_writes_to_it_only_if_shared(tmp_path):
    file = tmp_path / "values"
    shared = rl.from_file(str(file), shared=True, size=6)
    shared.copy_(rl.arange(6.0))
    private = rl.from_file(str(file), size=3)
    private[0] = 9
    assert private.tolist() == [9, 1, 2] and rl.from_file(str(file), size=6).tolist() == [*range(6)]
    with pytest.raises(RuntimeError, match="required mapping size <400>"):
        rl.from_file(str(file), size=100)
    with pytest.raises(RuntimeError, match="unable to open"):
        rl.from_file(str(tmp_path / "absent"), size=1)
