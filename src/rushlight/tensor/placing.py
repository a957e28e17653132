"""Tensors on other devices: sending them there, and saying where a new one lives.

Nothing here does anything before a device other than the CPU was used.  Level 10.
"""

from __future__ import annotations

import weakref
from typing import Any

from rushlight.base.device import ANYWHERE, CPU, META, device, placing
from rushlight.engine.accelerators import present
from rushlight.engine.backends import backend_of
from rushlight.primitives.movement import copy, to_device
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.node import NO_ADDRESS
from rushlight.tape.tape import leaf_node, materialise
from rushlight.tensor.memory import Storage, storage_of
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Tensor, wrap


def placed(x: Tensor, target: device) -> Tensor:
    """The tensor on a device; itself if it lives there.  Gradients flow back to where it was."""
    if not placing.begun or target is META:
        return x
    node = x._node
    source = node.step.device
    if source is target or source is META:
        return x
    is_new = node.address == NO_ADDRESS and x._storage is None and x._grad_fn is None
    if source is ANYWHERE and is_new and node.step.primitive is BUFFER:
        # Nobody has seen it: it is made there.
        node.value = backend_of(target).from_host(node.value)
        node.step = leaf_spec(BUFFER, node.shape, node.dtype, target)
        return x
    return to_device(x, target, source)


# Storages whose first value `pinned` put into page-locked memory.
_page_locked: weakref.WeakSet[Storage] = weakref.WeakSet()


def pinned(x: Tensor) -> Tensor:
    """A copy of a tensor of the CPU in memory that a device reads by itself; itself if it is one.

    What an in-place operation makes of it later lies in ordinary memory.
    Raises: RuntimeError, as PyTorch, without an accelerator or for a tensor on one.
    """
    accelerator = present()
    if accelerator is None:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    if settled(x._node.step.device) is not CPU:
        kind = f"torch.{x._node.step.device.type}.{x._node.dtype.name.title()}Tensor"
        raise RuntimeError(f"cannot pin '{kind}' only dense CPU tensors can be pinned")
    if is_pinned(x):
        return x
    made = placed(copy(x), CPU)
    storage = storage_of(made)
    node = storage.value
    array = materialise(node, "memory is pinned")
    node.value = accelerator.host_pool().like(array)
    _page_locked.add(storage)
    return made


def is_pinned(x: Tensor) -> bool:
    """Whether a tensor's memory came from `pinned`."""
    return x._storage is not None and x._storage in _page_locked


def empty_there(place: device, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """A new tensor of zeros in the memory of a device.  Raises: OutOfMemoryError."""
    backend: Any = backend_of(place)
    made = backend.empty(shape, dtype.numpy)
    backend.clear(made)
    return wrap(leaf_node(made, dtype))


def beside(x: Tensor, other: Tensor) -> Tensor:
    """A tensor that was computed from another one's values, on that one's device."""
    return placed(x, settled(other._node.step.device)) if placing.begun else x


def settled(place: device) -> device:
    """Where a program sees a value that any device computes: on the CPU."""
    return CPU if place is ANYWHERE else place


def device_array(x: Tensor) -> DeviceArray:
    """The memory of a tensor on a device, computed now."""
    storage = x._storage
    if storage is not None and storage.stamp != x._seen:
        refresh(x)
    return value_there(x._node)


def value_there(node: Any) -> DeviceArray:
    """The value of a node on a device, computed now and not copied to the host."""
    if type(node.value) is not DeviceArray:
        materialise(node, "memory of a device")
    return node.value
