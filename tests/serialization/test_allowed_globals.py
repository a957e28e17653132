"""Classes that a user allows in checkpoints: arrays of NumPy, own ones, and what a file needs."""

from __future__ import annotations

import collections
import io
import pickle
import types

import numpy as np
import pytest

import rushlight
from rushlight.serialization import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    get_unsafe_globals_in_checkpoint,
    safe_globals,
)

_reconstruct = np.empty(0).__reduce__()[0]
_scalar = np.float64(0).__reduce__()[0]
KINDS = [type(np.dtype(code)) for code in ("f8", "f4", "i4", "i8", "?", "O", "U1", "u4")]
NUMPY = [_reconstruct, _scalar, np.ndarray, np.dtype, *KINDS]

VALUES = {
    "array": np.arange(6.0).reshape(2, 3),
    "column-major": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "empty": np.zeros((0, 3)),
    "number": np.int32(4),
    "truth": np.bool_(True),
    "dtype": np.dtype("float32"),
    "text": np.array(["ab", "c"]),
    "objects": np.array([1, "a"], dtype=object),
}


class Mine:
    def __init__(self) -> None:
        self.value = 3


def saved(value, module=rushlight) -> io.BytesIO:
    stream = io.BytesIO()
    module.save({"value": value, "weights": module.ones(2)}, stream)
    stream.seek(0)
    return stream


@pytest.mark.parametrize("writer", ["rushlight", "torch"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_numpy_values_load_once_they_are_allowed(writer, value):
    module = rushlight if writer == "rushlight" else pytest.importorskip("torch")
    stream = saved(value, module)
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL numpy"):
        rushlight.load(stream)
    stream.seek(0)
    with safe_globals(NUMPY):
        found = rushlight.load(stream)["value"]
    assert type(found) is type(value)
    np.testing.assert_array_equal(found, value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.flags.f_contiguous == value.flags.f_contiguous


def test_arrays_written_by_an_older_numpy_need_nothing_else_allowed():
    body = pickle.dumps({"x": np.arange(3.0)}, protocol=2)
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    body = body.replace(new, old) if new in body else body.replace(old, new)
    stream = saved(0)
    with safe_globals(NUMPY):
        found = rushlight.serialization.restricted_pickle.RestrictedUnpickler(
            body, rushlight.serialization.names.allowed_names()
        ).load()
    assert found["x"].tolist() == [0, 1, 2]
    assert stream.readable()


def test_a_function_that_is_allowed_makes_only_objects_of_allowed_classes():
    stream = saved(np.arange(3.0))
    with safe_globals([_reconstruct, np.dtype]), pytest.raises(pickle.UnpicklingError):
        rushlight.load(stream)


def test_what_a_checkpoint_needs_is_listed():
    value = [Mine(), np.arange(3.0), collections.OrderedDict(a=1)]
    stream = saved(value)
    needed = {f"{__name__}.Mine", f"{_reconstruct.__module__}._reconstruct"}
    needed |= {"numpy.ndarray", "numpy.dtype"}
    assert set(get_unsafe_globals_in_checkpoint(stream)) == needed
    stream.seek(0)
    with safe_globals([Mine, *NUMPY]):
        assert get_unsafe_globals_in_checkpoint(stream) == []
        stream.seek(0)
        assert rushlight.load(stream)["value"][0].value == 3
    assert get_unsafe_globals_in_checkpoint(saved(1)) == []
    with pytest.raises(ValueError, match="Expected input to be a checkpoint"):
        get_unsafe_globals_in_checkpoint(io.BytesIO(b"nothing"))


def test_names_in_later_protocols_are_listed(monkeypatch):
    body = pickle.dumps([Mine(), Mine, np.float32(1)], protocol=4)
    monkeypatch.setattr(
        rushlight.serialization.inspecting,
        "RecordReader",
        lambda f: types.SimpleNamespace(read=lambda name: body),
    )
    found = set(get_unsafe_globals_in_checkpoint(io.BytesIO()))
    assert found == {f"{__name__}.Mine", f"{_scalar.__module__}.scalar", "numpy.dtype"}


def test_the_list_holds_what_was_given_and_can_be_cleared():
    before = get_safe_globals()
    item = (Mine, "elsewhere.Mine")
    add_safe_globals([Mine, item])
    assert get_safe_globals() == [*before, Mine, item]
    with safe_globals([np.ndarray]):
        assert np.ndarray in get_safe_globals()
    assert np.ndarray not in get_safe_globals()
    clear_safe_globals()
    assert get_safe_globals() == []
