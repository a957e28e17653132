"""Pickling and deep copies of tensors: storages stay shared, views keep their strides.

A tensor is taken apart into its storage and a window on it (offset, size, stride).  Inside one
pickle or one deepcopy the storage is met once, by identity, so tensors that shared memory share it
afterwards.  `serialization/` writes the same parts under PyTorch's names.  Level 10.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base.device import ACCELERATORS, CPU, META, device, resolve_device
from rushlight.base.dtypes import DType, dtype_by_name
from rushlight.base.shapes import numel
from rushlight.base.windows import layout_of
from rushlight.engine.backends import backend_of
from rushlight.primitives.movement import copy as copy_values
from rushlight.tape.meta import meta_node
from rushlight.tape.tape import leaf_node, materialise, unread_node
from rushlight.tensor.graph import AccumulateGrad
from rushlight.tensor.memory import ALWAYS_STALE, Storage, storage_of
from rushlight.tensor.placing import value_there
from rushlight.tensor.storage import content_of, current_edge
from rushlight.tensor.tensor import Tensor, become, strides_of, wrap
from rushlight.tensor.torch_function import UNCONVERTED

# PyTorch keeps sizes in 64 bits; a count beyond that cannot be a tensor.
_LARGEST_COUNT = 2**63 - 1


def storage_from_array(array: Any, dtype: DType, place: device = CPU) -> Storage:
    """A storage around a flat array in storage form that nobody else writes to, on a device."""
    if place is not CPU:
        array = backend_of(place).from_host(array)
    return Storage(leaf_node(array, dtype), dtype, array.size)


def storage_array(storage: Storage) -> np.ndarray:
    """The storage's present content as a flat array in storage form; not to be written to."""
    if storage.pinned is not None:
        return storage.pinned
    return materialise(content_of(storage), "pickle").reshape(-1)


def check_window(count: int, offset: int, size: Sequence[int], stride: Sequence[int]) -> None:
    """Refuse a window that reaches outside a storage of `count` elements.

    Raises: pickle.UnpicklingError, since windows come from files.
    """
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in numbers):
        raise pickle.UnpicklingError(
            f"a tensor has a bad window: offset {offset!r}, size {size!r}, stride {stride!r}"
        )
    elements = numel(size)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if elements else offset - 1
    if elements > _LARGEST_COUNT or last >= count:
        raise pickle.UnpicklingError(
            f"a tensor of size {tuple(size)}, stride {tuple(stride)} at offset {offset} reaches "
            f"outside its storage of {count} elements"
        )


def tensor_on_storage(
    storage: Storage, offset: int, size: Sequence[int], stride: Sequence[int], requires_grad: bool
) -> Tensor:
    """A leaf tensor that shows a window of `storage`; several may share it."""
    shape = tuple(size)
    layout = layout_of(storage.size, shape, tuple(stride), offset)
    is_plain = layout is None and storage.layout is None and storage.pinned is None
    if is_plain and storage.value.value is not None:
        array = storage.value.value
        node = leaf_node(array.reshape(shape), storage.dtype)
        node.home = (storage.writes, storage.version)
        seen = storage.stamp
    else:
        node = unread_node(shape, storage.dtype, storage.value.step.device)
        seen = ALWAYS_STALE
    tensor = wrap(node)
    tensor._storage = storage
    tensor._layout = layout
    tensor._seen = seen
    if requires_grad:
        tensor._grad_fn = AccumulateGrad(tensor)
    return tensor


# ---- pickle ------------------------------------------------------------------------------------


def rebuild_storage(name: str, data: bytes, place: str = "cpu") -> Storage:
    """The inverse of pickling a storage."""
    dtype = dtype_by_name(name)
    array = np.frombuffer(bytearray(data), dtype.numpy)
    return storage_from_array(array, dtype, resolve_device(place))


def rebuild_tensor(
    storage: Storage, offset: int, size: tuple, stride: tuple, requires_grad: bool
) -> Tensor:
    """The inverse of pickling a tensor."""
    check_window(storage.size, offset, size, stride)
    return tensor_on_storage(storage, offset, size, stride, requires_grad)


def rebuild_meta(name: str, size: tuple, requires_grad: bool = False) -> Tensor:
    """The inverse of pickling a tensor without data."""
    tensor = wrap(meta_node(tuple(size), dtype_by_name(name)))
    if requires_grad:
        tensor._grad_fn = AccumulateGrad(tensor)
    return tensor


def rebuild_subclass(kind: type, data: Tensor, requires_grad: bool, attributes: dict) -> Tensor:
    """The inverse of pickling a tensor that has a class or attributes of its own."""
    tensor: Tensor = object.__new__(kind)
    become(tensor, data)
    if requires_grad:
        tensor._grad_fn = AccumulateGrad(tensor)
    tensor.__dict__.update(attributes)
    return tensor


def _reduce_storage(storage: Storage, protocol: Any) -> tuple:
    facts = (storage.dtype.name, storage_array(storage).tobytes())
    place = storage.value.step.device
    return rebuild_storage, (*facts, str(place)) if place.type in ACCELERATORS else facts


def tensor_window(tensor: Tensor) -> tuple[Storage, int, tuple[int, ...], tuple[int, ...]]:
    """Storage, offset, size and stride of a tensor; of parts of complex numbers, of a copy."""
    if storage_of(tensor).dtype is not tensor._node.dtype:
        tensor = copy_values(tensor, tuple(range(len(tensor._node.shape))))
    return storage_of(tensor), tensor.storage_offset(), tensor._node.shape, strides_of(tensor)


def _reduce_tensor(tensor: Tensor, protocol: Any) -> tuple:
    requires_grad = current_edge(tensor) is not None
    if tensor.device is META:
        facts = (tensor._node.dtype.name, tensor._node.shape)
        if type(tensor) is Tensor and not tensor.__dict__:
            return rebuild_meta, (*facts, requires_grad)
        attributes = dict(tensor.__dict__)
        return rebuild_subclass, (type(tensor), rebuild_meta(*facts), requires_grad, attributes)
    if type(tensor) is Tensor and not tensor.__dict__:
        return rebuild_tensor, (*tensor_window(tensor), requires_grad)
    data = tensor_on_storage(*tensor_window(tensor), False)
    return rebuild_subclass, (type(tensor), data, requires_grad, dict(tensor.__dict__))


# ---- deepcopy ----------------------------------------------------------------------------------


def _deepcopy_storage(storage: Storage, memo: dict) -> Storage:
    if storage.value.step.device.type in ACCELERATORS:
        # What lies on a device is never written over while somebody else refers to it.
        content = value_there(content_of(storage)).reshape(-1)
        copied = Storage(leaf_node(content, storage.dtype), storage.dtype, storage.size)
    else:
        copied = storage_from_array(np.array(storage_array(storage)), storage.dtype)
    memo[id(storage)] = copied
    return copied


def _deepcopy_tensor(tensor: Tensor, memo: dict) -> Tensor:
    """A copy with memory of its own, shared as the originals' was.

    Raises: RuntimeError for a tensor that an operation made and autograd follows, as in PyTorch.
    """
    if id(tensor) in memo:
        return memo[id(tensor)]
    edge = current_edge(tensor)
    if edge is not None and type(edge) is not AccumulateGrad:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment; copy `tensor.detach()` instead, or delete the attribute that "
            "holds a result of autograd from the object being copied"
        )
    if tensor.device is META:
        data = wrap(meta_node(tensor._node.shape, tensor._node.dtype))
    else:
        storage, offset, size, stride = tensor_window(tensor)
        shared = copy.deepcopy(storage, memo)
        data = tensor_on_storage(shared, offset, size, stride, False)
    copied = data if type(tensor) is Tensor else rebuild_subclass(type(tensor), data, False, {})
    if edge is not None:
        copied._grad_fn = AccumulateGrad(copied)
    memo[id(tensor)] = copied
    if tensor._grad is not None:
        copied._grad = copy.deepcopy(tensor._grad, memo)
    copied.__dict__.update(copy.deepcopy(tensor.__dict__, memo))
    return copied


for _owner, _reduce, _deepcopy in (
    (Storage, _reduce_storage, _deepcopy_storage),
    (Tensor, _reduce_tensor, _deepcopy_tensor),
):
    setattr(_owner, "__reduce_ex__", _reduce)  # noqa: B010 - mypy knows no such assignment
    setattr(_owner, "__deepcopy__", _deepcopy)  # noqa: B010
# What is written for an instance of a subclass holds a plain tensor, which must stay one.
UNCONVERTED.append(_reduce_tensor)
