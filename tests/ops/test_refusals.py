"""What PyTorch refuses is refused, with its type of error; what it converts is converted."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")

REFUSED = """
bools - bytes|bytes - bools|bools - bools|bools - 1|1 - bools|bools - 1.5|bytes - True
lib.rsub(bools, 1)|lib.subtract(bools, bytes)|lib.ones(2).sub_(bools)|bytes.clone().sub_(bools)
lib.maximum(bools, pairs)|lib.minimum(pairs, pairs)|lib.fmax(pairs, pairs)|lib.fmin(bytes, pairs)
lib.fmod(1, bytes)|lib.copysign(1, bytes)|lib.fmod(bools, bools)|lib.fmod(pairs, pairs)
lib.addcmul(bytes, bytes, 2)|lib.addcmul(bytes, 2, bytes)
lib.addcdiv(pairs, 2, pairs)|lib.addcdiv(pairs, pairs, 2)|pairs.clone().addcmul_(pairs, 2)
lib.argmax(bools)|lib.argmax(pairs)|lib.argmin(bools, 0)|lib.argmin(pairs)
int(pairs[1])|float(pairs[1])
"""
CONVERTED = """
bytes - 1|3 - bytes|bytes - bytes|lib.fmod(bytes, 2)|int(pairs[0])|float(pairs[0])
lib.einsum("i->", bytes)|lib.einsum("ii", table)|lib.einsum("ij,k->k", table, bytes)
lib.einsum("ij,jk->ik", table, table)|lib.einsum("ij,ij->i", table, table)
lib.unravel_index(bytes, (2, 3))[0]
lib.masked.cumsum(bytes, 0)|lib.masked.cumprod(table, 1, mask=table > 1)
lib.nn.functional.softmin(bytes, 0, dtype=lib.float64)
"""


def names(lib):
    return {
        "lib": lib, "bools": lib.tensor([True, False]),
        "bytes": lib.tensor([1, 2], dtype=lib.uint8),
        "pairs": lib.tensor([1 + 0j, 2 + 1j]),
        "table": lib.tensor([[1, 2], [3, 4]], dtype=lib.int8),
    }  # fmt: skip


def split(text):
    return [call for line in text.split("\n") for call in line.split("|") if call]


@pytest.mark.parametrize("call", split(REFUSED))
def test_what_pytorch_refuses_is_refused(call):
    with pytest.raises(Exception) as theirs:
        eval(call, names(torch))
    with pytest.raises(theirs.type):
        eval(call, names(rushlight))


@pytest.mark.parametrize("call", split(CONVERTED))
def test_what_pytorch_converts_is_converted(call):
    mine, theirs = eval(call, names(rushlight)), eval(call, names(torch))
    if not isinstance(theirs, torch.Tensor):
        assert mine == theirs
        return
    assert str(mine.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(mine.tolist(), theirs.tolist(), rtol=5e-3)


def test_statistics_of_native_norms_have_the_dtype_of_the_parameters():
    found = []
    for lib in (rushlight, torch):
        x = lib.ones(3, 2, 3).bfloat16()
        two = lib.ones(2)
        found.append([
            str(value.dtype)
            for made in (
                lib.native_layer_norm(x, [3], None, None, 1e-5),
                lib.native_layer_norm(x, [3], lib.ones(3), lib.ones(3), 1e-5),
                lib.native_group_norm(x, None, None, 3, 2, 3, 1, 1e-5),
                lib.native_batch_norm(x, None, None, None, None, True, 0.1, 1e-5),
                lib.native_batch_norm(x, two, two, lib.ones(2), lib.ones(2), True, 0.1, 1e-5),
            )
            for value in made
        ])  # fmt: skip
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_large_picture_is_sampled_in_half_precision(dtype):
    # Positions in it are numbers that the dtype does not have.
    picture = np.arange(2 * 40 * 50, dtype=np.float32).reshape(1, 2, 40, 50) % 7
    places = np.random.default_rng(0).uniform(-1, 1, (1, 9, 9, 2)).astype(np.float32)
    found = []
    for lib in (rushlight, torch):
        kind = getattr(lib, dtype)
        sampled = lib.nn.functional.grid_sample(
            lib.tensor(picture, dtype=kind), lib.tensor(places, dtype=kind), mode="nearest",
            align_corners=False,
        )  # fmt: skip
        found.append(sampled.float().numpy())
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("dtype", [rushlight.float16, rushlight.bfloat16])
def test_the_exponential_of_a_matrix_in_half_precision_is_that_of_float32(dtype):
    # PyTorch's has infinities where the matrix has none.
    matrix = rushlight.tensor([[0.5, 0.25], [0.0, 1.0]])
    found = rushlight.matrix_exp(matrix.to(dtype))
    assert found.dtype is dtype
    assert found.tolist() == rushlight.matrix_exp(matrix).to(dtype).tolist()
