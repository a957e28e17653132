"""Run a plan without a tape: leaves in, arrays of the kept values out.

A replayed call (`replay/`) knows which plan its Python would end in, so it records nothing and
gives the plan its leaves.  Nothing is written over a leaf and nothing is handed out here: whoever
asked may throw the results away, and does so if one of them cannot be computed.  Level 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.errors import FlushFailed
from rushlight.base.hot import hot
from rushlight.base.references import ADDED, count_references, owners
from rushlight.base.words import put_integer
from rushlight.engine.arena import POOL, BufferPool
from rushlight.engine.compiled import CompiledPlan
from rushlight.engine.fallback import is_compiled
from rushlight.engine.plan import make_plan
from rushlight.tape.memo import Step
from rushlight.tape.node import NO_ADDRESS, Node
from rushlight.tape.tape import unread_node


class Recorded:
    """One slot of a flushed tape, without its value.

    step: how it was recorded; a leaf's specification for a leaf.  operands: slots, None of a leaf.
    """

    __slots__ = ("step", "operands")

    def __init__(self, step: Any, operands: tuple[int, ...] | None) -> None:
        self.step = step
        self.operands = operands


def recorded(nodes: list) -> list[Recorded]:
    """What a tape says before it is executed; it refers to no node, so that nothing is kept alive
    by it."""
    slots = {id(node): slot for slot, node in enumerate(nodes)}
    return [
        Recorded(node.step, tuple([slots[id(operand)] for operand in node.inputs]))
        if node.value is None else Recorded(node.step, None)
        for node in nodes
    ]  # fmt: skip


def _stand_in(step: Step, value: Any) -> Node:
    node = unread_node(step.shape, step.dtype)
    node.step = step
    node.value = value
    return node


@hot
class DirectRun:
    """A program of its own, for the kept values that a replayed call needs.

    leaves: slots of the leaves that it reads, in order.  kept: slots of its results, in order.
    specs: their specifications as leaves.
    donations: (leaf, result) whose memory may be one: whoever asks says which of them it will
        replace by which; none at first.
    Raises: RuntimeError if there is no machine code for it.
    """

    __slots__ = (
        "leaves", "kept", "specs", "_compiled", "_nodes", "_large", "_read",
        "_outputs", "_checked", "_written", "_sets", "_turn", "_unshared",
        "_has_large", "donations",
    )  # fmt: skip

    def __init__(self, tape: list[Recorded], kept: list[int]) -> None:
        nodes = [_stand_in(r.step, None if r.operands is not None else Ellipsis) for r in tape]
        for node, entry in zip(nodes, tape):
            node.inputs = tuple([nodes[slot] for slot in entry.operands or ()])
        slots = {id(node): slot for slot, node in enumerate(nodes)}
        wanted = set(kept)
        plan = make_plan(nodes, slots, [slot in wanted for slot in range(len(nodes))])
        if not is_compiled(plan, nodes):
            raise RuntimeError(plan.refusal or "the compiler does not work here")
        compiled: CompiledPlan = plan.compiled
        for node in nodes:
            node.inputs = ()
        specs = dict(zip(plan.live, plan.leaves))
        # One native run gives its results in its own order.
        places = plan.live if compiled.only is None else [o.slot for o in compiled.outputs]
        self.kept = list(places)
        self.specs = [specs[slot] for slot in places]
        used = {slot for i in plan.instructions for slot in i.inputs}
        self.leaves = [slot for slot in sorted(used) if tape[slot].operands is None]
        self._compiled = compiled
        self._nodes: list[Any] = nodes
        self._read = list(compiled.read)
        self._outputs = list(compiled.outputs)
        self._written = [output.slot for output in compiled.outputs]
        # What the last run left behind is still held while the next one is computed.
        self._sets = [OutputSet(self._outputs, self.specs), OutputSet(self._outputs, self.specs)]
        self._unshared = [ADDED] * len(self._outputs)
        self.donations: list[tuple[int, int]] = []
        self._turn = 0
        sizes = [int(np.prod(o.shape, dtype=np.int64)) * o.dtype.itemsize for o in self._outputs]
        self._checked = compiled.checks.count > 0
        self._large = [s for s in self.leaves if _bytes_of(nodes[s]) >= BufferPool.SMALLEST]
        self._has_large = bool(self._large) or any(n > OutputSet.LARGEST for n in sizes)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(leaf, result) that could share memory, as far as the program knows."""
        takeovers = self._compiled.takeovers
        return [] if takeovers is None else list(takeovers.pairs)

    @hot
    def run(self, leaves: list[Node], donate: bool = False) -> list | None:
        """The nodes of the results, or None if something cannot be computed.

        donate: whether results may be written over leaves that `donations` names, where nobody but
        a tensor, its storage and the caller's two lists refers to them; then nothing may stop the
        caller from replacing those leaves.
        Nobody else may run a plan meanwhile (`tape.exclusively`).
        """
        compiled = self._compiled
        nodes = self._nodes
        for slot, leaf in zip(self.leaves, leaves):
            nodes[slot] = leaf
        compiled.fix_addresses()
        places = compiled.addresses
        for slot in self._read:
            node = nodes[slot]
            try:
                put_integer(places, slot, node.pointer)
            except AttributeError:
                if type(node.value) is FlushFailed:
                    return None
                if not isinstance(node.value, np.ndarray):
                    node.value = np.asarray(node.value)
                node.pointer = pointer = node.value.__array_interface__["data"][0]
                put_integer(places, slot, pointer)
        self._turn = turn = 1 - self._turn
        made = self._sets[turn]
        node = leaf = None  # type: ignore[assignment]  # who refers to a leaf counts from here on
        if (
            list(map(count_references, made.nodes)) != self._unshared
            or list(map(count_references, made.arrays)) != made.held_once
        ):
            made.renew(self._claimed() if donate and self.donations else {})
        for slot, pointer in zip(self._written, made.pointers):
            put_integer(places, slot, pointer)
        if compiled.only is None:
            return self._run_parts(made)
        compiled.only.run(places, nodes, compiled)
        if self._checked and True in compiled.flags.data:
            return None
        for node in made.nodes:
            node.home = None
        found = list(made.nodes)
        if self._has_large:
            self._forget_large(made)
        return found

    def _claimed(self) -> dict[int, np.ndarray]:
        """Slot of a result -> the array of a leaf that nobody else can see."""
        leaves = [self._nodes[leaf] for leaf, _ in self.donations]
        counts = owners(leaves)
        alone = POOL.are_alone([node.value for node in leaves])
        return {
            slot: node.value
            for (_, slot), node, count, is_alone in zip(self.donations, leaves, counts, alone)
            if is_alone and count == _OWNERS_OF_A_DONATION
        }

    def _run_parts(self, made: OutputSet) -> list | None:
        """The same for a plan of several parts."""
        compiled = self._compiled
        arrays: dict[int, Any] = dict(zip(self._written, made.arrays))
        parts = compiled.parts
        # What may be written over leaves comes last, after all that can fail.
        last = [] if compiled.takeovers is None else parts[-1:]
        if not compiled.run_parts(self._nodes, arrays, parts[: len(parts) - len(last)]):
            return None
        if self._checked and compiled.flags.any():
            return None
        for part in last:
            part.run(compiled.addresses, self._nodes, compiled)
        known = dict(zip(self._written, made.nodes))
        found = []
        for slot, spec in zip(self.kept, self.specs):
            node = known.get(slot)
            if node is None:
                array = arrays[slot]
                node = result(spec, array, array.__array_interface__["data"][0])
            node.home = None
            found.append(node)
        self._forget_large(made)
        return found

    def _forget_large(self, made: OutputSet) -> None:
        """The memory of large leaves and results is wanted again, once nobody else holds it."""
        for slot in self._large:
            self._nodes[slot] = None
        made.forget_large()


def _bytes_of(node: Node) -> int:
    return int(np.prod(node.shape, dtype=np.int64)) * node.dtype.itemsize


# Of a leaf that a result is written over: a tensor and its storage; the list of all values and
# that of this program's leaves, which the caller made; and `DirectRun._nodes`.
_OWNERS_OF_A_DONATION = 5


@hot
class OutputSet:
    """Memory for the results of one run, with the nodes that hold it, used again once nobody looks
    at them any more.

    held_once: the counts of arrays that only their nodes refer to.
    """

    __slots__ = ("arrays", "pointers", "nodes", "held_once", "_outputs", "_specs")

    # Bytes of the largest array that is kept for reuse; larger ones come from the engine's pool.
    LARGEST = 1 << 14

    def __init__(self, outputs: list, specs: list) -> None:
        self.arrays: list[Any] = [None] * len(outputs)
        self.pointers: list[int] = [0] * len(outputs)
        self.nodes: list[Any] = [None] * len(outputs)
        self.held_once = [ADDED + 1] * len(outputs)
        self._outputs = outputs
        by_shape = {(spec.shape, spec.dtype.numpy): spec for spec in specs}
        self._specs = [by_shape[tuple(o.shape), o.dtype] for o in outputs]

    def renew(self, claimed: dict[int, np.ndarray]) -> None:
        """Replace what somebody looks at, and what is large.

        claimed: slot of a result -> the array it is to be written to.
        """
        nodes = list(map(count_references, self.nodes))
        arrays = list(map(count_references, self.arrays))
        for place, output in enumerate(self._outputs):
            array = self.arrays[place]
            if array is not None and nodes[place] == ADDED and arrays[place] == ADDED + 1:
                continue
            array = claimed.get(output.slot)
            if array is None:
                array = POOL.array(output.shape, output.dtype)
            pointer = array.__array_interface__["data"][0]
            self.arrays[place] = array
            self.pointers[place] = pointer
            self.nodes[place] = result(self._specs[place], array, pointer)

    def forget_large(self) -> None:
        """Let go of what is large."""
        for place, array in enumerate(self.arrays):
            if array is not None and array.nbytes > self.LARGEST:
                self.arrays[place] = self.nodes[place] = None


def result(spec: Any, array: np.ndarray, pointer: int) -> Node:
    """A leaf around memory that a kernel writes."""
    node = Node()
    node.step = spec
    node.inputs = ()
    node.address = NO_ADDRESS
    node.shape = spec.shape
    node.dtype = spec.dtype
    node.value = array
    node.pointer = pointer  # type: ignore[attr-defined]
    node.home = None
    return node
