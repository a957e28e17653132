"""Replaying backward: the same graph at the same memo position records the same operations.

The key of a backward lists all it depends on: each node's memo step, how the nodes are connected,
where on the tape the saved values lie, and whether leaves have a gradient already.  Hooks, custom
functions and gradients that are followed themselves are left to the ordinary walk of
`tensor/autodiff.py`.  Level 10.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.tape.block import Block, block_since
from rushlight.tape.memo import Step
from rushlight.tape.node import HOLE, SEGMENT_RANGE
from rushlight.tape.resized import Resized, block_sizes, note_block, resized_block
from rushlight.tensor.graph import RELEASED, AccumulateGrad, BlockGrad, GradNode, OutputOf
from rushlight.tensor.memory import order_in_memory
from rushlight.tensor.pieces import Cut
from rushlight.tensor.storage import refresh, write
from rushlight.tensor.tensor import Tensor, wrap

# Marks in keys; memo steps and slots stand for themselves.
_NO_EDGE, _OUTPUT, _DEAD, _FRESH, _ACCUMULATED = "-", "out", "dead", "fresh", "add"


@hot
class BackwardCall:
    """One backward whose graph has a key.

    nodes: the graph's nodes, the root first.  key: see the module docstring.
    form_key, sizes: what the key says apart from sizes, and all sizes that the graph refers to;
        set where the key is not known.
    start, base, position: where the tape stood before anything was recorded.
    """

    __slots__ = ("nodes", "key", "start", "base", "position", "form_key", "sizes")

    @hot
    def __init__(self, nodes: list, key: tuple, tape) -> None:
        self.nodes = nodes
        self.key = key
        self.start = len(tape.nodes)
        self.base = tape.base
        self.position = tape.step

    @hot
    def known(self, tape) -> Block | None:
        """The block of this backward, if it was recorded here before, for these sizes or others."""
        blocks = self.position.blocks
        found = None if blocks is None else blocks.get(self.key)
        if found is None:
            self.form_key = self._without_sizes()
            self.sizes = self._sizes()
            found = resized_block(tape, self.key, self.form_key, self.sizes)
        return found

    def _without_sizes(self) -> tuple:
        parts: list[Any] = [len(self.key[0])]
        for part in self.key[1:]:
            kind = part.__class__
            if kind is Step or kind is Cut:
                part = part.form
            elif kind is Block or kind is Resized:
                part = part.origin or part
            parts.append(part)
        return tuple(parts)

    def _sizes(self) -> tuple[int, ...]:
        sizes: list[int] = list(self.key[0])
        for node in self.nodes:
            kind = node.__class__
            if kind is AccumulateGrad:
                tensor = node.tensor()
                sizes += () if tensor is None else tensor._node.shape
                continue
            if kind is BlockGrad:
                sizes += block_sizes(node.block)
            else:
                step = node.step
                sizes += step.sizes
                for operand in step.operands:
                    sizes += operand.shape
            for kept in node.saved or ():
                if kept is not None:
                    sizes += kept.shape
        return tuple(sizes)

    @hot
    def replay(self, block: Block, tape, retain_graph: bool) -> None:
        """Do what running the graph would do."""
        nodes = block.put_on(tape)
        for accumulate, (slot, step) in zip(self._live_leaves(), block.outputs):
            tensor = accumulate.tensor()
            cotangent = wrap(nodes.result(slot, step))
            if tensor._grad is None:
                tensor._grad = cotangent
            else:
                write(tensor._grad, cotangent)
        if not retain_graph:
            for node in self.nodes:
                if node.__class__ is BlockGrad:
                    node.release()
                elif node.__class__ is not AccumulateGrad and node.saved is not None:
                    node.saved = RELEASED
        tape.armed = tape.training = True

    @hot
    def _live_leaves(self) -> list:
        return [
            node
            for node in self.nodes
            if node.__class__ is AccumulateGrad and node.tensor() is not None
        ]

    def remember(self, tape) -> None:
        """Keep what the ordinary walk has just recorded."""
        block = block_since(tape, self.start, self.base)
        if block is None:
            return
        results = []
        for accumulate in self._live_leaves():
            tensor = accumulate.tensor()
            if tensor is None or tensor._grad is None:
                return
            node = tensor._grad._node
            slot = node.address - self.base
            # A number that every replay shares must not become a tensor that can be written to.
            if not self.start <= slot < len(tape.nodes) or node.value is not None:
                return
            results.append((slot, node.step))
        block.outputs = tuple(results)
        note_block(self.position, self.key, self.form_key, block, self.sizes)


@hot
def backward_call(tape, root: Any, tensor: Tensor) -> BackwardCall | None:
    """The backward from `tensor`, whose edge is `root`; None if it can only be walked."""
    if root.__class__ is not GradNode and root.__class__ is not BlockGrad:
        if not isinstance(root, GradNode):  # one that somebody looked at: see `graph.shown`
            return None
    if root.__class__ is BlockGrad and root.inner is not None:
        root = root.inner
    order: list = [root]
    places: dict[Any, int] = {root: 0}
    key: list = [tensor._node.shape]
    base: int = tape.base
    for node in order:
        kind = node.__class__
        if node.extra is not None:
            return None
        if kind is AccumulateGrad:
            if not _describe_leaf(node, key, tape):
                return None
            continue
        if kind is GradNode:
            key.append(node.step)
        elif kind is BlockGrad:
            key.append(node.block)
        elif isinstance(node, GradNode):
            key.append(node.step)
        else:
            return None
        saved = node.saved
        if saved is not None:
            if saved is RELEASED:
                return None
            for kept in saved:
                if kept is not None:
                    home = kept.home
                    if home is not None and home[0].version != home[1]:
                        return None
                    slot: int = kept.address - base
                    if not 0 <= slot < SEGMENT_RANGE:
                        slot = tape.leaf(kept)
                    key.append(slot)
        for edge in node.edges:
            if edge is None:
                key.append(_NO_EDGE)
                continue
            if edge.__class__ is OutputOf:
                key.append((_OUTPUT, edge.index))
                edge = edge.node
            elif edge.__class__ is BlockGrad and edge.inner is not None:
                edge = edge.inner
            place = places.get(edge)
            if place is None:
                place = places[edge] = len(order)
                order.append(edge)
            key.append(place)
    return BackwardCall(order, tuple(key), tape)


@hot
def _describe_leaf(node: AccumulateGrad, key: list, tape) -> bool:
    """Say in the key what a leaf's gradient is now; False if adding to it needs the walk."""
    tensor = node.tensor()
    if tensor is None:
        key.append(_DEAD)
        return True
    gradient = tensor._grad
    if gradient is None:
        if tensor._layout is None and tensor._node.step.order is None:
            key.append(_FRESH)
        else:
            key.append((_FRESH, order_in_memory(tensor)))
        return True
    storage = gradient._storage
    if storage is not None:
        if (
            storage.pinned is not None
            or gradient._layout is not storage.layout
            or gradient._base is not None
        ):
            return False
        if storage.stamp != gradient._seen:
            refresh(gradient)
    if gradient._grad_fn is not None or gradient.__class__ is not Tensor:
        return False
    value = gradient._node
    base: int = tape.base
    slot: int = value.address - base
    if not 0 <= slot < SEGMENT_RANGE:
        slot = tape.leaf(value)
    key.append((_ACCUMULATED, slot))
    return True


assert HOLE.value is not None  # a hole must not look like a pending result
