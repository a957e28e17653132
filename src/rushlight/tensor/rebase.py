"""A tensor that foreign code wrote in place: its history, and that of what shares its memory.

In: a tensor whose memory was written outside autograd, and the edge of the node that stands for
the write.  Out: the tensor, its base and all other views with that node in their histories.
Level 10.
"""

from __future__ import annotations

from typing import Any

from rushlight.tensor.graph import move_retained
from rushlight.tensor.memory import stale_since, storage_of
from rushlight.tensor.storage import replace_through_base, root_of
from rushlight.tensor.tensor import Tensor, wrap


def adopt_history(tensor: Tensor, edge: Any) -> None:
    """Let `tensor`, as it is now, be what `edge` leads back to; the version stays.

    The write itself was counted when it was done.  Views of the same memory notice at their next
    use that their base has a new history.
    """
    storage = storage_of(tensor)
    base = root_of(tensor)
    if base is tensor:
        current = storage.stamp == tensor._seen
        former = tensor._grad_fn
        tensor._grad_fn = edge
        move_retained(tensor, former)
        storage.history_changed()
        tensor._seen = storage.stamp if current else stale_since(storage.stamp)
        return
    written = wrap(tensor._node)
    written._grad_fn = edge
    replace_through_base(storage, base, tensor, written, counts=False)
    tensor._seen = storage.stamp
    if storage.pinned is not None:
        tensor._seen = base._seen = stale_since(storage.stamp)
