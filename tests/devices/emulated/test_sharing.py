"""Memory of a device shared with other libraries: DLPack and `__cuda_array_interface__`."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.dlpack import from_dlpack, to_dlpack
from tests.devices.emulated.places import LAST


class _Library:
    """Another library's array: it consumed a capsule, and exports the memory again."""

    def __init__(self, tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, *, stream=None):  # it knows the older protocol alone
        return self.tensor.__dlpack__(stream=stream)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex64", "uint16"])
def test_a_capsule_of_a_device_shares_the_memory(dtype: str) -> None:
    x = torch.arange(6, device=LAST).reshape(2, 3).to(getattr(torch, dtype))
    assert x.__dlpack_device__() == (2, torch.cuda.device_count() - 1)
    for source in (x, _Library(x), to_dlpack(x), x.__dlpack__(max_version=(1, 0), stream=-1)):
        y = torch.from_dlpack(source)
        assert y.device == x.device and y.dtype is x.dtype and y.shape == x.shape
        assert y.data_ptr() == x.data_ptr()
        assert y.tolist() == x.tolist()


def test_memory_lives_as_long_as_somebody_has_it() -> None:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    x = torch.ones(1000, device="cuda") * 3
    y = from_dlpack(x) + 0
    view = from_dlpack(x)
    capsule = to_dlpack(x)
    y.sum().item()
    del x, y
    gc.collect()
    assert torch.cuda.memory_allocated() - before == 4096
    assert view.sum().item() == 3000
    del view
    assert torch.cuda.memory_allocated() - before == 4096
    del capsule  # nobody consumed it
    assert torch.cuda.memory_allocated() == before


def test_a_capsule_is_consumed_once() -> None:
    capsule = to_dlpack(torch.ones(2, device="cuda"))
    assert from_dlpack(capsule).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="can be consumed only once"):
        from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="invalid capsule"):
        from_dlpack(object())


def test_writes_go_to_memory_of_their_own() -> None:
    """PyTorch would show the write to both; here what a device computed never changes."""
    x = torch.arange(3.0, device="cuda")
    y = from_dlpack(x)
    y += 1
    assert x.tolist() == [0.0, 1.0, 2.0] and y.tolist() == [1.0, 2.0, 3.0]


def test_memory_is_copied_where_it_is_wanted() -> None:
    x = torch.arange(3.0, device="cuda")
    assert np.from_dlpack(_Wanted(x)).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(BufferError, match="is wanted on"):
        x.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match="is wanted on"):
        x.cpu().__dlpack__(dl_device=(2, 0))
    assert torch.from_dlpack(x, device="cpu").device.type == "cpu"
    copied = torch.from_dlpack(x, copy=True)
    assert copied.data_ptr() != x.data_ptr() and copied.tolist() == x.tolist()
    with pytest.raises(BufferError, match="require gradient"):
        x.requires_grad_().__dlpack__()


class _Wanted:
    """What NumPy sees of a tensor once it asked for memory of the CPU."""

    def __init__(self, tensor) -> None:
        self.tensor = tensor

    def __dlpack__(self, **options):
        options["dl_device"] = (1, 0)
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return (1, 0)


def test_strided_memory_is_read_as_it_lies() -> None:
    x = torch.arange(12.0, device="cuda").reshape(3, 4)

    class Columns:
        """Every second column, as another library would describe it."""

        __cuda_array_interface__ = {
            **x.__cuda_array_interface__, "shape": (3, 2), "strides": (16, 8),
        }  # fmt: skip

    y = torch.as_tensor(Columns(), device="cuda")
    assert y.tolist() == [[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]
    assert (y * 2).sum().item() == 60.0
    assert torch.as_tensor(Columns(), device="cpu", dtype=torch.int64).tolist()[2] == [8, 10]


def test_the_array_interface_is_a_devices() -> None:
    x = torch.arange(6.0, device="cuda").reshape(2, 3)
    described = x.__cuda_array_interface__
    assert described == {
        "typestr": "<f4", "shape": (2, 3), "strides": None, "data": (x.data_ptr(), False),
        "version": 2,
    }  # fmt: skip
    assert x.bfloat16().__cuda_array_interface__["typestr"] == "<V2"
    assert torch.empty(0, device="cuda").__cuda_array_interface__["data"] == (0, False)
    assert not hasattr(x.cpu(), "__cuda_array_interface__")
    with pytest.raises(RuntimeError, match="requires grad"):
        x.requires_grad_().__cuda_array_interface__
