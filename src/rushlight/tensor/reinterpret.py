"""Storages made anew under a tensor: read as another dtype, grown, or another's.

In: a tensor.  Out: a view on the same memory of another dtype (`view(dtype)`, `real`), or the
tensor on a larger storage (`resize_`), or on that of another one.  Level 10.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.windows import layout_of
from rushlight.primitives.movement import reshape
from rushlight.tape.node import Node
from rushlight.tape.tape import leaf_node, local, materialise, unread_node
from rushlight.tensor.memory import ALWAYS_STALE, Storage, stale_since, storage_of
from rushlight.tensor.ordering import checked
from rushlight.tensor.storage import content_of, make_view, pin, root_of
from rushlight.tensor.tensor import Tensor, strides_of, wrap


def grow_storage(tensor: Tensor, count: int) -> None:
    """Give the tensor a storage of its own with `count` zeros after the present content."""
    storage = storage_of(tensor)
    if storage.dtype is not tensor._node.dtype:
        raise RuntimeError(
            f"resize_: the memory of this view holds {storage.dtype}, and does not grow through a "
            f"view of {tensor._node.dtype}; clone() it first"
        )
    layout = (strides_of(tensor), tensor.storage_offset())
    content = storage.pinned
    if content is None:
        content = materialise(content_of(storage)).reshape(-1)
    grown = np.concatenate([content, np.zeros(count, content.dtype)])
    tensor._storage = Storage(leaf_node(grown, storage.dtype), storage.dtype, grown.size)
    tensor._layout = layout
    tensor._base = None
    tensor._seen = ALWAYS_STALE


def replace_data(tensor: Tensor, source: Tensor) -> None:
    """Make `tensor` show `source`'s memory from now on (`tensor.data = source`)."""
    storage_of(source)
    tensor._storage = source._storage
    tensor._node = source._node
    tensor._seen = source._seen
    tensor._layout = source._layout
    tensor._base = None


def view_of_parts(tensor: Tensor, dtype, shape, strides, offset: int, read) -> Tensor:
    """A view of a tensor's memory that autograd follows, as complex or as real numbers.

    strides, offset: in elements of `dtype`.  read: records what it shows, of the tensor.
    """
    if tensor._node.__class__ is not Node:
        return read(tensor)  # of a transform, which has no memory
    storage = storage_of(tensor)
    if storage.pinned is not None and tensor._grad_fn is None:
        view = wrap(unread_node(shape, dtype))
        view._seen = ALWAYS_STALE
    else:
        view = checked(read(tensor), tuple(strides))
        node = view._node
        if node.home is None:
            node.home = (storage.writes, storage.version)
        view._seen = storage.stamp if storage.pinned is None else stale_since(storage.stamp)
    view._storage = storage
    if dtype is storage.dtype:
        view._layout = layout_of(storage.size, shape, strides, offset)
    else:
        view._layout = (tuple(strides), offset)
    if local.tape.grad_enabled:
        view._base = root_of(tensor)
    return view


def reinterpret(tensor: Tensor, dtype) -> Tensor:
    """The tensor's memory read as elements of another dtype (`view(dtype)`).

    Storages are typed, so both sides become pinned on one piece of memory; gradients stop here.
    Raises: RuntimeError as PyTorch where the sizes do not fit.
    """
    own = tensor._node.dtype
    shape = tensor._node.shape
    if dtype is own:
        return make_view(tensor, shape, tensor._layout, reshape, shape)
    strides, offset = strides_of(tensor), tensor.storage_offset()
    if own.itemsize != dtype.itemsize:
        shape, strides, offset = _rescaled(shape, strides, offset, own.itemsize, dtype)
    pin(tensor)
    storage = tensor._storage
    memory = storage.pinned.view(dtype.numpy)
    shared = Storage(unread_node(memory.shape, dtype), dtype, memory.size, memory)
    shared.lent = storage.lent
    view = wrap(unread_node(shape, dtype))
    view._storage = shared
    view._seen = ALWAYS_STALE
    view._layout = layout_of(shared.size, shape, strides, offset)
    return view


def _rescaled(shape, strides, offset: int, itemsize: int, dtype):
    """Layout of the same bytes for another element size; the last axis shrinks or grows."""
    if not shape:
        raise RuntimeError(
            "self.dim() cannot be 0 to view a tensor as a dtype of a different element size"
        )
    if strides[-1] != 1:
        raise RuntimeError(
            "self.stride(-1) must be 1 to view a tensor as a dtype of a different element size, "
            f"but got {strides[-1]}"
        )
    if itemsize > dtype.itemsize:
        factor = itemsize // dtype.itemsize
        scaled = (*[s * factor for s in strides[:-1]], 1)
        return (*shape[:-1], shape[-1] * factor), scaled, offset * factor
    factor = dtype.itemsize // itemsize
    if shape[-1] % factor or offset % factor or any(s % factor for s in strides[:-1]):
        raise RuntimeError(
            f"self.size(-1), the strides and the storage offset must be divisible by {factor} to "
            f"view elements of {itemsize} bytes as {dtype}: size {list(shape)}, strides "
            f"{list(strides)}, offset {offset}"
        )
    scaled = (*[s // factor for s in strides[:-1]], 1)
    return (*shape[:-1], shape[-1] // factor), scaled, offset // factor
