"""Creating, converting and filling tensors, against PyTorch."""

from __future__ import annotations

import pytest

import rushlight
from tests.ops.both import assert_agree

CASES = {
    "arange": lambda t: (t.arange(5), t.arange(1, 2.5, 0.5), t.arange(5, 0, -2), t.arange(0)),
    "arange of a dtype": lambda t: t.arange(3, dtype=t.float64),
    "arange by keyword": lambda t: t.arange(start=1, end=7, step=2),
    "arange step 0": lambda t: t.arange(0, 1, 0),
    "arange wrong sign": lambda t: t.arange(0, 5, -1),
    "linspace": lambda t: (t.linspace(0, 1, 5), t.linspace(3, -3, 4), t.linspace(1, 2, 1)),
    "linspace whose step is rounded": lambda t: (
        t.linspace(0, 0.9, 31),
        t.linspace(-0.3, 7.7, 333),
    ),
    "linspace of integers": lambda t: t.linspace(0, 7, 50, dtype=t.int64),
    "logspace": lambda t: t.logspace(0, 2, 3, base=2.0),
    "eye": lambda t: (t.eye(2), t.eye(2, 3, dtype=t.int64), t.eye(0)),
    "full": lambda t: (t.full((2,), 3), t.full((), 2.5), t.full((1,), True)),
    "zeros": lambda t: (t.zeros(2, 3), t.zeros((2,)), t.zeros(()), t.ones(1, dtype=t.bool)),
    "negative size": lambda t: t.zeros(-1),
    "like": lambda t: (t.zeros_like(t.ones(2, dtype=t.int32)), t.full_like(t.ones(2), 7)),
    "new": lambda t: (t.ones(1).double().new_zeros(2), t.ones(1).new_full((2,), 3)),
    "new_tensor": lambda t: t.ones(1, dtype=t.int64).new_tensor([1.7, 2.2]),
    "tril": lambda t: (t.ones(3, 3).tril(), t.ones(2, 3, 3).triu(1), t.ones(3).tril()),
    "scalar_tensor": lambda t: t.scalar_tensor(3),
    "as_tensor": lambda t: t.as_tensor([1, 2], dtype=t.float32),
    "vander": lambda t: (t.vander(t.tensor([1, 2, 3])), t.vander(t.tensor([2.0]), 3, True)),
    "windows": lambda t: (t.hann_window(5), t.hamming_window(4, False), t.blackman_window(6)),
    "kaiser": lambda t: t.kaiser_window(6, True, beta=8.0),
    "strides": lambda t: (
        t.empty_strided((2, 3), (1, 2)).stride(),
        t.empty_permuted((2, 3), (1, 0)).stride(),
    ),
    "to": lambda t: (
        t.ones(2).to(t.int32),
        t.ones(2).to("cpu", t.float64),
        t.ones(1).to(t.ones(1).half()),
    ),
    "float to integer": lambda t: (t.tensor([-1.9, 2.9]).int(), t.tensor([300.0]).to(t.uint8)),
    "to bool": lambda t: t.tensor([0.0, 0.5, float("nan")]).bool(),
    "type": lambda t: (
        t.ones(1).type(),
        t.ones(1).type("torch.DoubleTensor"),
        t.ones(1).type(t.int64),
    ),
    "complex to float": lambda t: t.tensor([1 + 2j]).real,
    "facts": lambda t: (t.ones(2, 3).numel(), t.ones(1).half().element_size(), t.ones(2).nbytes),
    "size": lambda t: (t.ones(2, 3).size(-1), tuple(t.ones(2, 3).size())),
    "size out of range": lambda t: t.ones(2).size(3),
    "contiguity": lambda t: (t.ones(2, 3).is_contiguous(), t.ones(2, 3).t().is_contiguous()),
    "contiguous": lambda t: t.arange(6).reshape(2, 3).t().contiguous(),
    "copy": lambda t: t.zeros(2, 2).copy_(t.tensor([1, 2])),
    "copy that does not fit": lambda t: t.zeros(2).copy_(t.ones(3)),
    "fill": lambda t: (t.zeros(2).fill_(3), t.zeros(2).fill_(t.tensor(4.0)), t.ones(2).zero_()),
    "fill with a vector": lambda t: t.zeros(2).fill_(t.ones(2)),
    "finfo": lambda t: (t.finfo(t.bfloat16).eps, t.finfo(t.float16).max, t.iinfo(t.int8).min),
    "finfo of integers": lambda t: t.finfo(t.int32),
    "can_cast": lambda t: (t.can_cast(t.float32, t.int32), t.can_cast(t.int32, t.float32)),
}


@pytest.mark.parametrize("name", CASES)
def test_creation_agrees_with_torch(name: str) -> None:
    assert_agree(CASES[name])


def test_a_cuda_device_is_refused_as_by_a_torch_without_cuda() -> None:
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        rushlight.ones(1).cuda()


def test_a_tensor_from_an_array_shares_its_memory_only_through_as_tensor() -> None:
    np = pytest.importorskip("numpy")
    array = np.zeros(2)
    shared, copied = rushlight.as_tensor(array), rushlight.tensor(array)
    array[0] = 5
    assert shared.tolist() == [5, 0]
    assert copied.tolist() == [0, 0]


def test_data_ptr_is_the_address_of_the_memory_numpy_sees() -> None:
    x = rushlight.ones(3)
    assert x.data_ptr() == x.numpy().ctypes.data
    assert x[1:].data_ptr() == x.data_ptr() + 4
