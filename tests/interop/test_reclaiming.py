"""Memory from outside is copied at each read only as long as somebody outside can reach it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import rushlight


def _is_own(tensor: rushlight.Tensor) -> bool:
    (tensor + 0).tolist()
    return tensor._storage.pinned is None


def test_an_array_that_nobody_else_has_becomes_the_tensors_own() -> None:
    tensor = rushlight.from_numpy(np.arange(6.0).reshape(2, 3))
    assert _is_own(tensor)
    assert tensor.tolist() == [[0, 1, 2], [3, 4, 5]]
    tensor.mul_(2)
    assert tensor.tolist() == [[0, 2, 4], [6, 8, 10]]


def test_an_array_that_the_program_keeps_stays_shared() -> None:
    array = np.arange(4.0)
    tensor = rushlight.from_numpy(array)
    assert not _is_own(tensor)
    array[1] = 9
    tensor[2] = 7
    assert tensor.tolist() == array.tolist() == [0, 9, 7, 3]
    del array
    assert _is_own(tensor) and tensor.tolist() == [0, 9, 7, 3]


def test_what_shows_the_array_keeps_it_shared() -> None:
    for show in (lambda a: a[1:], memoryview, lambda a: a.reshape(2, 2).T, np.asarray):
        array = np.arange(4.0)
        tensor, shown = rushlight.from_numpy(array), show(array)
        del array
        assert _is_own(tensor) == (shown is None)
    window = rushlight.from_numpy(np.arange(4.0)).numpy()[1:]
    tensor = rushlight.from_numpy(window)
    window[0] = 5
    assert tensor.tolist() == [5, 2, 3]


def test_the_parts_of_one_array_become_own_together() -> None:
    rows = [rushlight.from_numpy(row) for row in np.arange(12.0).reshape(3, 4)]
    for row in rows:
        (row + 0).tolist()
    assert all(map(_is_own, rows))
    rows[1].zero_()
    assert [row.sum().item() for row in rows] == [6, 0, 38]


def test_parts_that_overlap_stay_shared() -> None:
    array = np.arange(6.0)
    left, right = rushlight.from_numpy(array[:4]), rushlight.from_numpy(array[2:])
    del array
    for _ in range(3):
        assert not _is_own(left) and not _is_own(right)
    left[3] = 9
    assert right.tolist() == [2, 9, 4, 5]


def test_an_address_that_was_handed_out_keeps_memory_shared() -> None:
    tensor = rushlight.from_numpy(np.arange(4.0))
    assert tensor.data_ptr()
    assert not _is_own(tensor) and not _is_own(tensor.view(rushlight.int64))


def test_memory_read_as_another_type_stays_shared_with_it() -> None:
    tensor = rushlight.from_numpy(np.zeros(4, "float32"))
    bits = tensor.view(rushlight.int32)
    for _ in range(3):
        (tensor + 0).tolist(), (bits + 0).tolist()
    bits[1] = 1 << 30
    assert tensor.tolist() == [0, 2, 0, 0]
    del tensor
    assert _is_own(bits) and bits.tolist() == [0, 1 << 30, 0, 0]


def test_a_file_mapped_privately_is_the_tensors_own(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(8, dtype="float32").tofile(path)
    private = rushlight.from_file(str(path), size=8)
    assert _is_own(private) and private.tolist() == list(range(8))
    shared = rushlight.from_file(str(path), shared=True, size=8)
    for _ in range(3):
        assert not _is_own(shared)
    np.full(8, 3, "float32").tofile(path)
    assert shared.tolist() == [3] * 8


def test_memory_of_other_owners_stays_shared() -> None:
    content = bytearray(np.arange(4, dtype="int32").tobytes())
    tensor = rushlight.frombuffer(content, dtype=rushlight.int32)
    assert not _is_own(tensor)
    content[0] = 7
    assert tensor.tolist() == [7, 1, 2, 3]
