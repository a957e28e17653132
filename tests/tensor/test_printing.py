"""Printed tensors equal PyTorch's, character for character."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rushlight.base import dtypes
from rushlight.tensor import printing

torch = pytest.importorskip("torch")

FLOATS = ("float16", "float32", "float64", "bfloat16")
INTS = ("uint8", "int8", "int16", "int32", "int64")
COMPLEX = ("complex64", "complex128")
ALL_DTYPES = (*FLOATS, *INTS, *COMPLEX, "bool")


@pytest.fixture(autouse=True)
def default_options():
    yield
    printing.set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


def both(array: np.ndarray, name: str) -> tuple[str, str]:
    """Our text and PyTorch's for the same values."""
    if name == "bfloat16":
        theirs = torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    else:
        theirs = torch.from_numpy(np.ascontiguousarray(array)).reshape(array.shape)
    return printing.format_tensor(array, dtypes.dtype_by_name(name)), repr(theirs)


def arrays(name: str) -> st.SearchStrategy[np.ndarray]:
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9)
    if name == "bfloat16":
        return hnp.arrays(np.uint16, shapes)
    elements = None
    if name in ("float32", "float64"):
        elements = st.one_of(
            hnp.from_dtype(np.dtype(name)),
            st.integers(-2000, 2000).map(float),
            st.floats(-10, 10, width=32),
            st.sampled_from([0.0, -0.0, float("inf"), float("-inf"), float("nan")]),
        )
    return hnp.arrays(np.dtype(name), shapes, elements=elements)


@pytest.mark.parametrize("name", ALL_DTYPES)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_printed_text_equals_pytorchs(name, data):
    array = data.draw(arrays(name))
    ours, theirs = both(array, name)
    assert ours == theirs


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_printed_text_equals_pytorchs_under_random_options(data):
    name = data.draw(st.sampled_from(ALL_DTYPES))
    array = data.draw(arrays(name))
    options = {
        "precision": data.draw(st.integers(0, 9)),
        "threshold": data.draw(st.sampled_from([0, 3, 20, 1000])),
        "edgeitems": data.draw(st.integers(0, 4)),
        "linewidth": data.draw(st.sampled_from([1, 20, 80, 120])),
        "sci_mode": data.draw(st.sampled_from([None, True, False])),
    }
    printing.set_printoptions(**options)
    torch.set_printoptions(**options)
    try:
        ours, theirs = both(array, name)
    finally:
        printing.set_printoptions(profile="default")
        torch.set_printoptions(profile="default")
    assert ours == theirs


@pytest.mark.parametrize("seed", range(8))
def test_thousands_of_random_arrays_print_as_pytorchs(seed):
    """Scales and shapes that a shrinking generator rarely reaches: wide ranges, mixed signs."""
    rng = np.random.default_rng(seed)
    for _ in range(400):
        name = str(rng.choice(ALL_DTYPES))
        shape = tuple(rng.integers(0, 12, size=rng.integers(0, 4)))
        scale = 10.0 ** rng.uniform(-9, 11)
        values = rng.normal(size=shape) * scale
        if rng.random() < 0.3:
            values = np.round(values)
        values = np.where(rng.random(shape) < 0.05, 0.0, values)
        if name in FLOATS + COMPLEX and rng.random() < 0.3:
            values = np.where(rng.random(shape) < 0.1, rng.choice([np.nan, np.inf]), values)
        if name == "bfloat16":
            bits = np.asarray(values, dtype=np.float32).view(np.uint32) >> 16
            array = np.asarray(bits, dtype=np.uint16)
        elif name in COMPLEX:
            array = np.asarray(values + 1j * rng.normal(size=shape), dtype=name)
        elif name in INTS:
            info = np.iinfo(name)
            array = np.asarray(rng.integers(info.min, info.max, size=shape), dtype=name)
        elif name == "bool":
            array = np.asarray(values > 0)
        else:
            with np.errstate(over="ignore"):
                array = np.asarray(values, dtype=name)
        ours, theirs = both(array, name)
        assert ours == theirs, (seed, name, shape)


@pytest.mark.parametrize(
    "shape", [(1001,), (2000, 2), (3, 4000), (50, 50), (20, 20, 20), (1, 1, 1001), (8, 8, 8, 8)]
)
@pytest.mark.parametrize("name", ["float32", "int64", "complex64", "bool"])
def test_large_tensors_are_summarized_as_pytorchs(shape, name):
    rng = np.random.default_rng(0)
    array = (rng.normal(size=shape) * 100).astype(name)
    ours, theirs = both(array, name)
    assert ours == theirs


@pytest.mark.parametrize("profile", ["default", "short", "full"])
def test_profiles_equal_pytorchs(profile):
    array = np.linspace(-1, 1, 1500, dtype=np.float32)
    printing.set_printoptions(profile=profile)
    torch.set_printoptions(profile=profile)
    ours, theirs = both(array, "float32")
    assert ours == theirs


def test_printoptions_block_restores_what_was_set():
    printing.set_printoptions(precision=7)
    with printing.printoptions(precision=2):
        assert printing.get_printoptions()["precision"] == 2
    assert printing.get_printoptions()["precision"] == 7


def test_facts_follow_the_values_and_wrap_as_pytorchs():
    values = torch.randn(3, 5, requires_grad=True)
    array = values.detach().numpy()
    float32 = dtypes.dtype_by_name("float32")
    assert printing.format_tensor(array, float32, requires_grad=True) == repr(values)
    assert printing.format_tensor(array * 2, float32, grad_fn="MulBackward0") == repr(values * 2)
    row = torch.arange(14.0, requires_grad=True)
    assert printing.format_tensor(row.detach().numpy(), float32, requires_grad=True) == repr(row)
    meta = torch.empty(2, 3, dtype=torch.float64, device="meta")
    ours = printing.format_tensor(
        None, dtypes.dtype_by_name("float64"), shape=(2, 3), device="meta"
    )
    assert ours == repr(meta)


def test_dtype_is_printed_unless_the_values_imply_it():
    array = np.array([1.5, 2.5])
    text = printing.format_tensor(
        array, dtypes.dtype_by_name("float64"), default_dtype=dtypes.float64
    )
    assert text == "tensor([1.5000, 2.5000])"
    text = printing.format_tensor(array, dtypes.dtype_by_name("float64"))
    assert text == "tensor([1.5000, 2.5000], dtype=torch.float64)"
