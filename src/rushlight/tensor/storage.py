"""Storage, views and in-place writes: mutable tensors as pure values.

A Storage (`memory.py`) holds the current content as one node and a version.  A write makes a new
content node and bumps version and stamp; a tensor whose `_seen` is not the stamp is stale and is
read again from its base (so that gradients flow through the write) or from the content.  A storage
whose memory was handed out (`numpy()`, DLPack) or came from outside (`from_numpy`) is *pinned*:
writes go to that memory at once, and reads take a snapshot, so that nothing pending sees later
changes; until nobody outside holds it any longer (`reclaiming.py`).  Level 10.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.device import ANYWHERE, META, placing
from rushlight.base.dtypes import int64
from rushlight.base.hot import hot
from rushlight.base.orders import order_of
from rushlight.base.shapes import contiguous_strides, has_overlap, is_contiguous, numel
from rushlight.base.windows import layout_of
from rushlight.primitives.movement import (
    copy,
    permute,
    reshape,
    strided_read,
    strided_write,
    to_device,
)
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.meta import NO_DATA, meta_node
from rushlight.tape.node import Node
from rushlight.tape.tape import leaf_node, local, materialise, unread_node
from rushlight.tensor.graph import (
    AccumulateGrad,
    GradNode,
    Overwrite,
    move_retained,
    named,
    refuse_view_of_function,
)
from rushlight.tensor.memory import (
    ALWAYS_STALE,
    Storage,
    axes_in_memory,
    covers_storage,
    has_present_history,
    shows_all,
    stale_since,
    storage_of,
)
from rushlight.tensor.ordering import checked, laid_out, lies_otherwise
from rushlight.tensor.parts import elements_as, written_back
from rushlight.tensor.reclaiming import reclaim
from rushlight.tensor.tensor import Tensor, scalar_tensor, wrap

# ---- views -------------------------------------------------------------------------------------


@hot
def make_view(tensor: Tensor, shape, layout, read, *arguments) -> Tensor:
    """A view of `tensor`'s storage, with a layout (`base/windows.py`).

    read: function of a tensor and the arguments that records the view as an operation on its value;
    it gives the view its value and its gradient.
    """
    storage = storage_of(tensor)
    dtype = tensor._node.dtype
    if layout is None and dtype is not storage.dtype:
        layout = (contiguous_strides(shape), 0)
    if storage.pinned is not None and tensor._grad_fn is None:
        view = wrap(unread_node(shape, dtype))
        view._seen = ALWAYS_STALE  # pinned memory is the CPU's
    elif not shape and tensor._grad_fn is None and is_known(storage):
        # An element of what is computed is mostly asked for as a number, which needs no tape.
        view = wrap(unread_node(shape, dtype))
        view._seen = stale_since(storage.stamp)
    else:
        view = read(tensor, *arguments)
        if tensor._layout is not None:
            strides = contiguous_strides(shape) if layout is None else layout[0]
            if view._node.step.shown != strides:
                view = checked(view, strides)
        node = view._node
        if node.home is None:
            node.home = (storage.writes, storage.version)
        view._seen = storage.stamp if storage.pinned is None else stale_since(storage.stamp)
    view._storage = storage
    view._layout = layout
    if local.tape.grad_enabled:
        view._base = root_of(tensor)
    return view


@hot
def is_known(storage: Storage) -> bool:
    """Whether a storage's elements lie in an array of its own, in the memory's order."""
    tape = local.tape
    if storage.pinned is not None or storage.layout is not None:
        return False
    unobserved = tape.transforms is None and tape.recorder is None
    return unobserved and storage.value.value.__class__ is np.ndarray


@hot
def known_element(tensor: Tensor):
    """The array of one element that a view of a known storage shows; None where it is none."""
    storage, layout = tensor._storage, tensor._layout
    if storage is None or layout is None or not is_known(storage):
        return None
    if tensor._node.dtype is not storage.dtype:
        return None
    offset: int = layout[1]
    return storage.value.value.reshape(-1)[offset : offset + 1]


@hot
def unread_view(tensor: Tensor, shape, layout) -> Tensor:
    """A view that will only be written: its present value is not recorded."""
    storage = storage_of(tensor)
    dtype = tensor._node.dtype
    if layout is None and dtype is not storage.dtype:
        layout = (contiguous_strides(shape), 0)
    view = wrap(unread_node(shape, dtype, storage.value.step.device))
    view._storage = storage
    view._seen = ALWAYS_STALE
    view._layout = layout
    if local.tape.grad_enabled:
        view._base = root_of(tensor)
    return view


def storage_with_history(tensor: Tensor) -> Tensor:
    """All of the storage's elements, with the history of those that `tensor`'s base shows."""
    storage = storage_of(tensor)
    base = root_of(tensor)
    if base._seen != storage.stamp:
        refresh(base)
    whole = base if covers_storage(base) else _flat_with_history(base)
    return elements_as(whole, tensor._node.dtype)


def window_of_storage(tensor: Tensor, shape, strides, offset: int) -> Tensor:
    """A view of any window of the tensor's storage (`as_strided`)."""
    shape = tuple(shape)

    def read(_: Tensor) -> Tensor:
        # As PyTorch: gradients reach what the tensor itself shows, until a write through the base.
        whole = _flat_with_history(tensor) if tensor._layout is not None else tensor
        found = read_strided(whole, shape, strides, offset)
        return reshape(found, shape) if found is whole else found

    if storage_of(tensor).stamp != tensor._seen:
        refresh(tensor)
    root = root_of(tensor)
    if root._node.dtype is not tensor._node.dtype:
        return make_view(tensor, shape, (tuple(strides), offset), read)
    layout = layout_of(storage_of(root).size, shape, strides, offset)
    return make_view(root, shape, layout, read)


@hot
def root_of(tensor: Tensor) -> Tensor:
    """The tensor at the end of the chain of bases; the tensor itself if it is no view.

    The chain is longer than one link only where a base became a view of itself later (`t_`).
    """
    while tensor._base is not None:
        tensor = tensor._base
    return tensor


def become_own_view(tensor: Tensor, function, args, kwargs) -> None:
    """Apply a view function to the tensor itself (`t_`): what it was lives on as its base."""
    storage_of(tensor)
    former = wrap(tensor._node)
    _adopt(former, tensor)
    former._base = tensor._base
    _adopt(tensor, function(former, *args, **kwargs))
    tensor._base = former


def _adopt(tensor: Tensor, source: Tensor) -> None:
    tensor._node = source._node
    tensor._storage = source._storage
    tensor._seen = source._seen
    tensor._layout = source._layout
    tensor._grad_fn = source._grad_fn


@hot
def alias_without_grad(tensor: Tensor) -> Tensor:
    """A tensor on the same memory that autograd does not follow (`detach`)."""
    storage = storage_of(tensor)
    if storage.stamp != tensor._seen and storage.pinned is None:
        refresh(tensor)
    transforms = local.tape.transforms
    if transforms is not None and transforms.level_of((tensor,)) is not None:
        return transforms.detached(tensor)
    view = wrap(tensor._node)
    view._storage = storage
    view._seen = tensor._seen
    view._layout = tensor._layout
    return view


def read_strided(source: Tensor, shape, strides, offset: int) -> Tensor:
    """Record reading a strided window of `source`'s row-major elements."""
    shape, strides = tuple(shape), tuple(strides)
    if offset == 0 and numel(shape) == numel(source._node.shape):
        if is_contiguous(shape, strides):
            return source if shape == source._node.shape else reshape(source, shape)
    return strided_read(source, scalar_tensor(offset, int64), shape, strides)


@hot
def refresh(tensor: Tensor) -> None:
    """Make a stale tensor's node show its storage's present content."""
    storage = tensor._storage
    if storage.pinned is not None and not reclaim(storage):
        _refresh_shared(tensor)
        return
    if tensor._base is not None and not has_present_history(tensor):
        fresh = _read_with_history(root_of(tensor), tensor)
        former = tensor._grad_fn
        tensor._grad_fn = fresh._grad_fn
        move_retained(tensor, former)
    elif tensor._layout is not None and holds_value(tensor):
        fresh = wrap(storage.value)
    else:
        fresh = _read_without_grad(storage, tensor)
    tensor._node = fresh._node
    if tensor._node.home is None:
        tensor._node.home = (storage.writes, storage.version)
    tensor._seen = storage.stamp


@hot
def holds_value(tensor: Tensor) -> bool:
    """Whether the storage's value has just the tensor's elements, in row-major order."""
    storage = tensor._storage
    layout = tensor._layout
    if layout is None or storage.layout is None:
        return layout is storage.layout
    node = tensor._node
    if node.dtype is not storage.dtype:
        return False
    return layout == storage.layout and node.shape == storage.value.shape


@hot
def current_edge(tensor: Tensor):
    """What backward continues with at the tensor, after writes to its memory are noticed."""
    if tensor._base is not None and not has_present_history(tensor):
        refresh(tensor)
    return tensor._grad_fn


def _refresh_shared(tensor: Tensor) -> None:
    """The same for memory shared with the outside: a snapshot, since it may change unseen."""
    storage = tensor._storage
    node = _snapshot(tensor)
    root = root_of(tensor)
    # What is written outside is not part of any history, only what was written here.
    if root is not tensor and root._grad_fn is not None and not has_present_history(tensor):
        former = tensor._grad_fn
        tensor._grad_fn = _read_with_history(root, tensor)._grad_fn
        move_retained(tensor, former)
    tensor._node = node
    tensor._seen = stale_since(storage.stamp)


def _read_with_history(base: Tensor, view: Tensor) -> Tensor:
    """The view's elements, as an operation on its base.

    Recorded with gradients even inside no_grad: only the moment of reading falls there, the view
    itself was made outside.
    """
    tape = local.tape
    enabled = tape.grad_enabled
    tape.grad_enabled = True
    try:
        if base._seen != base._storage.stamp:
            refresh(base)
        source = base if covers_storage(base) else _flat_with_history(base)
        source = elements_as(source, view._node.dtype)
        shape = view._node.shape
        fresh = read_strided(source, shape, *_layout(view))
        # A view of everything is a tensor of its own in the graph, not its base once more.
        return reshape(base, shape) if fresh is base else fresh
    finally:
        tape.grad_enabled = enabled


@hot
def _layout(tensor: Tensor):
    if tensor._layout is None:
        return contiguous_strides(tensor._node.shape), 0
    return tensor._layout


def _read_without_grad(storage: Storage, tensor: Tensor) -> Tensor:
    tape = local.tape
    enabled = tape.grad_enabled
    tape.grad_enabled = False
    try:
        content = elements_as(wrap(content_of(storage)), tensor._node.dtype)
        return read_strided(content, tensor._node.shape, *_layout(tensor))
    finally:
        tape.grad_enabled = enabled


def _flat_with_history(base: Tensor) -> Tensor:
    """All of the storage, carrying `base`'s gradient at the elements `base` shows, in its dtype."""
    if base._layout is not None and shows_all(base):
        return permute(base, axes_in_memory(base))
    content = elements_as(wrap(content_of(base._storage)), base._node.dtype)
    strides, offset = _layout(base)
    return strided_write(content, base, scalar_tensor(offset, int64), base._node.shape, strides)


def content_of(storage: Storage) -> Node:
    """A node with all of the storage's present elements, in the order of memory."""
    if storage.pinned is not None:
        return leaf_node(np.array(storage.pinned), storage.dtype)
    return _value_in_order(storage)


def _value_in_order(storage: Storage) -> Node:
    layout = storage.layout
    if layout is None:
        return storage.value
    order = order_of(storage.value.shape, layout[0])
    if order is None:
        return storage.value
    tape = local.tape
    enabled = tape.grad_enabled
    tape.grad_enabled = False
    try:
        return permute(wrap(storage.value), order.axes)._node
    finally:
        tape.grad_enabled = enabled


def settle(storage: Storage) -> Node:
    """Bring the storage's value into memory's order; returns it."""
    if storage.layout is not None:
        storage.value = _value_in_order(storage)
        storage.layout = None
    return storage.value


def _snapshot(tensor: Tensor) -> Node:
    """A leaf with the present content of pinned memory, as this tensor shows it."""
    node = leaf_node(np.array(pinned_window(tensor), order="C"), tensor._node.dtype)
    if tensor._layout is not None:
        order = order_of(node.shape, tensor._layout[0])
        if order is not None:
            node.step = leaf_spec(BUFFER, node.shape, node.dtype, node.step.device, order)
    node.home = (tensor._storage.writes, tensor._storage.version)
    return node


def pinned_window(tensor: Tensor):
    """The ndarray (a view) that shows this tensor's elements in its pinned storage."""
    buffer = tensor._storage.pinned
    kind = tensor._node.dtype.numpy
    if buffer.dtype != kind:
        buffer = buffer[: buffer.nbytes // kind.itemsize * kind.itemsize // buffer.itemsize]
        buffer = buffer.view(kind)
    strides, offset = _layout(tensor)
    itemsize = buffer.dtype.itemsize
    return np.lib.stride_tricks.as_strided(
        buffer[offset:], tensor._node.shape, tuple(s * itemsize for s in strides)
    )


def pin(tensor: Tensor):
    """Hand out the tensor's memory: materialise it, and return the ndarray that shares it."""
    storage = storage_of(tensor)
    if storage.pinned is None:
        if storage.stamp != tensor._seen:
            refresh(tensor)
        array = materialise(settle(storage))
        # The node's own array stays untouched by later outside writes: others may still read it.
        # The copy owns its memory, so everything outside refers to this very object.
        storage.pinned = np.array(array.reshape(-1))
        storage.lent = True
        storage.stamp += 1
        tensor._seen = stale_since(storage.stamp)
    return pinned_window(tensor)


# ---- writes --------------------------------------------------------------------------------------


@hot
def check_writable(tensor: Tensor, *, uniform: bool = False) -> None:
    """Raise PyTorch's errors for tensors that cannot be written in place.

    uniform: one value goes everywhere, so that elements sharing memory do no harm.
    """
    edge = tensor._grad_fn
    if local.tape.grad_enabled and edge is not None:
        if type(edge) is AccumulateGrad:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        if type(edge) is not GradNode:
            refuse_view_of_function(edge)
    base = root_of(tensor)
    if local.tape.grad_enabled and base is not tensor:
        edge = base._grad_fn
        if type(edge) is AccumulateGrad:
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place "
                "operation."
            )
        if edge is not None and type(edge) is not GradNode:
            refuse_view_of_function(edge)
    if not uniform and tensor._layout is not None:
        refuse_overlap(tensor._node.shape, tensor._layout[0])


def refuse_overlap(size, strides) -> None:
    """Raise PyTorch's error for a window in which elements share memory: none may be written."""
    if has_overlap(size, strides):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )


def brought(tensor: Tensor, new: Tensor) -> Tensor:
    """What is written, on the device of the target."""
    target, source = tensor._node.step.device, new._node.step.device
    if META in (target, source):
        return without_data(tensor, new)
    stays = target is ANYWHERE or not placing.begun
    return new if stays else to_device(new, target, source)


def without_data(tensor: Tensor, new: Tensor) -> Tensor:
    """What is written where target or source is on the meta device: no data.

    Raises: NotImplementedError if the target has data.
    """
    if tensor._node.step.device is not META:
        raise NO_DATA.cause
    empty = wrap(meta_node(new._node.shape, new._node.dtype))
    empty._grad_fn = new._grad_fn
    return empty


@hot
def write(tensor: Tensor, new: Tensor, *, uniform: bool = False) -> Tensor:
    """In-place write: every alias of `tensor` shows `new` from now on.  Returns `tensor`.

    new: the result of an operation, of `tensor`'s shape and dtype; nobody else may go on using it
        as a tensor (copy it first).
    uniform: `new` has one value everywhere; see `check_writable`.
    """
    check_writable(tensor, uniform=uniform)
    if new._node.step.device is not tensor._node.step.device:
        new = brought(tensor, new)
    storage = storage_of(tensor)
    if storage.pinned is not None:
        reclaim(storage)
    tape = local.tape
    base = root_of(tensor)
    outdated = base is not tensor and not has_present_history(tensor)
    follows = tape.grad_enabled and (new._grad_fn is not None or base._grad_fn is not None)
    if storage.pinned is not None and not follows:
        if new._storage is not None and new._storage.stamp != new._seen:
            refresh(new)  # a tensor, not a result: `copy_` of one that is out of date
        _write_pinned(tensor, new)
        tensor._seen = ALWAYS_STALE if outdated else stale_since(storage.stamp)
        return tensor
    node = new._node
    if node.__class__ is not Node and node.take_write(tensor, new):  # type: ignore[attr-defined]
        return tensor
    if new._storage is not None or node.home is not None or type(new._grad_fn) is AccumulateGrad:
        # The value already stands for a tensor of its own: one with aliases, or a leaf.
        new = copy(new)
        node = new._node
    layout = tensor._layout
    if layout is None:
        if node.step.order is not None and lies_otherwise(node, None):
            new = laid_out(new, None)
            node = new._node
    elif node.step.shown != layout[0]:
        new = checked(new, layout[0])
        node = new._node
    if storage.pinned is not None:
        storage.value = leaf_node(np.array(storage.pinned), storage.dtype)
        storage.layout = None
    old = storage.value
    if old.value is not None:
        tape.undo.append((storage, old, storage.layout))
        tape.armed = True
    if base is tensor or not follows:
        _replace(storage, tensor, new)
        if follows:
            _take_edge(tensor, new)
    else:
        replace_through_base(storage, base, tensor, new)
    node.home = (storage.writes, storage.version)
    tensor._node = node
    # A view that was out of date takes its history from its base again, at the next read.
    tensor._seen = ALWAYS_STALE if outdated and not follows else storage.stamp
    if storage.pinned is not None:
        _copy_out(storage)
        tensor._seen = base._seen = stale_since(storage.stamp)
    return tensor


@hot
def _take_edge(tensor: Tensor, new: Tensor) -> None:
    """Give a tensor that was written the history of what was written."""
    former = tensor._grad_fn
    if new._grad_fn is not None or former is None:
        tensor._grad_fn = new._grad_fn
    else:
        tensor._grad_fn = Overwrite(former)
    move_retained(tensor, former)


@hot
def _replace(storage: Storage, tensor: Tensor, new: Tensor) -> None:
    layout = tensor._layout
    if layout is None or layout is storage.layout or shows_all(tensor):
        storage.value = new._node
        storage.layout = layout
    else:
        strides, offset = tensor._layout
        tape = local.tape
        enabled = tape.grad_enabled
        tape.grad_enabled = False
        try:
            former = wrap(content_of(storage))
            content = elements_as(former, new._node.dtype)
            content = strided_write(
                content, new, scalar_tensor(offset, int64), new._node.shape, strides
            )
            if new._node.dtype is not storage.dtype:
                content = written_back(content, former)
        finally:
            tape.grad_enabled = enabled
        storage.value = content._node
        storage.layout = None
    storage.touch()


def replace_through_base(
    storage: Storage, base: Tensor, tensor: Tensor, new: Tensor, *, counts: bool = True
) -> None:
    """Write a view so that its base's history contains the write.

    counts: whether this is a write of its own, and not one that was counted before.
    """
    if base._seen != storage.stamp:
        refresh(base)
    strides, offset = _layout(tensor)
    whole = base if covers_storage(base) else _flat_with_history(base)
    content = elements_as(whole, new._node.dtype)
    content = strided_write(content, new, scalar_tensor(offset, int64), new._node.shape, strides)
    if content._node.dtype is not whole._node.dtype:
        content = written_back(content, whole)
    if counts:
        storage.touch()
    else:
        storage.history_changed()
    storage.value = content._node
    storage.layout = None
    if covers_storage(base):
        fresh = content
        if content._node.shape != base._node.shape:
            fresh = reshape(content, base._node.shape)
    else:
        base_strides, base_offset = base._layout
        fresh = read_strided(content, base._node.shape, base_strides, base_offset)
    named(fresh, "torch::autograd::CopySlices")
    base._node = fresh._node
    base._node.home = (storage.writes, storage.version)
    _take_edge(base, fresh)
    base._seen = storage.stamp
    _take_edge(tensor, new)


def _write_pinned(tensor: Tensor, new: Tensor) -> None:
    value = materialise(new._node, "write to shared memory")
    np.copyto(pinned_window(tensor), value)
    tensor._storage.touch()


def _copy_out(storage: Storage) -> None:
    """Bring pinned memory up to date after a write that autograd follows."""
    np.copyto(storage.pinned, materialise(settle(storage), "write to shared memory").reshape(-1))
