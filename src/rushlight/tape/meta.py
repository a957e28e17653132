"""Values without data: nodes on the meta device, which have a shape and a dtype and nothing else.

In: shape and dtype.  Out: a node whose every read raises.  Operations on one are recorded like any
other, which infers and checks their results; a flush computes none of them.  Level 1.
"""

from __future__ import annotations

from rushlight.base.device import META
from rushlight.base.errors import FlushFailed
from rushlight.base.orders import Order
from rushlight.tape.block import Segment
from rushlight.tape.memo import BUFFER, leaf_spec
from rushlight.tape.node import NO_ADDRESS, Node

# In the place of the array of every such node.
NO_DATA = FlushFailed(NotImplementedError("Cannot copy out of meta tensor; no data!"))


class _Use:
    """Whether this process has made such a node: tapes are searched for them only then."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


use = _Use()


def meta_node(shape: tuple[int, ...], dtype) -> Node:
    """A node without data."""
    use.begun = True
    node = Node()
    node.inputs = ()
    node.address = NO_ADDRESS
    node.shape = shape
    node.dtype = dtype
    node.home = None
    _empty(node)
    return node


def _empty(node: Node, order: Order | None = None) -> None:
    node.step = leaf_spec(BUFFER, node.shape, node.dtype, META, order)
    node.inputs = ()
    node.value = NO_DATA


def settle(nodes: Segment) -> None:
    """Before a flush: what depends on values without data has none either."""
    if any(node.step.device is META for node in nodes if node.step is not None):
        nodes.expand()
        for node in nodes:
            if node.value is None and node.step.device is META:
                _empty(node, node.step.order)
