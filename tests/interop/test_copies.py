"""pickle and copy keep values, strides, attributes and shared memory."""

from __future__ import annotations

import copy
import pickle

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

DTYPES = (
    "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
).split()

WAYS = {
    "pickle 2": lambda obj: pickle.loads(pickle.dumps(obj, 2)),
    "pickle 5": lambda obj: pickle.loads(pickle.dumps(obj, 5)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(params=WAYS)
def copied(request):
    return WAYS[request.param]


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_is_copied(copied, name):
    tensor = rl.ones(2, 3, dtype=getattr(rl, name))
    again = copied(tensor)
    assert again is not tensor
    assert repr(again) == repr(tensor)


def test_shared_memory_stays_shared_and_apart_from_the_original(copied):
    base = rl.arange(6.0)
    view = base[2:5]
    again = copied({"base": base, "views": [view, view], "turned": base.reshape(2, 3).t()})
    again["base"].add_(1)
    assert again["views"][0] is again["views"][1]
    assert again["views"][0].tolist() == [3, 4, 5]
    assert again["turned"].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert again["turned"].stride() == (1, 3)
    assert again["views"][0].storage_offset() == 2
    assert base.tolist() == [0, 1, 2, 3, 4, 5]
    assert view.tolist() == [2, 3, 4]


def test_pending_writes_are_part_of_the_copy(copied):
    tensor = rl.zeros(3)
    tensor.add_(1)
    again = copied(tensor)
    tensor.add_(1)
    assert again.tolist() == [1, 1, 1]


def test_memory_shared_with_numpy_is_copied(copied):
    tensor = rl.zeros(3)
    array = tensor.numpy()
    array[0] = 4
    again = copied(tensor)
    array[0] = 5
    assert again.tolist() == [4, 0, 0]


def test_leaves_stay_leaves_that_require_grad(copied):
    leaf = rl.tensor([1.0, 2.0], requires_grad=True)
    again = copied(leaf)
    assert again.requires_grad
    assert again.is_leaf
    (again * again).sum().backward()
    assert again.grad.tolist() == [2, 4]
    assert leaf.grad is None


def test_attributes_are_copied(copied):
    tensor = rl.ones(2)
    tensor.note = ["a"]
    again = copied(tensor)
    assert again.note == ["a"]
    assert again.note is not tensor.note


def test_deepcopy_copies_the_gradient():
    leaf = rl.tensor([1.0], requires_grad=True)
    (leaf * 3).sum().backward()
    again = copy.deepcopy(leaf)
    again.grad.add_(1)
    assert leaf.grad.tolist() == [3]
    assert again.grad.tolist() == [4]


def test_deepcopy_of_a_result_is_refused_as_pytorch_does():
    for module in (torch, rl):
        result = module.ones(2, requires_grad=True) * 2
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(result)


class Labelled(rl.Tensor):
    pass


def test_subclasses_keep_their_class(copied):
    tensor = rl.Tensor.__new__(Labelled)
    from rushlight.tensor.tensor import become

    become(tensor, rl.ones(2))
    again = copied(tensor)
    assert type(again) is Labelled
    assert again.tolist() == [1, 1]


def test_a_damaged_pickle_cannot_reach_outside_its_storage():
    data = pickle.dumps(rl.arange(3.0), 2)
    assert data.count(b"K\x03\x85") == 1
    with pytest.raises(pickle.UnpicklingError, match="reaches outside its storage"):
        pickle.loads(data.replace(b"K\x03\x85", b"K\x09\x85"))
