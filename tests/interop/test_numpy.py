"""Memory shared with NumPy: writes on either side are seen by the other, as in PyTorch."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight as rl

torch = pytest.importorskip("torch")

NUMPY_NAMES = (
    "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64 complex128"
).split()


@pytest.mark.parametrize("name", NUMPY_NAMES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3)])
def test_every_dtype_goes_both_ways(name, shape):
    array = (np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape).astype(name)
    tensor = rl.from_numpy(array)
    assert repr(tensor.dtype) == f"torch.{name}"
    assert tensor.shape == shape
    back = tensor.numpy()
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert array.size == 0 or np.shares_memory(back, array)


def test_a_write_to_the_array_is_seen_by_the_tensor_and_its_views():
    array = np.zeros((2, 3), np.float32)
    tensor = rl.from_numpy(array)
    view = tensor[1]
    array[1, 2] = 5
    assert tensor.tolist() == [[0, 0, 0], [0, 0, 5]]
    assert view.tolist() == [0, 0, 5]


def test_a_write_to_the_tensor_is_seen_by_the_array():
    array = np.zeros((2, 3), np.float32)
    tensor = rl.from_numpy(array)
    tensor[0].add_(1)
    tensor.mul_(2)
    assert array.tolist() == [[2, 2, 2], [0, 0, 0]]


def test_an_array_handed_out_stays_shared():
    tensor = rl.arange(4.0)
    view = tensor[1:3]
    array = tensor.numpy()
    array[1] = 10
    assert view.tolist() == [10, 2]
    view.fill_(-1)
    assert array.tolist() == [0, -1, -1, 3]
    assert np.shares_memory(array, view.numpy())


def test_a_pending_read_is_not_changed_by_a_later_write_to_the_array():
    array = np.arange(3.0)
    tensor = rl.from_numpy(array)
    total = tensor + 1  # pending
    array[:] = 100
    assert total.tolist() == [1, 2, 3]
    later = tensor + 1
    assert later.tolist() == [101, 101, 101]


def test_pending_writes_are_flushed_before_memory_leaves():
    tensor = rl.zeros(3)
    tensor.add_(2)
    assert tensor.numpy().tolist() == [2, 2, 2]


def test_the_array_outlives_the_tensor_and_the_tensor_the_array():
    array = rl.ones(1000).numpy()
    gc.collect()
    assert array.sum() == 1000
    tensor = rl.from_numpy(np.full(1000, 2.0))
    gc.collect()
    assert tensor.sum().item() == 2000


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a.T,
        lambda a: a[::2],
        lambda a: a[:, 1:3],
        lambda a: a[1:, ::3],
        lambda a: np.broadcast_to(a[:1], (3, 6)),
        lambda a: np.asfortranarray(a),
        lambda a: a[:1, 0].reshape(()),
    ],
)
def test_strided_arrays_keep_their_strides(make):
    ours_array = make(np.arange(24.0).reshape(4, 6))
    theirs_array = make(np.arange(24.0).reshape(4, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = rl.from_numpy(ours_array), torch.from_numpy(theirs_array)
    assert ours.stride() == theirs.stride()
    assert ours.tolist() == theirs.tolist()
    assert ours.numpy().strides == theirs.numpy().strides


def test_a_tensor_that_requires_grad_is_not_handed_out():
    message = (
        r"Can't call numpy\(\) on Tensor that requires grad. "
        r"Use tensor.detach\(\).numpy\(\) instead."
    )
    leaf = rl.ones(2, requires_grad=True)
    for tensor in (leaf, leaf * 2):
        with pytest.raises(RuntimeError, match=message):
            tensor.numpy()
        with pytest.raises(RuntimeError, match=message):
            np.asarray(tensor)
    array = leaf.detach().numpy()
    array[0] = 7
    assert leaf.tolist() == [7, 1]
    assert (leaf * 2).numpy(force=True).tolist() == [14, 2]


def test_gradients_flow_through_a_leaf_whose_memory_is_shared():
    array = np.array([1.0, 2.0])
    leaf = rl.from_numpy(array).requires_grad_()
    (leaf * leaf).sum().backward()
    assert leaf.grad.tolist() == [2, 4]
    array[0] = 5
    leaf.grad = None
    (leaf * leaf).sum().backward()
    assert leaf.grad.tolist() == [10, 4]


def test_bfloat16_has_no_array():
    with pytest.raises(TypeError, match="Got unsupported ScalarType BFloat16"):
        rl.ones(2, dtype=rl.bfloat16).numpy()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1], TypeError, r"expected np\.ndarray \(got list\)"),
        (np.float64(3), TypeError, r"expected np\.ndarray \(got numpy\.float64\)"),
        (np.ones(3)[::-1], ValueError, "At least one stride in the given numpy array is negative"),
        (np.ones(3, ">f4"), ValueError, "byte order different from the native byte order"),
        (np.array(["a"]), TypeError, r"can't convert np\.ndarray of type numpy\.str_"),
        (np.zeros(3, [("a", "i1"), ("b", "f4")])["b"], ValueError, "not a multiple of the element"),
    ],
)
def test_arrays_that_cannot_be_shared_are_refused_as_pytorch_does(value, error, message):
    for module in (torch, rl):
        with pytest.raises(error, match=message):
            module.from_numpy(value)


def test_a_read_only_array_warns_and_cannot_be_written():
    array = np.ones(3)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match="The given NumPy array is not writable"):
        tensor = rl.from_numpy(array)
    assert (tensor + 1).tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="read-only"):
        tensor.add_(1)
    assert array.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [None, np.float64, np.int32])
def test_asarray_and_array_convert(dtype):
    tensor = rl.tensor([1.0, 2.0])
    shared = np.asarray(tensor)
    assert np.shares_memory(shared, tensor.numpy())
    converted = np.array(tensor, dtype=dtype)
    assert converted.tolist() == [1, 2]
    assert not np.shares_memory(converted, shared)
    assert dtype is None or converted.dtype == dtype


@pytest.mark.parametrize("function", [np.sin, np.isnan, np.negative])
def test_a_numpy_function_on_a_tensor_returns_a_tensor(function):
    ours = function(rl.tensor([0.5, 1.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own protocol method is of the older form
        theirs = function(torch.tensor([0.5, 1.0]))
    assert isinstance(ours, rl.Tensor)
    assert repr(ours) == repr(theirs)


def test_a_numpy_function_of_an_array_and_a_tensor_returns_a_tensor():
    mixed = np.add(np.ones(2, np.float32), rl.ones(2))
    assert isinstance(mixed, rl.Tensor)
    assert mixed.tolist() == [2, 2]


def test_memory_is_taken_back_when_nobody_outside_holds_it():
    tensor = rl.zeros(3)
    view = tensor[1:]
    array = tensor.numpy()
    part = array[1:][::-1]
    del array
    tensor.add_(1)
    assert part.tolist() == [1, 1]  # a view of the array still shares the memory
    part[0] = 5
    assert view.tolist() == [1, 5]
    del part
    tensor.mul_(2)
    assert tensor._storage.pinned is None  # the write waits again
    assert tensor.tolist() == [2, 2, 10]
    assert view.tolist() == [2, 10]
    again = tensor.numpy()
    again[0] = 7
    assert tensor.tolist() == [7, 2, 10]


def test_memory_lent_through_dlpack_is_not_taken_back_early():
    tensor = rl.zeros(2)
    theirs = torch.from_dlpack(tensor)
    gc.collect()
    tensor.add_(1)
    theirs[0] = 5
    assert tensor.tolist() == [5, 1]
    assert theirs.tolist() == [5, 1]
    del theirs
    tensor.add_(1)
    assert tensor._storage.pinned is None
    assert tensor.tolist() == [6, 2]


STEPS = [
    "array write",
    "tensor write",
    "view write",
    "read",
    "view",
    "numpy again",
    "detach",
    "forget",
]


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_random_writes_on_both_sides_agree_with_pytorch(data):
    """The same program on both: views, pending results and writes through array and tensors."""
    results = []
    from_array = data.draw(st.booleans())
    transposed = data.draw(st.booleans())
    steps = data.draw(
        st.lists(
            st.tuples(st.sampled_from(STEPS), st.integers(0, 100), st.integers(-4, 4)), max_size=14
        )
    )
    for module in (rl, torch):
        if from_array:
            array = np.arange(12.0).reshape(3, 4)
            array = array.T if transposed else array
            first = module.from_numpy(array)
        else:
            first = module.arange(12.0).reshape(3, 4)
            first = first.t() if transposed else first
            array = first.numpy()
        arrays, tensors, pending = [array], [first], []
        for kind, pick, amount in steps:
            tensor = tensors[pick % len(tensors)]
            if kind == "array write":
                if arrays:
                    chosen = arrays[pick % len(arrays)]
                    chosen[pick % chosen.shape[0]] += amount
            elif kind == "tensor write":
                tensor.mul_(amount) if pick % 2 else tensor.add_(amount)
            elif kind == "view write":
                tensor[pick % tensor.shape[0]].fill_(float(amount))
            elif kind == "read":
                pending.append(tensor * 2 + amount)
            elif kind == "view":
                tensors.append(tensor[: 1 + pick % 3] if pick % 2 else tensor.t())
            elif kind == "forget":
                del arrays[pick % (len(arrays) + 1) :]
                chosen = array = None  # names of this test must not keep the memory either
            elif kind == "numpy again":
                arrays.append(tensor.numpy())
            else:
                tensors.append(tensor.detach())
        results.append([a.tolist() for a in arrays] + [t.tolist() for t in tensors + pending])
    assert results[0] == results[1]


def test_an_address_stays_good_through_writes():
    tensor = rl.zeros(4)
    address = tensor.data_ptr()
    tensor.add_(1)
    tensor[1:].mul_(2)
    assert tensor.data_ptr() == address
    assert tensor[1:].data_ptr() == address + 4


def test_under_no_grad_a_tensor_that_requires_gradients_is_an_array():
    x = rl.ones(3, requires_grad=True)
    y = x * 2
    with rl.no_grad():
        assert x.numpy().tolist() == [1, 1, 1] and np.asarray(y).tolist() == [2, 2, 2]
    with pytest.raises(RuntimeError, match="requires grad"):
        y.numpy()
