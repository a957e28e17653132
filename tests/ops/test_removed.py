"""What PyTorch removed says so, and lesser names of the top namespace do what PyTorch's do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["eig", "symeig", "solve", "lstsq", "matrix_rank"])
def test_a_removed_function_names_what_takes_its_place(name):
    for library in (torch, rl):
        with pytest.raises(RuntimeError, match=r"deprecated since .* and is now removed"):
            getattr(library, name)(library.eye(2), library.eye(2))
    with pytest.raises(RuntimeError, match=r"torch\.linalg\."):
        getattr(rl, name)(rl.eye(2))
    assert hasattr(rl.Tensor, name) == hasattr(torch.Tensor, name)


def numbers(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("rms_norm", ([4],)),
        ("rms_norm", ((3, 4), None, 1e-3)),
        ("frobenius_norm", ([0, 1],)),
        ("frobenius_norm", (1, True)),
        ("frobenius_norm", ([],)),
        ("nuclear_norm", ()),
        ("nuclear_norm", ((1, 0), True)),
    ],
)
def test_a_function_of_the_top_namespace_is_pytorchs(name, arguments):
    data = numbers(3, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of them are deprecated
        theirs = getattr(torch, name)(torch.from_numpy(data), *arguments)
    ours = getattr(rl, name)(rl.from_numpy(data), *arguments)
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)


@pytest.mark.parametrize("train", [True, None, False])
def test_dropout_shows_its_mask(train):
    data = numbers(5, 7)
    made = []
    for library in (torch, rl):
        library.manual_seed(3)
        kept, mask = library.native_dropout(library.from_numpy(data), 0.3, train)
        made.append((kept.numpy(), mask.numpy()))
    (theirs, their_mask), (ours, mask) = made
    assert mask.dtype == np.bool_
    assert (mask == their_mask).all()
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool", "complex64"])
def test_signs_of_dtypes(dtype):
    theirs, ours = (x.zeros(2, dtype=getattr(x, dtype)) for x in (torch, rl))
    assert rl.is_signed(ours) == torch.is_signed(theirs)
    assert ours.is_signed() == theirs.is_signed()
