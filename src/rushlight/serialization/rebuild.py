"""From what a checkpoint says about storages, tensors and parameters to the objects.

The functions here are the only ones a weights-only pickle can reach for tensors; they believe
nothing: counts, windows and types are checked before anything is made.  The classes named like
PyTorch's storages (`FloatStorage`) stand for element types in persistent ids.
Level: serialization (12).
"""

from __future__ import annotations

import importlib
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base import dtypes
from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.formats import (
    layout,
    per_channel_affine,
    per_tensor_affine,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from rushlight.nn.parameter import Parameter
from rushlight.tensor.graph import AccumulateGrad
from rushlight.tensor.memory import Storage
from rushlight.tensor.pickling import (
    check_window,
    rebuild_meta,
    rebuild_subclass,
    storage_from_array,
    tensor_on_storage,
)
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Size, Tensor

_STORAGE_NAMES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
    "complex128": "ComplexDoubleStorage",
}


class StorageType:
    """Base of the classes that name an element type in a persistent id; never instantiated."""

    dtype: DType


class UntypedStorage(StorageType):
    """A storage counted in bytes."""

    dtype = dtypes.uint8


# Element type to the class that stands for its storage; each is a global of this module, so that
# pickle can name it.
STORAGE_TYPES: dict[DType, type[StorageType]] = {}
for _name, _storage_name in _STORAGE_NAMES.items():
    _dtype = dtypes.dtype_by_name(_name)
    _type = type(_storage_name, (StorageType,), {"dtype": _dtype, "__module__": __name__})
    STORAGE_TYPES[_dtype] = _type
    globals()[_storage_name] = _type


# Dtype of codes to the class that stands for the storage of a quantized tensor.
CODE_STORAGES: dict[DType, type[StorageType]] = {}
for _dtype, _storage_name in (
    (dtypes.uint8, "QUInt8Storage"),
    (dtypes.int8, "QInt8Storage"),
    (dtypes.int32, "QInt32Storage"),
):
    _type = type(_storage_name, (StorageType,), {"dtype": _dtype, "__module__": __name__})
    CODE_STORAGES[_dtype] = _type
    globals()[_storage_name] = _type


class CodeStorage:
    """A storage of codes, where it is written."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage


# Storages counted in bytes, and what they are as elements, so that tensors on one share it.
_typed_storages: weakref.WeakKeyDictionary[Storage, dict[DType, Storage]] = (
    weakref.WeakKeyDictionary()
)


class StorageTable:
    """The storages of one file, each made once, at its first mention.

    read: function of (key, dtype, count) that gives the flat array of a storage.
    locate: function of a location tag ("cpu", "cuda:0") to the device that a storage goes to; it
        raises if there is none.
    """

    def __init__(
        self, read: Callable[[str, DType, int], np.ndarray], locate: Callable[[str], device]
    ) -> None:
        self._read = read
        self._locate = locate
        self._made: dict[str, Storage] = {}

    def find(self, identity: Any) -> Storage:
        """The storage named by a persistent id.  Raises: pickle.UnpicklingError if malformed."""
        if type(identity) is not tuple or len(identity) < 5 or identity[0] != "storage":
            raise pickle.UnpicklingError(f"persistent id {identity!r} does not name a storage")
        _, kind, key, location, count = identity[:5]
        if not (isinstance(kind, type) and issubclass(kind, StorageType)):
            raise pickle.UnpicklingError(f"{kind!r} is no type of storage")
        if not (type(key) is str and type(location) is str and type(count) is int and count >= 0):
            raise pickle.UnpicklingError(f"persistent id {identity!r} is malformed")
        if len(identity) > 5 and identity[5] is not None:
            raise pickle.UnpicklingError("storages that are views of storages are not supported")
        made = self._made.get(key)
        if made is None:
            place = self._locate(location)
            made = storage_from_array(self._read(key, kind.dtype, count), kind.dtype, place)
            self._made[key] = made
        if made.dtype is not kind.dtype or made.size != count:
            raise pickle.UnpicklingError(f"storage {key!r} is described in two ways")
        return made


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
    """A tensor on a window of `storage`."""
    if type(storage) is not Storage or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise pickle.UnpicklingError("a tensor is not described by a storage, size and stride")
    check_window(storage.size, offset, size, stride)
    return tensor_on_storage(storage, offset, size, stride, False)


def rebuild_tensor_v2(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor on a window of `storage`; hooks are not restored, as PyTorch's are not."""
    tensor = rebuild_tensor(storage, offset, size, stride)
    if requires_grad is True:
        _require_grad(tensor)
    return tensor


def rebuild_tensor_v3(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor whose storage is counted in bytes and whose dtype is given beside it."""
    if not isinstance(dtype, DType) or not isinstance(storage, Storage):
        raise pickle.UnpicklingError(
            f"load: {getattr(dtype, 'name', dtype)} has no counterpart in rushlight; convert the "
            f"tensor to one of {', '.join(_STORAGE_NAMES)} before saving"
        )
    if storage.dtype is not dtypes.uint8 or storage.size % dtype.itemsize:
        raise pickle.UnpicklingError(f"a tensor of {dtype} does not fit its storage")
    typed = _typed_storages.setdefault(storage, {})
    if dtype not in typed:
        typed[dtype] = storage_from_array(storage.value.value.view(dtype.numpy), dtype)
    return rebuild_tensor_v2(typed[dtype], offset, size, stride, requires_grad, backward_hooks)


def rebuild_meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Tensor:
    """A tensor without data, on the meta device."""
    plain = isinstance(size, tuple) and all(type(n) is int and n >= 0 for n in size)
    if not isinstance(dtype, DType) or not plain:
        raise pickle.UnpicklingError("a tensor on the meta device is not described by its facts")
    return rebuild_meta(dtype.name, size, requires_grad is True)


def rebuild_parameter(data: Any, requires_grad: Any, backward_hooks: Any) -> Tensor:
    """A Parameter around the tensor `data`."""
    if not isinstance(data, Tensor):
        raise pickle.UnpicklingError("a Parameter does not hold a tensor")
    return rebuild_subclass(Parameter, data, bool(requires_grad), {})


def rebuild_parameter_with_state(
    data: Any, requires_grad: Any, backward_hooks: Any, state: Any
) -> Tensor:
    """A Parameter with attributes of its own."""
    parameter = rebuild_parameter(data, requires_grad, backward_hooks)
    _set_attributes(parameter, state)
    return parameter


def rebuild_from_type_v2(function: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
    """A tensor with attributes of its own."""
    if type(arguments) is not tuple or getattr(function, "name", None) not in _PLAIN_REBUILDS:
        raise pickle.UnpicklingError("a tensor with attributes is not described by a tensor")
    if getattr(kind, "name", None) != "torch.Tensor":
        raise pickle.UnpicklingError(
            f"Weights only load failed. {kind!r} is no class of tensors allowed in a checkpoint"
        )
    tensor = function.build(*arguments)
    _set_attributes(tensor, state)
    return tensor


def rebuild_trusted_from_type(
    function: Callable[..., Tensor], kind: type, arguments: tuple, state: Any
) -> Tensor:
    """The same in a file that the user trusts: any class of tensors, any attributes."""
    tensor = function(*arguments)
    if kind is not type(tensor):
        tensor = rebuild_subclass(kind, tensor, current_edge(tensor) is not None, {})
    _set_attributes(tensor, state)
    return tensor


_PLAIN_REBUILDS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")


def _set_attributes(tensor: Tensor, state: Any) -> None:
    """Attributes come as a dictionary, or as a pair of it and one of slots, which must be empty."""
    if type(state) is tuple and len(state) == 2 and not state[1]:
        state = state[0]
    if not state:
        return
    if type(state) is not dict or not all(type(name) is str for name in state):
        raise pickle.UnpicklingError("a tensor's attributes are not a dictionary")
    for name, value in state.items():
        if hasattr(Tensor, name):
            raise pickle.UnpicklingError(f"attribute {name!r} would replace part of the tensor")
        tensor.__dict__[name] = value


def _require_grad(tensor: Tensor) -> None:
    if not tensor.dtype.is_inexact:
        raise pickle.UnpicklingError(f"a tensor of {tensor.dtype} cannot require gradients")
    tensor._grad_fn = AccumulateGrad(tensor)


def rebuild_size(*arguments: Any) -> Size:
    """A Size from a tuple of ints."""
    sizes = arguments[0] if arguments else ()
    if not isinstance(sizes, (tuple, list)) or not all(type(n) is int for n in sizes):
        raise pickle.UnpicklingError(f"torch.Size: expected ints, got {sizes!r}")
    return Size(sizes)


def rebuild_device(*arguments: Any) -> device:
    """A device from its type and index."""
    if not arguments or not all(type(a) in (str, int) for a in arguments):
        raise pickle.UnpicklingError("torch.device: expected a name and an index")
    try:
        return device(*arguments)
    except (RuntimeError, TypeError) as error:
        raise pickle.UnpicklingError(str(error)) from error


def rebuild_layout(name: Any) -> layout:
    """A layout by its name."""
    for known in (strided, sparse_coo, sparse_csr, sparse_csc):
        if name == repr(known):
            return known
    raise pickle.UnpicklingError(f"load: layout {name!r} has no counterpart in rushlight")


def rebuild_sparse(form: Any, parts: Any) -> Tensor:
    """A sparse tensor from its places, elements and size, which must fit each other."""
    if not isinstance(form, layout) or type(parts) is not tuple or len(parts) not in (3, 4):
        raise pickle.UnpicklingError("a sparse tensor is not described by its layout and parts")
    places = 1 if form is sparse_coo else 2
    tensors, rest = parts[: places + 1], parts[places + 1 :]
    size = rest[0] if rest else None
    if not all(type(x) is Tensor for x in tensors) or not isinstance(size, tuple):
        raise pickle.UnpicklingError("a sparse tensor is not described by tensors and a size")
    if not all(type(n) is int and n >= 0 for n in size):
        raise pickle.UnpicklingError(f"a sparse tensor has a bad size: {size!r}")
    # Loaded where needed: few programs have sparse tensors.
    construction = importlib.import_module("rushlight.sparse.construction")
    try:
        if form is sparse_coo:
            coalesced = rest[1] is True if len(rest) > 1 else None
            return construction.sparse_coo_tensor(
                *tensors, size, check_invariants=True, is_coalesced=coalesced
            )
        return construction.sparse_compressed_tensor(
            *tensors, size, layout=form, check_invariants=True
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(f"a sparse tensor's parts do not fit: {error}") from error


def rebuild_quantized(
    storage: Any, offset: Any, size: Any, stride: Any, parameters: Any, *rest: Any
) -> Tensor:
    """A quantized tensor from a window of codes and what they stand for, which must fit."""
    codes = rebuild_tensor(storage, offset, size, stride)
    if codes.dtype not in CODE_STORAGES or type(parameters) is not tuple or not parameters:
        raise pickle.UnpicklingError("a quantized tensor is not described by codes and a scheme")
    scheme, *parts = parameters
    # Loaded where needed: few programs have quantized tensors.
    affine = importlib.import_module("rushlight.quantized.affine")
    importlib.import_module("rushlight.quantized.methods")
    dtype = affine.dtype_of_codes(codes)
    if scheme is per_tensor_affine and [type(part) for part in parts] == [float, int]:
        return affine.per_tensor(codes, *parts, dtype)
    if scheme is not per_channel_affine or len(parts) != 3:
        raise pickle.UnpicklingError(f"a quantized tensor has bad parameters: {parameters!r}")
    scales, zero_points, axis = parts
    if not all(type(x) is Tensor and x.dim() == 1 for x in (scales, zero_points)):
        raise pickle.UnpicklingError("a quantized tensor's scales are no vectors")
    if scales.dtype is not dtypes.float64 or zero_points.dtype is not dtypes.int64:
        raise pickle.UnpicklingError("a quantized tensor's scales are of odd dtypes")
    if type(axis) is not int or not 0 <= axis < codes.dim():
        raise pickle.UnpicklingError(f"a quantized tensor has no axis {axis!r}")
    if not scales.numel() == zero_points.numel() == codes.shape[axis]:
        raise pickle.UnpicklingError("a quantized tensor has not one scale for each slice")
    return affine.per_channel(codes, scales, zero_points, axis, dtype)


def refuse_bare_tensor(*arguments: Any) -> Tensor:
    """Tensors come with a storage or not at all."""
    raise pickle.UnpicklingError("load: a tensor in the file has no storage")
