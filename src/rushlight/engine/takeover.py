"""Values written over others that end there: in the arena, and parameters in their own memory.

What an optimizer leaves behind goes where the old values lie, if the plan is their last reader and
nothing but the tape refers to them any more.  A flush stays a transaction: such kernels run in the
plan's last native stretch, after everything that can fail, and the stretch says itself that it ran
to its end, so that an interrupt finds either the old values or the new ones.  Level 9.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np

from rushlight.base.dtypes import bool_
from rushlight.base.errors import FlushFailed
from rushlight.base.observe import watchers
from rushlight.base.references import owners
from rushlight.engine.arena import POOL, BufferPool
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.loopnest.ir import Const
from rushlight.lowering.alone import Checks, Maker
from rushlight.lowering.position import ZERO
from rushlight.schedule.fusion import Schedule
from rushlight.schedule.in_place import overwritable
from rushlight.tape.block import Segment
from rushlight.tape.program import BUFFER_LEAF, Value
from rushlight.tape.tape import local


class Lifetimes:
    """When each buffer is used first and last, counted in steps."""

    def __init__(self, uses: list[list[int]]) -> None:
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        for time, used in enumerate(uses):
            for slot in used:
                self.first.setdefault(slot, time)
                self.last[slot] = time

    def ends_where(self, old: int, new: int) -> bool:
        """Whether the step that makes one buffer is the last that uses another."""
        return self.last[old] == self.first[new]


class Successors:
    """Which value is written over which buffer; no buffer is taken twice.

    in_arena: value -> buffer, both of the arena.  of_leaves: (leaf, large value that is kept), in
    steps from `safe_from` on, after which nothing can fail.
    """

    def __init__(
        self, schedule: Schedule, lifetimes: Lifetimes, written: set[int], safe_from: int
    ) -> None:
        self.in_arena: dict[int, int] = {}
        self.of_leaves: list[tuple[int, int]] = []
        taken: set[int] = set()
        for group in schedule.groups:
            for slot, buffers in overwritable(schedule.program, group).items():
                if slot not in written:
                    continue
                value = schedule.program.values[slot]
                if value.live and not (_is_large(value) and lifetimes.first[slot] >= safe_from):
                    continue
                for buffer in buffers:
                    old = schedule.program.values[buffer]
                    fits = _shows_as(value, old) if value.live else buffer in written
                    if not fits or old.live or buffer in taken:
                        continue
                    if lifetimes.ends_where(buffer, slot):
                        taken.add(buffer)
                        self._add(value, buffer)
                        break

    def _add(self, value: Value, buffer: int) -> None:
        if value.live:
            self.of_leaves.append((buffer, value.slot))
        else:
            self.in_arena[value.slot] = buffer


def _shows_as(value: Value, leaf: Value) -> bool:
    """Whether a leaf's array is one of the value's shape and dtype."""
    same = leaf.shape == value.shape and leaf.dtype is value.dtype
    return leaf.source == BUFFER_LEAF and same


def _is_large(value: Value) -> bool:
    return value.numel * value.dtype.itemsize >= BufferPool.SMALLEST


class Takeovers:
    """The leaves of a plan that its results are written over.

    pairs: (slot of the leaf, slot of the value).  done: set by the plan's last step.
    """

    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        self.pairs = pairs
        self.done = np.zeros(1, bool)

    def last_step(self, program, constants: dict[int, np.ndarray]) -> NativeStep:
        """The step that says that all before it ran."""
        mark = program.new_value((1,), bool_)
        constants[mark.slot] = self.done
        maker = Maker(program, Checks())
        maker.finish([maker.store(mark, ZERO, Const(True, "bool"))], 1)
        return step_of_nest(maker.nests[0])

    def claim(self, nodes) -> dict[int, np.ndarray]:
        """Slot of a value -> the array it is written over, where nobody else can see that array.

        While somebody watches, kernels run one by one and may be interrupted in between.
        """
        if watchers or nodes is not local.tape.nodes:
            return {}
        referred = _references_of_tape(nodes)
        leaves = [nodes[leaf] for leaf, _ in self.pairs]
        counts = owners(leaves)
        alone = POOL.are_alone([node.value for node in leaves])
        claimed: dict[int, np.ndarray] = {}
        for (_, slot), node, count, is_alone in zip(self.pairs, leaves, counts, alone):
            # Beyond the operands: the tape's list, and the key of the table of operands.
            known = 1 + referred[node] + (node in referred)
            if is_alone and count == known:
                claimed[slot] = node.value
        return claimed

    def withdraw(self, nodes, claimed: dict[int, np.ndarray]) -> None:
        """From here on the old values are not to be read."""
        cause = RuntimeError("an in-place update was interrupted twice; its old value is lost")
        for leaf, slot in self.pairs:
            if slot in claimed:
                node = nodes[leaf]
                node.value = FlushFailed(cause)
                if hasattr(node, "pointer"):
                    del node.pointer

    def restore(self, nodes, claimed: dict[int, np.ndarray]) -> None:
        """Nothing was written: the old values stand."""
        for leaf, slot in self.pairs:
            if slot in claimed:
                nodes[leaf].value = claimed[slot]


def _references_of_tape(nodes: Segment) -> Counter:
    """How often operands of operations, and writes that may be taken back, refer to each node."""
    inputs = [node.inputs for node in nodes if node.inputs.__class__ is tuple]
    referred = Counter(itertools.chain.from_iterable(inputs))
    referred.update([old for _, old in local.tape.undo])
    return referred
