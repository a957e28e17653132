"""Node: one immutable value of a tape, recorded or materialised.

A node is created for each recorded operation and for each buffer that enters a tape (a leaf).  It
starts pending (`value is None`), and a flush gives it an array or drops it.  It names no tensor and
no gradient: aliasing and autograd live above, in `tensor/`.  Level 1.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot

# Each segment of each tape numbers its nodes in a range of its own, so that one integer tells
# both the segment and the slot, and two threads that share a leaf cannot confuse their slots.
SEGMENT_RANGE = 1 << 20
NO_ADDRESS = -1


@hot
class Node:
    """One value.

    step: how it was recorded (`memo.Step`), or the leaf specification of a materialised value.
    inputs: nodes it was computed from; emptied when the value is materialised.  The segment itself
        for an operation of a block (`tape/block.py`) until it is expanded.
    address: start of the segment's range plus the slot; NO_ADDRESS before it is on any tape.
    value: None while pending, then a row-major ndarray, or FlushFailed.
    pointer: address of the value's memory once machine code asked for it; unset before.
    home: (count of writes, version) the value stood for when it belonged to a storage, else None;
        lets backward notice that a saved value was overwritten in place.
    """

    __slots__ = (
        "step", "inputs", "address", "shape", "dtype", "value", "home", "pointer",
        "__weakref__",
    )  # fmt: skip

    step: Any
    inputs: Any
    address: int
    shape: tuple[int, ...]
    dtype: Any
    value: Any
    home: Any

    def describe(self, step: Any, shape: tuple, dtype: Any) -> None:
        """Become the node of a value that is known by its step, shape and dtype alone."""
        self.step = step
        self.inputs = ()
        self.address = NO_ADDRESS
        self.shape = shape
        self.dtype = dtype
        self.value = None
        self.home = None

    @property
    def device(self):
        return self.step.device

    @property
    def primitive(self):
        return self.step.primitive

    def __repr__(self) -> str:
        state = "pending" if self.value is None else "materialised"
        return f"<Node {self.step.primitive} {self.dtype} {list(self.shape)} {state}>"


def _make_hole() -> Node:
    hole = Node()
    hole.step = None
    hole.inputs = ()
    hole.address = NO_ADDRESS
    hole.shape = ()
    hole.dtype = None
    hole.value = Ellipsis
    hole.home = None
    return hole


# Stands on a tape for an operation of a replayed block that nothing outside the block refers to
# (`tape/block.py`).  It has a value, so that it counts as not pending; nobody reads it.
HOLE = _make_hole()
