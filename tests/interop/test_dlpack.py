"""Tensors exchanged through DLPack share memory with NumPy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

NAMES = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64 complex128".split()


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_goes_to_pytorch_and_back(name):
    tensor = rl.ones(2, 3, dtype=getattr(rl, name))
    theirs = torch.from_dlpack(tensor)
    assert theirs.dtype == getattr(torch, name)
    assert theirs.tolist() == tensor.tolist()
    back = rl.from_dlpack(theirs)
    assert back.dtype is tensor.dtype
    assert back.tolist() == tensor.tolist()


def test_memory_is_shared_both_ways():
    ours = rl.zeros(3)
    theirs = torch.from_dlpack(ours)
    theirs[0] = 1
    ours[1].fill_(2)
    assert ours.tolist() == theirs.tolist() == [1, 2, 0]
    theirs = torch.zeros(3)
    ours = rl.from_dlpack(theirs)
    ours.add_(1)
    theirs[0] = 5
    assert ours.tolist() == theirs.tolist() == [5, 1, 1]


def test_strides_survive():
    theirs = torch.arange(6.0).reshape(2, 3).t()
    ours = rl.from_dlpack(theirs)
    assert ours.stride() == theirs.stride()
    assert torch.from_dlpack(ours).stride() == theirs.stride()


def test_numpy_reads_a_tensor_and_a_tensor_reads_numpy():
    tensor = rl.arange(3.0)
    array = np.from_dlpack(tensor)
    assert np.shares_memory(array, tensor.numpy())
    source = np.zeros(3)
    rl.from_dlpack(source).add_(1)
    assert source.tolist() == [1, 1, 1]


def test_a_bare_capsule_is_accepted():
    theirs = torch.zeros(2)
    ours = rl.from_dlpack(torch.utils.dlpack.to_dlpack(theirs))
    ours.add_(1)
    assert theirs.tolist() == [1, 1]


def test_the_device_is_the_cpu():
    assert rl.ones(1).__dlpack_device__() == (1, 0)


def test_tensors_that_require_grad_are_refused_as_pytorch_does():
    for module in (torch, rl):
        with pytest.raises(BufferError, match="Can't export tensors that require gradient"):
            module.ones(2, requires_grad=True).__dlpack__()


def test_other_objects_are_refused():
    with pytest.raises(RuntimeError, match="from_dlpack received an invalid capsule"):
        rl.from_dlpack([1])


def test_bfloat16_goes_both_ways():
    ours = rl.tensor([[1.5, -2.0, 3.25]], dtype=rl.bfloat16).t()
    theirs = torch.from_dlpack(ours)
    assert theirs.dtype is torch.bfloat16 and theirs.tolist() == [[1.5], [-2.0], [3.25]]
    theirs[0, 0] = 7.0
    assert ours[0, 0].item() == 7.0
    back = rl.from_dlpack(torch.tensor([0.5, 2.5], dtype=torch.bfloat16))
    assert back.dtype is rl.bfloat16 and back.tolist() == [0.5, 2.5]
    back += 1
    assert back.tolist() == [1.5, 3.5]


def test_a_copy_is_asked_for():
    ours = rl.ones(3)
    capsule = ours.__dlpack__(copy=True, max_version=(1, 0))
    copied = rl.from_dlpack(capsule)
    copied += 1
    assert ours.tolist() == [1.0] * 3
    assert rl.from_dlpack(ours, copy=True).data_ptr() != ours.data_ptr()
