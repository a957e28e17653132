"""Memory shared with other libraries through DLPack and `__cuda_array_interface__`.

The CPU's memory is shared both ways: writes on either side are seen by the other
(`storage.pin`).  A device's values are never written to once they are made, so what is handed out
shows a tensor as it was then, and in-place operations here go to memory of their own.  NumPy writes
the capsules it can; those of devices and of bfloat16 are ours (`runtime/capsules.py`).  Importing
this module attaches the methods to `Tensor`.  Level 10.
"""

from __future__ import annotations

import ctypes
import importlib
from types import ModuleType
from typing import Any

import numpy as np

from rushlight.base.device import ACCELERATORS
from rushlight.base.dtypes import (
    BITS,
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
    dtype_of_numpy,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from rushlight.base.shapes import contiguous_strides
from rushlight.engine import cuda
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.tape import leaf_node
from rushlight.tensor.interop import from_numpy, tensor_on_buffer
from rushlight.tensor.pickling import tensor_on_storage
from rushlight.tensor.placing import device_array
from rushlight.tensor.storage import Storage, current_edge, pin
from rushlight.tensor.tensor import Tensor

_CPU, _CUDA = 1, 2  # kDLCPU, kDLCUDA
_INT, _UINT, _FLOAT, _BFLOAT, _COMPLEX, _BOOL = 0, 1, 2, 4, 5, 6
_CODES: dict[DType, tuple[int, int]] = {
    int8: (_INT, 8), int16: (_INT, 16), int32: (_INT, 32), int64: (_INT, 64),
    uint8: (_UINT, 8), uint16: (_UINT, 16), uint32: (_UINT, 32), uint64: (_UINT, 64),
    float16: (_FLOAT, 16), float32: (_FLOAT, 32), float64: (_FLOAT, 64), bfloat16: (_BFLOAT, 16),
    complex64: (_COMPLEX, 64), complex128: (_COMPLEX, 128), bool_: (_BOOL, 8),
}  # fmt: skip
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


def _capsules() -> ModuleType:
    return importlib.import_module("rushlight.runtime.capsules")


# ---- handing out ---------------------------------------------------------------------------------


def dlpack(
    self: Tensor, *, stream: Any = None, max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None, copy: bool | None = None,
) -> Any:  # fmt: skip
    """A DLPack capsule of the tensor's memory; it can be consumed once.

    stream: of the consumer; -1 says that it waits itself.  dl_device: where the memory is wanted;
    the CPU is given a copy of what lies elsewhere, unless `copy` is False.
    Raises: BufferError if the tensor requires gradients, for dtypes without a code, and for memory
    that is not where it is wanted.
    """
    if current_edge(self) is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    here = dlpack_device(self)
    wanted = here if dl_device is None else (int(dl_device[0]), int(dl_device[1]))
    if wanted != here and (wanted != (_CPU, 0) or copy is False):
        raise BufferError(
            f"__dlpack__: the memory is on device {here} and is wanted on {wanted}; only a copy on "
            "the CPU, (1, 0), can be made: move the tensor with .to() first"
        )
    if wanted != here:
        self, copy = self.cpu(), None
    dtype = self._node.dtype
    if dtype not in _CODES:
        raise BufferError(
            f"__dlpack__: DLPack has no code for {dtype.name}; convert the tensor, with to(dtype)"
        )
    if wanted[0] == _CUDA:
        return _of_device(self.clone() if copy else self, stream, max_version)
    if dtype in BITS:
        return _of_bits(self.clone() if copy else self, max_version)
    if copy:
        return pin(self.clone()).__dlpack__(max_version=max_version)
    return pin(self).__dlpack__(stream=stream, max_version=max_version)


def _versioned(max_version: tuple[int, int] | None) -> bool:
    return max_version is not None and tuple(max_version) >= (1, 0)


def _of_device(x: Tensor, stream: Any, max_version: tuple[int, int] | None) -> Any:
    array = device_array(x)
    if stream != -1:
        cuda.backend(x.device).synchronize()
    capsules = _capsules()
    strides = contiguous_strides(array.shape)
    memory = capsules.Described(
        array.address, array.shape, strides, *_CODES[x._node.dtype], dlpack_device(x), array
    )
    return capsules.write(memory, _versioned(max_version))


def _of_bits(x: Tensor, max_version: tuple[int, int] | None) -> Any:
    """Of a dtype that NumPy lacks: its bits lie in an array of integers."""
    array = pin(x)
    capsules = _capsules()
    strides = tuple(step // array.itemsize for step in array.strides)
    memory = capsules.Described(
        array.ctypes.data, array.shape, strides, *_CODES[x._node.dtype], (_CPU, 0), array,
        not array.flags.writeable,
    )  # fmt: skip
    return capsules.write(memory, _versioned(max_version))


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """(device type, index) of the memory."""
    kind = self.device.type
    if kind == "cuda":
        return (_CUDA, self.device.index or 0)
    if kind in ACCELERATORS:
        raise BufferError(f"DLPack: memory of {self.device} is not shared; use tensor.cpu()")
    return (_CPU, 0)


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule that shares the tensor's memory.  Source: torch.utils.dlpack.to_dlpack."""
    return dlpack(tensor)


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """What other libraries of CUDA devices read of a tensor's memory, version 2 of the protocol.

    Raises: AttributeError for tensors that are not on one, RuntimeError if it requires gradients.
    """
    if self.device.type != "cuda":
        raise AttributeError(
            f"Can't get __cuda_array_interface__ on a tensor of {self.device}; use tensor.cuda() "
            "to copy it to a device"
        )
    if current_edge(self) is not None:
        raise RuntimeError(
            "Can't get __cuda_array_interface__ on Variable that requires grad. "
            "If gradients aren't required, use var.detach() to get Variable that doesn't require "
            "grad."
        )
    array = device_array(self)
    cuda.backend(self.device).synchronize()
    dtype = self._node.dtype
    type_text = f"<V{dtype.itemsize}" if dtype in BITS else dtype.numpy.str
    address = array.address if array.size else 0
    return {
        "typestr": type_text, "shape": tuple(array.shape), "strides": None,
        "data": (address, False), "version": 2,
    }  # fmt: skip


# ---- taking over ---------------------------------------------------------------------------------


class _CapsuleOwner:
    """Gives a bare capsule the two methods that NumPy asks for."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (_CPU, 0)


class _WritableMemory:
    """Memory of an array that NumPy holds read-only although its exporter did not say so."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.__array_interface__ = dict(
            array.__array_interface__, data=(array.ctypes.data, False), strides=array.strides
        )


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of `ext_tensor`, an object with `__dlpack__` or a capsule.

    device: where it is wanted; copy: True for memory of its own, False to refuse a copy.
    Raises: RuntimeError for anything else, BufferError for memory of other devices than the CPU's
    and CUDA's, and for element types without counterpart.  Source: torch.from_dlpack.
    """
    capsule = ext_tensor
    if type(ext_tensor).__name__ != "PyCapsule":
        if not hasattr(ext_tensor, "__dlpack__"):
            raise RuntimeError(
                f"from_dlpack received an invalid capsule: {type(ext_tensor).__qualname__} has no "
                "__dlpack__ method"
            )
        capsule = _export(ext_tensor)
    capsules = _capsules()
    place, code, _ = capsules.place_and_dtype(capsule)
    if place == _CUDA or (place == _CPU and code == _BFLOAT):
        found = _opened(capsules.read(capsule))
    elif place != _CPU:
        raise BufferError(
            f"from_dlpack: the memory is on a device of type {place}, which is neither the CPU "
            "nor CUDA; copy it to the CPU first"
        )
    else:
        array = np.from_dlpack(_CapsuleOwner(capsule))
        if '"dltensor"' in repr(capsule) or '"used_dltensor"' in repr(capsule):
            # The older capsules cannot say "read-only", so their memory may be written to.
            array = np.asarray(_WritableMemory(array))
        found = from_numpy(array)
    if device is not None and found.device != found.to(device).device:
        if copy is False:
            raise BufferError(f"from_dlpack: memory of {found.device} is wanted on {device}")
        return found.to(device)
    return found.clone() if copy else found


def _export(exporter: Any) -> Any:
    """The exporter's capsule, of the newer kind where it knows it."""
    options: dict[str, Any] = {"max_version": (1, 0)}
    if tuple(exporter.__dlpack_device__())[0] == _CUDA:
        # Ours is no stream that others know: what they ask for is to be done by then.
        options["stream"] = 1
    try:
        return exporter.__dlpack__(**options)
    except TypeError:
        del options["max_version"]
        return exporter.__dlpack__(**options)


def _opened(memory: Any) -> Tensor:
    dtype = _DTYPES.get((memory.code, memory.bits))
    if dtype is None:
        raise BufferError(f"from_dlpack: no dtype has code {memory.code} and {memory.bits} bits")
    if memory.device[0] == _CUDA:
        return _on_device(memory, dtype, memory.device[1])
    span = _span(memory.shape, memory.strides)
    source = (ctypes.c_char * (span * dtype.itemsize)).from_address(memory.address)
    source._owner = memory.owner
    flat = np.frombuffer(source, dtype.numpy, span)
    flat.flags.writeable = not memory.read_only
    whole = tensor_on_buffer(flat, dtype, "DLPack capsule")
    assert whole._storage is not None
    return tensor_on_storage(whole._storage, 0, memory.shape, memory.strides, False)


def _span(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    if 0 in shape:
        return 0
    if min(strides, default=0) < 0:
        raise BufferError(f"from_dlpack: negative strides {list(strides)} are not supported")
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides))


def _on_device(memory: Any, dtype: DType, index: int) -> Tensor:
    """A tensor on memory of a device; it goes back to its owner with the last value on it."""
    backend = cuda.backend(cuda.resolved(index))
    devices = importlib.import_module("rushlight.runtime.devices")
    span = _span(memory.shape, memory.strides)
    block = devices.ForeignMemory(
        backend.allocator, memory.address, span * dtype.itemsize, memory.owner
    )
    flat = DeviceArray(block, (span,), dtype.numpy)
    storage = Storage(leaf_node(flat, dtype), dtype, span)
    return tensor_on_storage(storage, 0, memory.shape, memory.strides, False)


def from_cuda_array(source: Any) -> Tensor:
    """A tensor on the memory that `__cuda_array_interface__` of an object describes.

    Raises: AssertionError without a CUDA device, TypeError for element types without counterpart.
    """
    described = source.__cuda_array_interface__
    dtype = dtype_of_numpy(np.dtype(described["typestr"]))
    shape = tuple(described["shape"])
    steps = described.get("strides")
    strides = contiguous_strides(shape)
    if steps is not None:
        strides = tuple(step // dtype.itemsize for step in steps)
    capsules = _capsules()
    memory = capsules.Described(
        described["data"][0], shape, strides, *_CODES[dtype], (_CUDA, 0), source
    )
    return _on_device(memory, dtype, cuda.current.index)


def shares_device_memory(data: Any) -> bool:
    """Whether an object says that it is memory of a CUDA device."""
    return not isinstance(data, Tensor) and hasattr(data, "__cuda_array_interface__")


Tensor.__dlpack__ = dlpack
Tensor.__dlpack_device__ = dlpack_device
Tensor.__cuda_array_interface__ = property(cuda_array_interface)
