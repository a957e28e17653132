"""Storages made of a size or of elements, as programs of older PyTorch make them."""

from __future__ import annotations

import pytest

import rushlight

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")

KINDS = (
    "Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool",
    "ComplexFloat", "ComplexDouble",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_typed_storage_has_a_size_or_elements(kind):
    found = []
    for lib in (rushlight, torch):
        made = getattr(lib, f"{kind}Storage")
        elements = made([1, 0, 1])
        found.append([
            len(made()), len(made(4)), str(made(2).dtype), elements.tolist(), elements.nbytes(),
            isinstance(elements, made), type(elements).__name__,
        ])  # fmt: skip
    assert found[0] == found[1]


def test_bytes_are_made_and_read_as_elements():
    for lib in (rushlight, torch):
        memory = lib.UntypedStorage([0, 0, 128, 63])
        assert memory.tolist() == [0, 0, 128, 63]
        typed = lib.TypedStorage(wrap_storage=memory, dtype=lib.float32, _internal=True)
        assert typed.tolist() == [1.0]
        assert lib.UntypedStorage(3).nbytes() == 3


def test_a_storage_that_was_made_is_memory_of_tensors():
    for lib in (rushlight, torch):
        memory = lib.FloatStorage([1.0, 2.0, 3.0, 4.0])
        shown = lib.empty(0).set_(memory, 1, (2,), (2,))
        shown.add_(10)
        assert memory.tolist() == [1.0, 12.0, 3.0, 14.0]


def test_a_storage_is_not_made_elsewhere():
    with pytest.raises(RuntimeError, match="CPU's memory"):
        rushlight.UntypedStorage(3, device="cuda")
