"""Values written over others that end there: in the arena, and parameters in their own memory.

What an optimizer leaves behind goes where the old values lie, if the plan is their last reader and
nothing but the tape refers to them any more.  A flush stays a transaction: such kernels run in the
plan's last native stretch, after everything that can fail, and the stretch says itself that it ran
to its end, so that an interrupt finds either the old values or the new ones.  Level 9.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import bool_
from rushlight.base.errors import FlushFailed
from rushlight.base.observe import watchers
from rushlight.base.references import owners
from rushlight.engine.arena import POOL, BufferPool
from rushlight.engine.native import NativeRun, Output
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.loopnest.ir import Const
from rushlight.lowering.alone import Checks, Maker
from rushlight.lowering.position import ZERO
from rushlight.runtime.launch import EXTENT_WORD
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
        return self.last.get(old) == self.first[new]


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
        self._program = schedule.program
        self._taken = taken = set[int]()
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

    def add_copies(
        self, copied: dict[int, NativeStep], lifetimes: Lifetimes, safe_from: int
    ) -> None:
        """Kept values that begin as the copy of a leaf that ends there (`engine/copies.py`)."""
        values = self._program.values
        for slot, step in copied.items():
            assert step.copies is not None
            leaf = step.copies[0]
            begins = lifetimes.first[slot]
            worth = values[slot].numel * values[slot].dtype.itemsize > Output.LARGEST_SPARE
            ends = lifetimes.ends_where(leaf, slot) and leaf not in self._taken
            if worth and ends and begins >= safe_from and _shows_as(values[slot], values[leaf]):
                self._taken.add(leaf)
                self.of_leaves.append((leaf, slot))

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

    pairs: (slot of the leaf, slot of the value); leaves: the former by the latter.  done: set by
    the plan's last step.  copied: by the value's slot, the step that copies the leaf first.
    """

    def __init__(
        self, pairs: list[tuple[int, int]], copied: dict[int, NativeStep], nodes: list
    ) -> None:
        """nodes: of the tape the plan is made for; operations read the same slots at each run."""
        self.pairs = pairs
        self._copied = copied
        readers: dict[int, list[int]] = {id(nodes[leaf]): [] for leaf, _ in pairs}
        for slot, node in enumerate(nodes):
            for operand in node.inputs:
                if id(operand) in readers:
                    readers[id(operand)].append(slot)
        self._readers = [sorted(set(readers[id(nodes[leaf])])) for leaf, _ in pairs]
        self.leaves = {value: leaf for leaf, value in pairs}
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
        leaves = [nodes[leaf] for leaf, _ in self.pairs]
        referred = self._references(nodes, leaves)
        counts = owners(leaves)
        alone = POOL.are_alone([node.value for node in leaves])
        claimed: dict[int, np.ndarray] = {}
        for (_, slot), node, known, count, is_alone in zip(
            self.pairs, leaves, referred, counts, alone
        ):
            # The tape's list is one more.
            if is_alone and count == known + 1:
                claimed[slot] = node.value
        return claimed

    def _references(self, nodes: Segment, leaves: list) -> list[int]:
        """How often operands of operations, and writes that may be taken back, refer to each leaf.

        What is not found here counts as somebody else's, and the leaf is left alone.
        """
        found = []
        undone = [id(old) for _, old, _ in local.tape.undo]
        for leaf, readers in zip(leaves, self._readers):
            count = undone.count(id(leaf))
            for slot in readers:
                inputs = nodes[slot].inputs
                if inputs.__class__ is tuple:
                    for operand in inputs:
                        if operand is leaf:
                            count += 1
            found.append(count)
        return found

    def spare(self, run: NativeRun, claimed: dict[int, np.ndarray]) -> list[tuple[int, int]]:
        """Make copies of leaves onto themselves do nothing; returns (row, extent) of each."""
        spared = []
        for slot, step in self._copied.items():
            if slot in claimed:
                # By identity: steps are equal by their fields otherwise.
                row = next(r for r, one in enumerate(run.steps) if one is step)
                spared.append((row, int(run.native.rows[row, EXTENT_WORD])))
                run.native.rows[row, EXTENT_WORD] = 0
        return spared

    def respect(self, run: NativeRun, spared: list[tuple[int, int]]) -> None:
        """Make them copy again."""
        for row, extent in spared:
            run.native.rows[row, EXTENT_WORD] = extent

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
