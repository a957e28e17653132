"""Dropout draws PyTorch's masks and gives its values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rushlight  # noqa: E402
from rushlight.ops import dropout as functional  # noqa: E402
from tests.ops.test_random import assert_same, same_stream, seeded  # noqa: E402

CASES = [
    ("dropout", (7, 9)),
    ("alpha_dropout", (7, 9)),
    ("feature_alpha_dropout", (7, 9, 3)),
    ("dropout1d", (7, 9)),
    ("dropout1d", (7, 9, 2)),
    ("dropout2d", (7, 9, 2, 3)),
    ("dropout2d", (7, 9, 2)),
    ("dropout3d", (7, 9, 2, 2, 2)),
    ("dropout3d", (7, 9, 2, 2)),
]


def operands(shape, dtype="float32"):
    values = np.random.RandomState(1).standard_normal(shape)
    return (
        rushlight.tensor(values, dtype=getattr(rushlight, dtype)),
        torch.tensor(values, dtype=getattr(torch, dtype)),
    )


@pytest.mark.parametrize("name, shape", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("inplace", [False, True])
def test_dropout_equals_pytorch(name, shape, dtype, inplace):
    seeded()
    for p in (0.1, 0.5, 0.37, 0.0, 1.0):
        ours, theirs = operands(shape, dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = getattr(functional, name)(ours, p, True, inplace)
            expected = getattr(torch.nn.functional, name)(theirs, p, True, inplace)
        assert_same(result, expected)
        if inplace:
            assert_same(ours, theirs)
        same_stream()


@pytest.mark.parametrize("name, shape", CASES)
@pytest.mark.filterwarnings("ignore:dropout2d. Received a 3D input")
def test_without_training_the_input_itself_is_returned(name, shape):
    ours, _ = operands(shape)
    assert getattr(functional, name)(ours, 0.5, False).tolist() == ours.tolist()


@pytest.mark.parametrize(
    "name", ["dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"]
)
def test_the_top_level_functions_equal_pytorch(name):
    seeded()
    ours, theirs = operands((5, 6, 2))
    assert_same(getattr(rushlight, name)(ours, 0.3, True), getattr(torch, name)(theirs, 0.3, True))
    getattr(rushlight, name + "_")(ours, p=0.3, train=True)
    getattr(torch, name + "_")(theirs, p=0.3, train=True)
    assert_same(ours, theirs)


def test_a_transposed_input_is_masked_in_memory_order():
    seeded()
    ours, theirs = operands((6, 5))
    result = functional.dropout(ours.transpose(0, 1))
    assert_same(result, torch.nn.functional.dropout(theirs.transpose(0, 1)))


def test_the_gradient_passes_where_elements_were_kept():
    seeded()
    ours, theirs = operands((6, 5))
    ours.requires_grad_()
    theirs.requires_grad_()
    functional.dropout(ours, 0.4).sum().backward()
    torch.nn.functional.dropout(theirs, 0.4).sum().backward()
    assert_same(ours.grad, theirs.grad)


@pytest.mark.parametrize("name, shape", CASES)
@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_outside_0_and_1_is_refused(name, shape, p):
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
        getattr(functional, name)(operands(shape)[0], p)


def test_integers_and_wrong_ranks_are_refused():
    with pytest.raises(RuntimeError, match="result type Float can't be cast"):
        functional.dropout(rushlight.ones(3, dtype=rushlight.int64))
    with pytest.raises(RuntimeError, match="dropout1d: Expected 2D or 3D input"):
        functional.dropout1d(rushlight.ones(3))
    with pytest.raises(RuntimeError, match="Feature dropout requires at least 2 dimensions"):
        rushlight.feature_dropout(rushlight.ones(3), 0.5, True)


@pytest.mark.parametrize("name, rank", [("dropout2d", 2), ("dropout2d", 3), ("dropout3d", 3)])
def test_other_ranks_warn(name, rank):
    with pytest.warns(UserWarning, match=f"{name}: Received a {rank}-?D input"):
        getattr(functional, name)(rushlight.ones(*[2] * rank))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_rrelu_draws_slopes_for_what_leaks(dtype):
    seeded()
    for bounds in ((1 / 8, 1 / 3), (0.1, 0.4)):
        ours, theirs = operands((40, 50), dtype)
        result = rushlight.rrelu(ours, *bounds, True)
        assert_same(result, torch.nn.functional.rrelu(theirs, *bounds, True))
    same_stream()
