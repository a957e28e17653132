"""Block: a stretch of a tape that is put on it again as a whole.

Some calls record the same operations whenever they begin at the same memo position with the same
key: backward over the same graph, an optimizer's update.  Recorded once, one by one, their stretch
is kept; the next time the tape is extended by it in one go, with nodes made only for the results.
The other operations are holes.  Whoever needs them as nodes (a new plan, the reference executor,
a read by another thread) asks the segment to `expand`, after which the tape is as if every
operation had been recorded by itself.  Level 1.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any

from rushlight.base.hot import hot
from rushlight.base.references import ADDED, count_references
from rushlight.base.stats import stats
from rushlight.tape.node import HOLE, SEGMENT_RANGE, Node

# A constant that a block keeps alive may have this many bytes; larger ones are recorded each time.
_LARGEST_CONSTANT = 1 << 12

_new_node = Node.__new__
_expanding = threading.RLock()


def _renew_lock_after_fork() -> None:
    global _expanding
    _expanding = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock_after_fork)


@hot
class Segment(list):
    """The nodes of a tape since its last flush, by slot.

    runs: blocks put on it whose holes are not expanded.
    results: slots of nodes of blocks' operations; they refer to the segment, which refers to them.
    keepers: weak references to objects that need values of this segment; each has `settle()`,
        which is called before a flush decides what is alive.
    """

    __slots__ = ("base", "runs", "results", "keepers")

    @hot
    def __init__(self, base: int) -> None:
        self.base = base
        self.runs: list[Block] = []
        self.results: list[int] = []
        self.keepers: list[Any] = []

    def expand(self) -> None:
        """Make every operation of the replayed blocks a node."""
        if not self.runs:
            return
        with _expanding:
            for block in self.runs:
                self._expand_one(block)
            self.runs.clear()

    def _expand_one(self, block: Block) -> None:
        base = self.base
        slot = block.start
        for step, operands in zip(block.steps, block.operands):
            if operands is not None:
                node = self[slot]
                if node is HOLE:
                    node = self[slot] = pending_node(step, base + slot)
                    node.inputs = self  # until it gets its operands, right below
                elif node.inputs is self:
                    node.step = step  # with its operands, which a result had none of
                # A result that got its value early has no operands any more.
                if node.inputs is self:
                    node.inputs = tuple([self[operand] for operand in operands])
            slot += 1

    @hot
    def result(self, slot: int, step) -> Node:
        """The node of an operation of a block that was put on the tape."""
        node = self[slot]
        if node is HOLE:
            node = self[slot] = pending_node(step, self.base + slot)
            node.inputs = self
            self.results.append(slot)
        return node

    @hot
    def several(self, places: tuple[tuple[int, Any], ...]) -> list[Node]:
        """The same for several (slot, step); written out, since small models wait for it."""
        base = self.base
        found = []
        for slot, step in places:
            node = self[slot]
            if node is HOLE:
                node = self[slot] = _new_node(Node)
                node.step = step
                node.inputs = self
                node.shape = step.shape
                node.dtype = step.dtype
                node.value = None
                node.home = None
                node.address = base + slot
                self.results.append(slot)
            found.append(node)
        return found


def pending_counts(nodes: list[Node]) -> bytes:
    """For each node of a tape how many references there are to it besides the tape's list, at most
    255; 0 for one that is not pending."""
    # Counted before any variable here refers to a node.
    counts = list(map(count_references, nodes))
    return bytes(
        [min(count - ADDED, 255) if node.value is None else 0 for count, node in zip(counts, nodes)]
    )


def expand(nodes: list) -> None:
    """Fill the holes of a tape, if it has any."""
    if nodes.__class__ is Segment:
        nodes.expand()  # type: ignore[attr-defined]


@hot
def pending_node(step, address: int) -> Node:
    """A node of a recorded operation; its inputs are left to the caller."""
    node = _new_node(Node)
    node.step = step
    node.shape = step.shape
    node.dtype = step.dtype
    node.value = None
    node.home = None
    node.address = address
    return node


@hot
class Block:
    """start: slot of the first operation, which the memo position determines.

    steps: memo step of each slot.  operands: for each slot the slots of its operands, None for a
    leaf.  template: for each slot a hole or a constant leaf.  leaves: slots of the leaves that the
    caller brings.  end: memo position afterwards.  outputs: (slot, step) of each value that the
    caller hands out.  about: what else the caller remembers.
    """

    __slots__ = (
        "start", "steps", "operands", "template", "constants", "leaves", "end", "outputs", "about",
        "origin", "sizes",
    )  # fmt: skip

    def __init__(self, start: int, nodes: list, operands: tuple, leaves: tuple, end) -> None:
        self.start = start
        self.steps = tuple([node.step for node in nodes])
        self.template = tuple(
            [
                HOLE if node.value is None or slot in leaves else node
                for slot, node in enumerate(nodes, start)
            ]
        )
        self.constants = tuple(
            [(slot, node) for slot, node in enumerate(self.template, start) if node is not HOLE]
        )
        self.operands = operands
        self.leaves = leaves
        self.end = end
        self.outputs: tuple[tuple[int, Any], ...] = ()
        self.about: Any = None
        self.origin: Any = None
        self.sizes: tuple[int, ...] | None = None

    def own_step(self, step):
        """What takes the place of a step that `about` names."""
        return step

    @hot
    def put_on(
        self, tape, leaves: list[Node] | tuple = (), numbers: Iterable[tuple[int, Node]] = ()
    ) -> Segment:
        """Extend the tape by this block, with these nodes for its leaves.

        numbers: (slot, node) for constants that are others this time.
        """
        nodes = tape.nodes
        nodes.extend(self.template)
        for slot, number in numbers:
            nodes[slot] = number
        base = tape.base
        for slot, leaf in zip(self.leaves, leaves):
            nodes[slot] = leaf
            leaf.address = base + slot
        # What reads a constant later, such as backward, finds it where it was recorded at first.
        for slot, constant in self.constants:
            constant.address = base + slot
        # Last: another thread that reads a pending value may expand what it finds here.
        nodes.runs.append(self)
        tape.step = self.end
        stats.blocks_replayed += 1
        return nodes


def block_since(tape, start: int, base: int, given: list[Node] | tuple = ()) -> Block | None:
    """The block of what was recorded from slot `start` on.

    given: leaves that the caller will bring at each replay; others are constants.
    None where it may not be replayed: a flush came in between, another block was replayed, or a
    large constant entered.
    """
    if tape.base != base:
        return None
    recorded = tape.nodes[start:]
    operands: list = []
    brought = {id(node) for node in given}
    for node in recorded:
        if node is HOLE:
            return None
        if id(node) in brought:
            operands.append(None)
            continue
        if node.value is not None:
            if getattr(node.value, "nbytes", 0) > _LARGEST_CONSTANT:
                return None
            operands.append(None)
            continue
        slots = tuple([operand.address - base for operand in node.inputs])
        if not all(0 <= slot < SEGMENT_RANGE for slot in slots):
            return None
        operands.append(slots)
    leaves = tuple([node.address - base for node in given])
    return Block(start, recorded, tuple(operands), leaves, tape.step)
