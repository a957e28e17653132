"""Storages made anew under a tensor: read as another dtype, or grown.

In: a tensor.  Out: a view on the same memory of another dtype (`view(dtype)`), or the tensor on a
larger storage (`resize_`).  Level 10.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.windows import layout_of
from rushlight.primitives.movement import reshape
from rushlight.tape.tape import leaf_node, materialise, unread_node
from rushlight.tensor.memory import ALWAYS_STALE, Storage, storage_of
from rushlight.tensor.storage import content_of, make_view, pin
from rushlight.tensor.tensor import Tensor, strides_of, wrap


def grow_storage(tensor: Tensor, count: int) -> None:
    """Give the tensor a storage of its own with `count` zeros after the present content."""
    storage = storage_of(tensor)
    layout = (strides_of(tensor), tensor.storage_offset())
    content = storage.pinned
    if content is None:
        content = materialise(content_of(storage)).reshape(-1)
    grown = np.concatenate([content, np.zeros(count, content.dtype)])
    tensor._storage = Storage(leaf_node(grown, storage.dtype), storage.dtype, grown.size)
    tensor._layout = layout
    tensor._base = None
    tensor._seen = ALWAYS_STALE


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
