"""Collation and conversion, part by part against PyTorch."""

from __future__ import annotations

import collections
from collections import OrderedDict, UserDict, defaultdict, namedtuple

import numpy as np
import pytest

import rushlight
from rushlight.utils.data import default_collate, default_convert

torch = pytest.importorskip("torch")

Point = namedtuple("Point", "x y")


def plain(value):
    """Structure with types, dtypes and values, comparable between libraries."""
    if isinstance(value, (rushlight.Tensor, torch.Tensor)):
        return ("tensor", str(value.dtype), tuple(value.shape), value.tolist())
    if isinstance(value, collections.abc.Mapping):
        return (type(value).__name__, {key: plain(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [plain(item) for item in value])
    return (type(value).__name__, repr(value))


# Functions of a library's `tensor`, giving a batch.
BATCHES = {
    "tensors": lambda tensor: [tensor([1.0, 2.0]), tensor([3.0, 4.0])],
    "scalar tensors": lambda tensor: [tensor(1), tensor(2)],
    "integers": lambda tensor: [1, 2, 3],
    "booleans": lambda tensor: [True, False],
    "floats": lambda tensor: [1.5, 2.5],
    "strings": lambda tensor: ["a", "b"],
    "bytes": lambda tensor: [b"a", b"b"],
    "arrays": lambda tensor: [np.arange(3, dtype=np.int32), np.arange(3, dtype=np.int32)],
    "float64 arrays": lambda tensor: [np.zeros((2, 2)), np.ones((2, 2))],
    "numpy scalars": lambda tensor: [np.float32(1.0), np.float32(2.0)],
    "numpy booleans": lambda tensor: [np.bool_(True), np.bool_(False)],
    "pairs": lambda tensor: [(tensor([1.0]), 1), (tensor([2.0]), 0)],
    "lists": lambda tensor: [[1, 2.0, "x"], [3, 4.0, "y"]],
    "dicts": lambda tensor: [{"a": 1, "b": tensor([1.0])}, {"a": 2, "b": tensor([2.0])}],
    "ordered dicts": lambda tensor: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    "default dicts": lambda tensor: [defaultdict(list, a=1), defaultdict(list, a=2)],
    "user dicts": lambda tensor: [UserDict(a=1), UserDict(a=2)],
    "named tuples": lambda tensor: [Point(1, 2.0), Point(3, 4.0)],
    "nested": lambda tensor: [({"a": [1, (2, 3)]}, "s")] * 2,
    "ranges": lambda tensor: [range(2), range(2)],
}


@pytest.mark.parametrize("name", BATCHES)
def test_collation_equals_pytorchs(name):
    make = BATCHES[name]
    expected = torch.utils.data.default_collate(make(torch.tensor))
    assert plain(default_collate(make(rushlight.tensor))) == plain(expected)


@pytest.mark.parametrize("name", BATCHES)
def test_conversion_equals_pytorchs(name):
    make = BATCHES[name]
    expected = torch.utils.data.default_convert(make(torch.tensor)[0])
    assert plain(default_convert(make(rushlight.tensor)[0])) == plain(expected)


def test_conversion_of_an_array_shares_its_memory():
    array = np.zeros(3)
    converted = default_convert(array)
    array[1] = 5
    assert converted.tolist() == [0, 5, 0]


def test_unknown_types_are_refused_by_name():
    with pytest.raises(TypeError, match=r"found <class 'object'>"):
        default_collate([object(), object()])
    with pytest.raises(TypeError, match="found <U1"):
        default_collate([np.array(["a"])])


def test_unequal_sizes_are_refused():
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        default_collate([[1, 2], [1]])
    tensors = [rushlight.tensor([1.0]), rushlight.tensor([1.0, 2.0])]
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        default_collate(tensors)


def test_gradients_flow_through_collated_samples():
    samples = [rushlight.tensor([float(i)]).requires_grad_() for i in range(3)]
    default_collate(samples).sum().backward()
    assert [sample.grad.item() for sample in samples] == [1, 1, 1]


def test_a_batch_does_not_alias_its_samples():
    sample = rushlight.tensor([1.0])
    batch = default_collate([sample])
    batch += 1
    assert sample.item() == 1
