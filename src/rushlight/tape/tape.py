"""Tape: the operations one thread has recorded since its last flush.

The hit path of recording is written out in `tensor/apply.py`; here are its slow turns: a leaf's
first use, a miss of the memo, and the flush, which is a transaction.  Executing is injected by
`engine/` (`Tape.execute`), since the tape lies below it.  Level 1.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections import Counter
from typing import Any

from rushlight.base.config import config
from rushlight.base.device import CPU
from rushlight.base.errors import FlushFailed, InternalError
from rushlight.base.forks import lock_known_to_forks
from rushlight.base.hot import hot, warmup
from rushlight.base.references import owners
from rushlight.base.stats import stats
from rushlight.tape import strangers
from rushlight.tape.block import Segment
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.making import make_leaf_step, make_step
from rushlight.tape.memo import (
    BUFFER,
    BYTE_BUDGET,
    GROWING,
    LONG_ROUND,
    NO_STEP,
    PASSING,
    UNDECIDED,
    Branch,
    Step,
    comes_again,
    has_grown,
    last_operation,
    leaf_spec,
    meets_its_beginning,
    memo,
    note_departure,
)
from rushlight.tape.meta import NO_DATA, settle
from rushlight.tape.meta import use as meta
from rushlight.tape.node import HOLE, NO_ADDRESS, SEGMENT_RANGE, Node
from rushlight.tape.primitive import Primitive

_segments = itertools.count(1)

# Why a tape is cut before an operation with which it began.
LOOP = "loop"

# One flush at a time; a pending value read by another thread is computed under it too.
flush_lock = lock_known_to_forks("flush")

# The lock is reentrant, for forks: what comes in again is not another thread.
_INSIDE = (
    "a pending value cannot be read while a flush is under way: a finalizer or a signal handler "
    "interrupted one, and the kernels' memory is in use; read the value before, or note in the "
    "handler that it is wanted and read it in the program"
)


@hot
class _Flush:
    """Whether a flush runs, on the thread that holds the lock.  Set without a call in between,
    where an interrupt could come in and leave it set."""

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way = False


_flush = _Flush()


@hot
class Tape:
    """One thread's tape and its autograd mode.

    nodes: leaves and operations of the current segment; a node's slot is its index.
    step: the memo position reached.
    base: first address of the segment's range.
    armed: whether a backward or a parameter update happened in this segment.
    undo: (storage, node, layout): content that in-place writes replaced; restored when the flush
        fails.
    growth: whether what this segment records anew goes into the memo; see `_keep`.
    branch: what of the memo it grows, if anything.
    training: whether a backward or an update began in this segment.
    mark: the operation whose coming again with other sizes ends the segment, where no gradient is
        followed: the first one, or if that is no part of a loop, one that came later.
    strange: whether what is recorded anew is cut into short segments (`tape/strangers.py`).
    look: nodes from which on it is asked next whether what is recorded is a long loop.
    loop: where the first segment of a loop ended that is being cut; loop_length: operations of its
        segments.
    in_block: whether what is recorded now may become a block, which must not contain others.
    transforms: while function transforms are active, and the tape an `InterceptingTape`, what is
        asked for each operation (`transform/interception.py`); else None.
    recorder: while a call is observed, what is told of its flushes, draws and updates
        (`replay/recorder.py`); else None.
    """

    __slots__ = (
        "nodes", "step", "base", "grad_enabled", "inference", "armed", "undo", "in_block", "growth",
        "transforms", "branch", "mark",
        "training", "recorder", "strange", "look", "loop", "loop_length",
    )  # fmt: skip

    # Set by engine/: function of (tape nodes, memo step) that gives values to the live nodes and
    # returns the first data-dependent error, if any.
    execute: Any = None

    def __init__(self) -> None:
        self.grad_enabled = True
        self.inference = False
        self.in_block = False
        self.transforms: Any = None
        self.recorder: Any = None
        self.strange = False
        self.loop: Step | None = None
        self.loop_length = 0
        self._begin_segment()

    @hot
    def _begin_segment(self) -> None:
        memo.trim()
        base = next(_segments) * SEGMENT_RANGE
        nodes = Segment(base)
        self.step: Step = memo.root
        self.growth = UNDECIDED
        self.branch: Branch | None = None
        self.mark: Step | None = None
        self.training = False
        self.armed = False
        self.look = strangers.LONG
        self.undo: list[Any] = []
        self.base = base
        self.nodes = nodes  # last: letting go of the old ones runs finalizers, which may record

    # ---- recording ---------------------------------------------------------------------------

    @hot
    def leaf(self, node: Node) -> int:
        """Put a node that is not of this segment on the tape; returns its slot."""
        if node.value is None or type(node.value) is FlushFailed:
            if node.__class__ is not Node and node.take_over(self):  # type: ignore[attr-defined]
                return NO_ADDRESS
            materialise_elsewhere(node)
        spec = node.step
        key = spec.key
        step = self.step.next
        if step.key is not key:
            step = self.step.children.get(key, NO_STEP)
            if step is NO_STEP:
                step = make_leaf_step(self.step, spec)
                self._keep(self.step, step)
            else:
                self.step.next = step
                memo.used(step)
        self.step = step
        slot = len(self.nodes)
        self.nodes.append(node)
        node.address = self.base + slot
        return slot

    def miss(self, primitive, inputs, key, params, begins: bool = False) -> Step | None:
        """The step for `key` where the memo expected another; None: the tape was cut, try again.

        begins: whether the operation is differentiable in a leaf that this segment computes.  Such
        a leaf is state: made once, or updated, and then used by a training step.  The segment ends
        before, so that the step is a program of its own, and the second one is the same program.
        """
        parent = self.step
        known = parent.children.get(key)
        if known is not None:
            parent.next = known
            memo.used(known)
            stats.memo_branches += 1
            return known
        reason = None
        if meets_its_beginning(parent, primitive, inputs, params, self.armed):
            reason = LOOP
        elif begins:
            reason = "state"
        elif parent.depth >= LONG_ROUND and not self._trains():
            for mark in (*first_operations(self.nodes, primitive), self.mark):
                if mark is not None and has_grown(mark, primitive, inputs, params):
                    reason = GROWING_LOOP
        if reason is not None:
            before = last_operation(parent)
            if before is not None:
                # A cut that is remembered comes right after the operation, while a caller still
                # holds its operands.  A growing loop is cut here each time: nothing follows.
                if reason != GROWING_LOOP:
                    before.cut = reason
                self.flush(reason)
                return None
        step = make_step(parent, key, primitive, inputs, params)
        stats.operations_missed += 1
        if config.debug >= 1:
            _print_miss(parent, step)
        if not self.strange:
            self.strange = self._is_strange(parent)
        if self.strange and step.cut is None and strangers.ends_segment(step):
            step.cut = strangers.LOOP_OF_ANY_LENGTH
        self._keep(parent, step)
        mark = self.mark
        # The first operation may stand before the loop.
        if not self.in_block:
            if mark is None or (mark is step.first and step.depth >= 2 * LONG_ROUND):
                self.mark = step
        return step

    def _is_strange(self, parent: Step) -> bool:
        if strangers.lines and strangers.is_strange(parent):
            return True
        if len(self.nodes) < self.look:
            return False
        self.look = len(self.nodes) * 5 // 4
        return strangers.is_long_loop(parent, self.nodes)

    def _trains(self) -> bool:
        """Whether what is recorded is, or may become, part of a training step."""
        return self.grad_enabled or self.training or self.in_block

    def keeps(self, block) -> bool:
        """Whether a resized block is kept at its position."""
        if self.growth != GROWING:
            return False
        block.end.branch = self.branch
        memo.grow(self.branch, block.own_bytes())
        return True

    def _keep(self, parent: Step, step: Step) -> None:
        """Put a new step in the memo, unless only its sizes are new: those may never come again.

        The second time that they leave the known path at the same place, they are kept.
        """
        growth = self.growth
        if growth == UNDECIDED:
            model = step.form.model
            known = model is not None and model is not step
            passing = known and not comes_again(parent, step.key)
            growth = self.growth = PASSING if passing else GROWING
            self.branch = None
            if passing:
                note_departure(parent, step)
            else:
                self.branch = memo.branch(parent, step)
        if growth == GROWING:
            assert self.branch is not None
            memo.add(parent, step, self.branch)

    # ---- flushing ----------------------------------------------------------------------------

    @hot
    def flush(self, reason: str) -> None:
        """Execute what is recorded and begin a new segment.

        Raises: the first data-dependent error, with the line that recorded the operation; only
        values that depend on it are lost, and in-place writes among them are taken back.
        An interrupt leaves the tape as it was: the next read executes it again.
        """
        if not self.nodes or (reason.startswith(BYTE_BUDGET) and self._is_within_budget()):
            return
        with flush_lock:
            if _flush.under_way:
                raise RuntimeError(_INSIDE)
            _flush.under_way = True
            try:
                for reference in self.nodes.keepers:
                    keeper = reference()
                    if keeper is not None:
                        keeper.settle()
                        del keeper
                self.nodes.keepers.clear()
                if meta.begun:
                    settle(self.nodes)
                if self.recorder is not None:
                    self.recorder.flushing(self.nodes, reason)
                error = Tape.execute(self.nodes, self.step, reason)
            finally:
                _flush.under_way = False
        if self.recorder is not None:
            self.recorder.flushed(self.nodes, error)
        undo = self.undo
        # A turn of a loop that is cut may be all of a segment.
        self.strange = reason == strangers.LOOP_OF_ANY_LENGTH or (
            reason == LOOP and self.loop is not None
        )
        if self.strange:
            if self.loop is None:
                self.loop = self.step
            self.loop_length += self.step.depth
        elif self.loop is not None:
            strangers.ran(self.loop, self.loop_length + self.step.depth)
            self.loop, self.loop_length = None, 0
        self._begin_segment()
        if error is not None:
            for storage, old, layout in reversed(undo):
                if type(storage.value.value) is FlushFailed:
                    storage.restore(old, layout)
            raise error
        warmup.left -= 1
        if warmup.left == 0:
            warmup.look()

    def _is_within_budget(self) -> bool:
        """Whether a flush would free little memory: others refer to most of the leaves too.

        Counting begins again here, so the question is asked once for each budget's worth of leaves.
        """
        referred = Counter(
            id(operand)
            for node in self.nodes
            if node.inputs.__class__ is tuple
            for operand in node.inputs
        )
        held = 0
        for node, count in zip(self.nodes, owners(self.nodes)):
            if node.value is not None and count <= referred[id(node)]:
                held += getattr(node.value, "nbytes", 0)
        if held >= config.byte_budget:
            return False
        self.step.leaf_bytes = held
        return True

    def drop(self) -> None:
        """Forget the recorded operations (their values are lost); for tests of the memo only."""
        self.strange, self.loop, self.loop_length = False, None, 0
        self._begin_segment()


@hot
def exclusively(work):
    """Call a function that runs a plan outside of a flush, while nobody flushes."""
    with flush_lock:
        if _flush.under_way:
            raise RuntimeError(_INSIDE)
        _flush.under_way = True
        try:
            return work()
        finally:
            _flush.under_way = False


class _Local(threading.local):
    def __init__(self) -> None:
        self.tape = Tape()


local = _Local()


@hot
def current_tape() -> Tape:
    """This thread's tape."""
    return local.tape


@hot
def materialise(node: Node, reason: str = "read") -> Any:
    """The array of a node, flushing this thread's tape where needed.

    Raises: what the computation raised, each time the value is read.
    """
    value = node.value
    if value is None:
        tape = local.tape
        base: int = tape.base
        slot: int = node.address - base
        if 0 <= slot < SEGMENT_RANGE:
            tape.flush(reason)
        else:
            materialise_elsewhere(node)
        value = node.value
        if value is None:
            raise InternalError(f"{node} has no value after its flush")
    if type(value) is FlushFailed:
        raise value.cause
    if type(value) is DeviceArray:
        return value.to_host()
    return value


def materialise_elsewhere(node: Node) -> None:
    """Compute a pending node that another thread's tape recorded, with what it depends on.

    The owner may go on recording meanwhile: its tape is not touched, and its own flush will find
    these values present.
    """
    if node.__class__ is not Node:
        node.read()  # type: ignore[attr-defined]  # a value that a function transform stands for
        return
    if node.value is NO_DATA:
        return
    if type(node.value) is FlushFailed:
        raise node.value.cause
    with flush_lock:
        if node.value is not None:
            return
        if _flush.under_way:
            raise RuntimeError(_INSIDE)
        _flush.under_way = True
        try:
            error = Tape.execute(pending_ancestors(node), None, "read from another thread")
        finally:
            _flush.under_way = False
        if error is not None:
            raise error


def pending_ancestors(node: Node) -> list[Node]:
    """The nodes needed to compute `node`, materialised ones included, operands first."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(node, False)]
    while stack:
        current, expanded = stack.pop()
        if expanded:
            order.append(current)
            continue
        if id(current) in seen:
            continue
        seen.add(id(current))
        stack.append((current, True))
        if current.value is None:
            if type(current.inputs) is Segment:
                current.inputs.expand()
            stack.extend((operand, False) for operand in current.inputs)
    return order


def unread_node(shape, dtype, place=CPU) -> Node:
    """A node that stands for memory not read yet: it has a shape and a dtype, and no value."""
    node = Node()
    node.describe(leaf_spec(BUFFER, shape, dtype, place), shape, dtype)
    return node


def leaf_node(array, dtype, kind=BUFFER) -> Node:
    """A materialised node around an array in storage form that nobody else writes to."""
    node = unread_node(array.shape, dtype)
    place = array.device if type(array) is DeviceArray else CPU
    node.step = leaf_spec(kind, array.shape, dtype, place)
    node.value = array
    return node


GROWING_LOOP = "growing loop"
# Nodes of a segment among which a round of its loop is taken to begin, if it has one: where rounds
# are cut in their middle, what lies across the cut is computed for nothing but to be kept.
_BEGINNING = 16


def first_operations(nodes: list[Node], primitive: Primitive) -> list[Step]:
    """Where a primitive was recorded at the beginning of a segment."""
    return [
        node.step
        for node in nodes[:_BEGINNING]
        if node is not HOLE and node.step is not None and node.step.primitive is primitive
        and node.step.operands
    ]  # fmt: skip


def _print_miss(parent: Step, step: Step) -> None:
    where = f" at {step.line[0]}:{step.line[1]}" if step.line else ""
    if parent.next is not NO_STEP:
        expected = parent.next.primitive
        why = f"expected {expected}"
    else:
        why = "new path"
    shape = list(step.shape)
    print(
        f"rushlight: miss {step.primitive} -> {step.dtype} {shape} ({why}){where}",
        file=sys.stderr,
    )
