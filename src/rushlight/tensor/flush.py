"""When a tape is executed on request: at step ends, on synchronize, and for a value.  Level 10."""

from __future__ import annotations

from rushlight.base.hot import hot
from rushlight.tape.node import Node
from rushlight.tape.tape import Tape, local, materialise
from rushlight.tensor.memory import Storage, order_in_memory, storage_of
from rushlight.tensor.storage import pinned_window, refresh, write
from rushlight.tensor.tensor import Tensor


@hot
def step_end() -> None:
    """An optimizer's step is complete: forward, backward and update are one segment."""
    local.tape.flush("optimizer step")


def synchronize() -> None:
    """Compute everything this thread has recorded; for timing."""
    local.tape.flush("synchronize")


def current_array(tensor: Tensor):
    """The tensor's row-major array in storage form, computed now; not to be written to.

    For pinned memory, the shared memory itself.
    """
    storage = tensor._storage
    if storage is not None:
        if storage.pinned is not None:
            return pinned_window(tensor)
        if storage.stamp != tensor._seen:
            refresh(tensor)
    return materialise(tensor._node)


def assign_value(tensor: Tensor, new: Tensor) -> None:
    """Replace a whole tensor's value in place, outside autograd: what optimizers do.

    new: the fresh result of an operation, of the same shape and dtype; nothing is checked.
    """
    storage = tensor._storage
    if storage is None:
        storage = storage_of(tensor)
    layout = tensor._layout
    order = new._node.step.order
    plain = layout is None and order is None and storage.layout is None
    own = new._node.__class__ is not Node  # which its class, or a transform, writes
    if storage.pinned is not None or own or not (plain or _lies_as(tensor, storage, order)):
        write(tensor, new)
    else:
        assign_node(tensor, storage, new._node, local.tape)


def _lies_as(tensor: Tensor, storage: Storage, order) -> bool:
    """Whether a value of this order may take the place of the storage's, which is the tensor's."""
    return order is not None and tensor._layout is storage.layout and (
        order == order_in_memory(tensor)
    )  # fmt: skip


def assign_node(tensor: Tensor, storage: Storage, node: Node, tape: Tape) -> None:
    """The same for a tensor whose elements are the storage's value; it is not pinned."""
    old = storage.value
    if old.value is not None:
        tape.undo.append((storage, old, storage.layout))
        tape.armed = True
    storage.value = node
    writes = storage.writes
    writes.version += 1
    storage.stamp += 1
    storage.written = storage.stamp
    node.home = (writes, writes.version)
    tensor._node = node
    tensor._seen = storage.stamp


@hot
def assign_nodes(tensors: list[Tensor], nodes: list[Node], tape: Tape) -> None:
    """`assign_node` for tensors that have storages; written out, as it runs for each parameter."""
    undo = tape.undo
    for tensor, node in zip(tensors, nodes):
        storage = tensor._storage
        assert storage is not None
        old = storage.value
        if old.value is not None:
            undo.append((storage, old, storage.layout))
        storage.value = node
        writes = storage.writes
        writes.version = version = writes.version + 1
        storage.stamp = stamp = storage.stamp + 1
        storage.written = stamp
        node.home = (writes, version)
        tensor._node = node
        tensor._seen = stamp
    tape.armed = True


Tensor._materialize = current_array
Tensor._assign_value = assign_value


def cut_program(reason: str) -> None:
    """Runs what this thread has recorded, so that what follows is a program of its own."""
    local.tape.flush(reason)
