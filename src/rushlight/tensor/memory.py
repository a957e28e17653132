"""Storage: memory that several tensors may see, and how a tensor says which part of it is its own.

`storage.py` makes views of it and writes to it.  Level 10.
"""

from __future__ import annotations

from rushlight.base.hot import hot
from rushlight.base.orders import Order, order_of, strides_in
from rushlight.base.shapes import numel
from rushlight.tape.node import Node
from rushlight.tensor.tensor import Tensor

# Values of `_seen` that no stamp equals: a view that never took its value from the storage, and
# (`stale_since`) a tensor on memory shared with the outside, which may change unseen.
ALWAYS_STALE = -1


@hot
class Writes:
    """How often a storage was written in place, as autograd and the user see it."""

    __slots__ = ("version",)

    @hot
    def __init__(self) -> None:
        self.version = 0


@hot
class Storage:
    """Memory that several tensors may see.

    value: node with the content.  Its row-major elements are the memory's (its shape does not
        matter), unless there is a `layout`.
    layout: that of a tensor with gaps nowhere whose elements `value` has, in that tensor's shape:
        the memory has them in the order of these strides.  None: `value` is in memory's order.
    writes: their count, in an object of its own: a node that refers to it does not keep the
        storage, whose value it may be, in a cycle that only the garbage collector would find.
    stamp: changes whenever tensors on this storage must be read again; compared with `_seen`.
    written: the stamp of the last write; a tensor seen before it must read its history again too.
    pinned: the flat ndarray shared with the outside, or None.
    lent: whether `pinned` may become the storage's own when nobody outside holds it.
    """

    __slots__ = (
        "value", "writes", "stamp", "written", "dtype", "size", "pinned", "lent", "layout",
        "__weakref__",
    )  # fmt: skip

    def __init__(self, value: Node, dtype, size: int, pinned=None) -> None:
        self.value = value
        self.writes = Writes()
        self.stamp = 0
        self.written = 0
        self.dtype = dtype
        self.size = size
        self.pinned = pinned
        self.lent = False
        self.layout: tuple | None = None

    @property
    @hot
    def version(self) -> int:
        """Number of in-place writes."""
        return self.writes.version

    def restore(self, value: Node, layout: tuple | None) -> None:
        """Take back writes that failed: every tensor reads `value` again."""
        self.value = value
        self.layout = layout
        self.history_changed()

    def history_changed(self) -> None:
        """Let every tensor read value and history again, although nothing new was written."""
        self.stamp += 1
        self.written = self.stamp

    @hot
    def touch(self) -> None:
        """Note a write."""
        self.writes.version += 1
        self.stamp += 1
        self.written = self.stamp


def stale_since(stamp: int) -> int:
    """`_seen` of a tensor whose history is that of `stamp` and whose value must be read again."""
    return -2 - stamp


@hot
def has_present_history(tensor: Tensor) -> bool:
    """Whether nothing was written since the tensor took its history from its base."""
    seen = tensor._seen
    return (seen if seen >= 0 else -2 - seen) >= tensor._storage.written


@hot
def storage_of(tensor: Tensor) -> Storage:
    """The tensor's storage, made at first need."""
    storage = tensor._storage
    if storage is None:
        node = tensor._node
        storage = Storage(node, node.dtype, numel(node.shape))
        if node.home is None:
            node.home = (storage.writes, 0)
        order = node.step.order
        if order is not None:
            storage.layout = tensor._layout = (strides_in(node.shape, order), 0)
        tensor._storage = storage
        tensor._seen = 0
    return storage


@hot
def covers_storage(tensor: Tensor) -> bool:
    """Whether the tensor's elements, in row-major order, are all of the memory's."""
    return tensor._layout is None


def shows_all(tensor: Tensor) -> bool:
    """Whether the tensor's elements, in any order, are all of the memory's."""
    layout = tensor._layout
    if layout is None:
        return True
    storage, shape = tensor._storage, tensor._node.shape
    if layout[1] != 0 or numel(shape) != storage.size or tensor._node.dtype is not storage.dtype:
        return False
    order = order_of(shape, layout[0])
    return order is None or order.dense


def order_in_memory(tensor: Tensor) -> Order | None:
    """How the tensor's axes lie in memory, whatever its value says."""
    layout = tensor._layout
    if layout is not None:
        return order_of(tensor._node.shape, layout[0])
    return tensor._node.step.order if tensor._storage is None else None


def axes_in_memory(tensor: Tensor) -> tuple[int, ...]:
    """The axes from the one whose neighbors are farthest apart in memory to the nearest."""
    order = order_in_memory(tensor)
    return tuple(range(len(tensor._node.shape))) if order is None else order.axes


@hot
def is_plain(tensor: Tensor) -> bool:
    """Whether the tensor's elements lie in row-major order from the beginning of its memory on."""
    if tensor._layout is not None:
        return False
    return tensor._storage is not None or tensor._node.step.order is None
