"""Plan: which recorded operations run, in what order, and when each value is used last.

A plan depends only on the memo position and on which nodes are alive, so it is made once for each
such pair and replayed.  It holds no buffers.  Level 9.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.device import ACCELERATORS, ANYWHERE, CPU, placing
from rushlight.base.hot import hot
from rushlight.base.shapes import numel
from rushlight.tape.memo import BUFFER, LeafSpec, leaf_spec
from rushlight.tape.primitive import Primitive

# What machine code of an operation takes, with its loops, schedule and arguments.
CODE_BYTES = 4096
# A plan, what it says of each slot that it keeps, and each number that its template is given.
_PLAN_BYTES, _SLOT_BYTES, _NUMBER_BYTES = 600, 16, 40


class Instruction:
    """One operation.  inputs: slots of the operands; last_uses: slots whose values end here."""

    __slots__ = ("slot", "inputs", "live", "last_uses")

    def __init__(self, slot: int, inputs: tuple[int, ...], live: bool) -> None:
        self.slot = slot
        self.inputs = inputs
        self.live = live
        self.last_uses: tuple[int, ...] = ()


@hot
class Plan:
    """instructions: operations in recorded order; live: slots that keep their values.

    leaves: for each live slot its specification as a leaf.  live_bytes: of all live values.
    family: plans of the same form, of which this one has these `sizes` (`engine/family.py`).
    placed: whether some value lives elsewhere than on the CPU (`engine/placement.py`).
    """

    __slots__ = (
        "instructions", "live", "leaves", "live_bytes", "dropped", "compiled", "refusal", "family",
        "sizes", "placed",
    )  # fmt: skip

    def __init__(self, instructions, live, leaves, dropped: int) -> None:
        self.instructions = instructions
        self.live = live
        self.leaves = leaves
        self.live_bytes = sum(numel(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
        self.dropped = dropped
        self.compiled: Any = None  # what another executor made of this plan
        self.refusal: str | None = None  # why it made nothing
        self.family: Any = None
        self.sizes: Any = None
        self.placed = False

    def own_bytes(self) -> int:
        """About what it takes with what runs it; of a template's, apart from the template."""
        kept = _PLAN_BYTES + _SLOT_BYTES * len(self.live)
        numbers = getattr(self.compiled, "numbers", None)
        if numbers is None:
            return kept + CODE_BYTES * len(self.instructions)
        return kept + _NUMBER_BYTES * len(numbers) + self.compiled.template.image_bytes()


def is_operation(node) -> bool:
    """Whether a node on a tape was recorded (rather than entering as a leaf)."""
    return node.value is None


def make_plan(nodes, slots: dict[int, int], live: list[bool]) -> Plan:
    """Keep what live values need.

    slots: id of a node -> its slot; live: for each slot, whether its value must be kept.
    """
    needed = list(live)
    inputs_of: list[tuple[int, ...]] = [()] * len(nodes)
    for slot in range(len(nodes) - 1, -1, -1):
        if needed[slot] and is_operation(nodes[slot]):
            inputs_of[slot] = tuple(slots[id(operand)] for operand in nodes[slot].inputs)
            for operand in inputs_of[slot]:
                needed[operand] = True
    instructions: list[Instruction] = []
    last_use: dict[int, int] = {}
    dropped = 0
    for slot, node in enumerate(nodes):
        if not is_operation(node):
            continue
        if not needed[slot]:
            dropped += isinstance(node.step.primitive, Primitive)
            continue
        for operand in inputs_of[slot]:
            last_use[operand] = len(instructions)
        last_use[slot] = len(instructions)
        instructions.append(Instruction(slot, inputs_of[slot], live[slot]))
    ending: list[list[int]] = [[] for _ in instructions]
    for slot, position in last_use.items():
        ending[position].append(slot)
    for instruction, ended in zip(instructions, ending):
        instruction.last_uses = tuple(ended)
    slots_kept = tuple(slot for slot, kept in enumerate(live) if kept)
    leaves = tuple(leaf_of(nodes[s]) for s in slots_kept)
    plan = Plan(tuple(instructions), slots_kept, leaves, dropped)
    plan.placed = placing.begun and is_placed(nodes)
    return plan


def leaf_of(node) -> LeafSpec:
    """The specification of a recorded value once it is materialised.

    Where there are devices, what any of them computes goes on belonging to none: a flush may come
    between the operation that makes it and the one that reads it.
    """
    place = node.step.device
    stays = place is not ANYWHERE or placing.begun
    return leaf_spec(BUFFER, node.shape, node.dtype, place if stays else CPU, node.step.order)


def is_placed(nodes) -> bool:
    """Whether some value of a tape lives elsewhere than on the CPU, or comes from there."""
    return any(_is_elsewhere(node.step) for node in nodes if node.step is not None)


def _is_elsewhere(step) -> bool:
    if step.device.type in ACCELERATORS:
        return True
    if getattr(step.primitive, "target", None) is None:
        return False
    # What any device computes is sent to the CPU without leaving it.
    return any(place.type in ACCELERATORS for place in step.params)
