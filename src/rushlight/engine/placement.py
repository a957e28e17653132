"""A plan over several devices: cut into stretches of one device each, and copies between them.

In: a plan and the nodes of its tape, each of which says where it lives.  Out: parts in order, each
run by the back end of its device.  What is made of numbers alone is computed wherever it is read.
Level 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.device import ANYWHERE, CPU, device
from rushlight.base.errors import FlushFailed
from rushlight.base.stats import stats
from rushlight.engine.backends import Runnable, backend_of
from rushlight.engine.plan import Instruction, Plan, leaf_of
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.node import Node
from rushlight.tape.tape import unread_node


class Copy:
    """A value goes from one device to another."""

    def __init__(self, instruction: Instruction, target: device) -> None:
        self.slot = instruction.slot
        (self.source,) = instruction.inputs
        self.target = target

    def run(self, nodes: list) -> BaseException | None:
        """Give the node its value on the other device."""
        nodes[self.slot].value = moved(nodes[self.source].value, self.target)
        return None


def moved(value: Any, target: device) -> Any:
    """A materialised value on a device."""
    if type(value) is FlushFailed:
        return value
    stats.device_copies += 1
    if type(value) is DeviceArray and target is not CPU:
        return backend_of(target).from_device(value)
    array = value.to_host() if type(value) is DeviceArray else np.asarray(value)
    if target is CPU and array is value:
        array = array.copy()
    return backend_of(target).from_host(array)


class PlacedPlan:
    """parts: stretches and copies, in order.

    crossing: values that another part reads and nobody keeps; they have nodes of their own while
    the plan runs.
    """

    only = None
    native = False

    def __init__(self, plan: Plan, nodes: list) -> None:
        self.plan = plan
        cut = _Cut(plan, nodes)
        self.crossing = {slot: nodes[slot].step for slot in cut.crossing}
        shadow = self._shadow(nodes)
        self.parts: list[Any] = []
        # Where each stretch is computed, and its plan.
        self.placed: list[tuple[device, Any]] = []
        for part in cut.parts:
            if not isinstance(part, Copy):
                place, stretch = part
                part = backend_of(place).plan(stretch, shadow)
                self.placed.append((place, part))
            self.parts.append(part)

    def _shadow(self, nodes: list) -> list:
        shadow = list(nodes)
        for slot, step in self.crossing.items():
            shadow[slot] = _stand_in(nodes[slot], step)
        return shadow

    def run(self, nodes: list) -> BaseException | None:
        """Execute the parts in order.  Returns the first data-dependent error."""
        shadow = self._shadow(nodes)
        first: BaseException | None = None
        for part in self.parts:
            error = part.run(shadow)
            first = first or error
        for slot in self.plan.live:
            if shadow[slot] is not nodes[slot]:
                nodes[slot].value = shadow[slot].value
        return first

    def stretches(self) -> list[Runnable]:
        """What the back ends made."""
        return [part for part in self.parts if not isinstance(part, Copy)]

    def steps(self) -> list:
        """The kernels of all parts, in order."""
        return [step for part in self.stretches() for step in part.steps()]

    @property
    def fallbacks(self) -> list[str]:
        """Names of the operations that no kernel of their device computes."""
        return [name for part in self.stretches() for name in part.fallbacks]


def _stand_in(node: Node, step: Any) -> Node:
    made = unread_node(node.shape, node.dtype)
    made.step = step
    made.inputs = node.inputs
    return made


class _Cut:
    """Which instruction belongs where.

    parts: a Copy, or (device, plan of a stretch).
    """

    def __init__(self, plan: Plan, nodes: list) -> None:
        self.nodes = nodes
        self.by_slot = {i.slot: i for i in plan.instructions}
        self.crossing: set[int] = set()
        self.parts: list[Any] = []
        self.part_of: dict[int, int] = {}
        fixed = [i for i in plan.instructions if i.live or not self._is_free(i.slot)]
        groups = self._grouped(fixed)
        needed: dict[int, set[int]] = {}
        members: list[list[Instruction]] = []
        for number, (_, own) in enumerate(groups):
            chosen = self._with_free(own)
            members.append(chosen)
            for instruction in chosen:
                for slot in instruction.inputs:
                    needed.setdefault(slot, set()).add(number)
        for number, (place, own) in enumerate(groups):
            if place is None:
                (instruction,) = own
                self.parts.append(Copy(instruction, self._target(instruction)))
                read = needed.get(instruction.slot)
                if read and not instruction.live:
                    self.crossing.add(instruction.slot)
                continue
            outside = {
                i.slot
                for i in own
                if needed.get(i.slot, set()) - {number} and not self._is_free(i.slot)
            }
            self.crossing |= {s for s in outside if not self.by_slot[s].live}
            self.parts.append((place, self._stretch(members[number], own, outside)))

    def _place(self, instruction: Instruction) -> device:
        place = self.nodes[instruction.slot].step.device
        return CPU if place is ANYWHERE else place

    def _is_free(self, slot: int) -> bool:
        """Whether any device computes an operation's result."""
        return slot in self.by_slot and self.nodes[slot].step.device is ANYWHERE

    def _is_copy(self, instruction: Instruction) -> bool:
        primitive = self.nodes[instruction.slot].step.primitive
        if getattr(primitive, "target", None) is None:
            return False
        (source,) = instruction.inputs
        origin = self.nodes[source].step.device
        return origin is not ANYWHERE and origin is not self._target(instruction)

    def _target(self, instruction: Instruction) -> device:
        return self.nodes[instruction.slot].step.device

    def _grouped(self, remaining: list[Instruction]) -> list[tuple[device | None, list]]:
        """(device, instructions) in an order that keeps to what each one reads; None: a copy.

        What is ready goes first, so that there are few stretches.
        """
        copies = {i.slot for i in remaining if self._is_copy(i)}
        waiting = {i.slot for i in remaining}
        groups: list[tuple[device | None, list]] = []
        while remaining:
            left = []
            for instruction in remaining:
                ready = instruction.slot in copies and instruction.inputs[0] not in waiting
                if ready:
                    groups.append((None, [instruction]))
                    waiting.discard(instruction.slot)
                else:
                    left.append(instruction)
            remaining = left
            first = next(
                (i for i in remaining if i.slot not in copies and self._ready(i, waiting)), None
            )
            if first is None:
                continue
            place, own, left = self._place(first), [], []
            for instruction in remaining:
                fits = instruction.slot not in copies and self._place(instruction) is place
                if fits and self._ready(instruction, waiting):
                    own.append(instruction)
                    waiting.discard(instruction.slot)
                else:
                    left.append(instruction)
            groups.append((place, own))
            remaining = left
        return groups

    def _ready(self, instruction: Instruction, waiting: set[int]) -> bool:
        return not any(slot in waiting for slot in self._read_by(instruction))

    def _read_by(self, instruction: Instruction) -> set[int]:
        """What an instruction reads that is computed in one place; values that any device computes
        are looked through."""
        found: set[int] = set()
        stack = list(instruction.inputs)
        while stack:
            slot = stack.pop()
            if self._is_free(slot):
                stack.extend(self.by_slot[slot].inputs)
            else:
                found.add(slot)
        return found

    def _with_free(self, own: list[Instruction]) -> list[Instruction]:
        """The instructions, with what they read that any device computes, in recorded order."""
        slots = {i.slot for i in own}
        stack = [s for i in own for s in i.inputs]
        while stack:
            slot = stack.pop()
            if slot not in slots and self._is_free(slot):
                slots.add(slot)
                stack.extend(self.by_slot[slot].inputs)
        return [self.by_slot[slot] for slot in sorted(slots)]

    def _stretch(self, members: list, own: list, outside: set[int]) -> Plan:
        kept = {i.slot for i in own if i.live} | outside
        instructions = [Instruction(i.slot, i.inputs, i.slot in kept) for i in members]
        last_use: dict[int, int] = {}
        for position, instruction in enumerate(instructions):
            for slot in (*instruction.inputs, instruction.slot):
                last_use[slot] = position
        for slot, position in last_use.items():
            instructions[position].last_uses += (slot,)
        live = tuple(i.slot for i in instructions if i.live)
        leaves = tuple(leaf_of(self.nodes[s]) for s in live)
        return Plan(tuple(instructions), live, leaves, 0)
