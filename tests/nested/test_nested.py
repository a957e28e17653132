"""Nested tensors compute, and give gradients, as PyTorch's do."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.overrides.interception import forget_classes
from rushlight.tensor.function_names import name_of

PARTS = [
    np.random.RandomState(seed).randn(rows, 3).astype(np.float32) for seed, rows in ((0, 2), (1, 4))
]
WEIGHT = np.random.RandomState(2).randn(5, 3).astype(np.float32)

# PyTorch says once that its own are a prototype.
pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")


@pytest.fixture(autouse=True)
def _forget():
    yield
    forget_classes()


CASES = {
    "facts": lambda m, n, f: [n.is_nested, n.dim(), n.size(0), n.size(2), n.numel()],
    "relu": lambda m, n, f: m.relu(n),
    "sum of two": lambda m, n, f: n + n,
    "numbers": lambda m, n, f: n * 2 / 3,
    "linear": lambda m, n, f: f.linear(n, m.tensor(WEIGHT)),
    "softmax": lambda m, n, f: m.softmax(n, -1),
    "layer norm": lambda m, n, f: f.layer_norm(n, (3,), m.ones(3), m.ones(3)),
    "copies": lambda m, n, f: n.clone().detach().double(),
    "padded": lambda m, n, f: m.nested.to_padded_tensor(n, -1.0),
    "padded to a size": lambda m, n, f: n.to_padded_tensor(0.0, (2, 5, 3)),
}


def _plain(value):
    if isinstance(value, list):
        return value
    parts = value.unbind() if value.is_nested else [value]
    return [(str(part.dtype), part.detach().numpy()) for part in parts]


@pytest.mark.parametrize("layout", ["strided", "jagged"])
@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_pytorch(name, layout):
    torch = pytest.importorskip("torch")
    found = []
    for m in (rl, torch):
        n = m.nested.nested_tensor([m.tensor(x) for x in PARTS], layout=getattr(m, layout))
        found.append(_plain(CASES[name](m, n, m.nn.functional)))
    for ours, theirs in zip(*found, strict=True):
        if isinstance(theirs, tuple):
            assert ours[0] == theirs[0]
            np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-6)
        else:
            assert ours == theirs


@pytest.mark.parametrize("layout", [rl.strided, rl.jagged])
def test_gradients_reach_the_parts(layout):
    parts = [rl.tensor(x, requires_grad=True) for x in PARTS]
    nested = rl.nested.as_nested_tensor(parts, layout=layout)
    assert nested.requires_grad
    sum((x * x).sum() for x in (nested * 2).unbind()).backward()
    for part, values in zip(parts, PARTS):
        np.testing.assert_allclose(part.grad.numpy(), 8 * values, rtol=1e-6)


def test_a_jagged_tensor_shows_its_values_and_offsets():
    n = rl.nested.nested_tensor_from_jagged(rl.arange(18.0).view(6, 3), rl.tensor([0, 2, 6]))
    assert n.offsets().tolist() == [0, 2, 6] and n.values().shape == (6, 3)
    assert n.layout is rl.jagged and n.shape[2] == 3 and n.shape[1] is n.shape[1]
    assert n.sum(1).tolist() == [[3, 5, 7], [42, 46, 50]] and n.sum().item() == 153
    assert n.mean(1).tolist() == [[1.5, 2.5, 3.5], [10.5, 11.5, 12.5]]
    by_lengths = rl.nested.nested_tensor_from_jagged(n.values(), lengths=rl.tensor([2, 4]))
    assert rl.equal(by_lengths, n) and repr(n).startswith("NestedTensor(size=(2, j")


def test_attention_of_parts_is_that_of_each_alone():
    rl.manual_seed(0)
    rows = [rl.randn(3, 8), rl.randn(5, 8)]
    q = rl.nested.as_nested_tensor(rows, layout=rl.jagged)
    heads = q.unflatten(-1, [2, 4]).transpose(1, 2)
    attend = rl.nn.functional.scaled_dot_product_attention
    found = attend(heads, heads, heads).transpose(1, 2).flatten(-2)
    for part, row in zip(found.unbind(), rows):
        alone = row.view(1, -1, 2, 4).transpose(1, 2)
        expected = attend(alone, alone, alone).transpose(1, 2).reshape(-1, 8)
        assert rl.allclose(part, expected, atol=1e-6)


def test_a_layer_is_trained_on_parts_of_different_lengths():
    layer = rl.nn.Linear(3, 2)
    n = rl.nested.nested_tensor([rl.tensor(x) for x in PARTS], layout=rl.jagged)
    layer(n).values().sum().backward()
    expected = np.concatenate(PARTS).sum(0)
    np.testing.assert_allclose(layer.weight.grad.numpy(), [expected, expected], rtol=1e-5)


def test_a_number_stands_in_front_of_a_jagged_tensor():
    torch = pytest.importorskip("torch")
    ours, theirs = (
        1 - m.nested.nested_tensor([m.tensor(x) for x in PARTS], layout=m.jagged)
        for m in (rl, torch)
    )
    np.testing.assert_allclose(ours.values().numpy(), theirs.values().numpy(), rtol=1e-6)


def test_what_does_not_fit_is_refused():
    one, two = rl.ones(2, 3), rl.ones(4, 3)
    first, second = (rl.nested.nested_tensor([one, two], layout=rl.jagged) for _ in range(2))
    with pytest.raises(RuntimeError, match="same structure"):
        first + second
    with pytest.raises(RuntimeError, match="same dimension"):
        rl.nested.nested_tensor([one, rl.ones(2)])
    with pytest.raises(RuntimeError, match="ragged dims"):
        rl.nested.nested_tensor([one, rl.ones(2, 4)], layout=rl.jagged)
    with pytest.raises(RuntimeError, match="irregular"):
        rl.nested.nested_tensor([one, two]).size(1)
    with pytest.raises(NotImplementedError, match="unbind"):
        rl.linalg.svd(first)


def test_properties_are_found_also_once_their_getters_became_machine_code():
    """The class then has other property objects than the ones that are watched."""
    n = rl.nested.nested_tensor_from_jagged(rl.arange(6.0).view(3, 2), rl.tensor([0, 1, 3]))
    machine_code = type("MachineCode", (), {"__call__": lambda self, x: self.__wrapped__(x)})()
    machine_code.__wrapped__ = vars(rl.Tensor)["layout"].fget
    machine_code.__wrapped__ = getattr(
        machine_code.__wrapped__, "__wrapped__", machine_code.__wrapped__
    )
    watched = property(machine_code.__wrapped__).__get__
    assert name_of(watched) == "layout"
    assert name_of(property(machine_code).__get__) == "layout" and n.layout is rl.jagged
