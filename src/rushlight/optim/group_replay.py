"""Replaying the update of a parameter group.

An update records the same operations at each step; only numbers change.  `GroupReplay` learns them
from an outline of the rule and puts the block of the update on the tape, if everything it takes for
granted still holds: the parameters all have gradients, the state tensors are the ones it knows, and
nobody else wrote the step counts.  Level 12.
"""

from __future__ import annotations

from operator import is_
from typing import Any, NamedTuple

import numpy as np

from rushlight.base.config import config
from rushlight.base.dtypes import narrow
from rushlight.optim.outline import NeedsTensors, Outline
from rushlight.tape.block import Block, block_since
from rushlight.tape.memo import SCALAR
from rushlight.tape.node import SEGMENT_RANGE, Node
from rushlight.tape.tape import local
from rushlight.tensor.flush import assign_node
from rushlight.tensor.storage import refresh, storage_of
from rushlight.tensor.tensor import Tensor, scalar_node

State = dict[str, Any]

# Blocks remembered for one memo position.
_MOST_BLOCKS = 64


class Member(NamedTuple):
    """A parameter that takes part in a step."""

    param: Tensor
    grad: Tensor
    state: State


class Known(NamedTuple):
    """The number that a 0-d state tensor holds as long as its value is this node."""

    node: Node
    value: float

    def held_by(self, tensor: Tensor) -> bool:
        """Whether the tensor still holds the number."""
        storage = tensor._storage
        return (
            tensor._node is self.node
            and storage is not None
            and storage.stamp == tensor._seen
            and storage.pinned is None
        )


class Update(NamedTuple):
    """outputs: (slot, step) of each new value.  numbers: slots of the numbers, in their order."""

    outputs: tuple[tuple[int, Any], ...]
    numbers: tuple[int, ...]


class GroupReplay:
    """What is known about a group after it was updated as one bucket.

    members: the parameters and their states.  names: states of the parameter's shape; the others
    are the optimizer's `scalars`.
    """

    def __init__(self, group: dict[str, Any], members: list[Member], scalars: tuple) -> None:
        self.dtype = members[0].param.dtype
        self.entries = [
            (member.param, member.state, tuple(member.state.values())) for member in members
        ]
        self.names = tuple(name for name in members[0].state if name not in scalars)
        self.scalars = scalars
        self.owners = {
            name: [(member.param, member.state[name]) for member in members] for name in scalars
        }
        self.complete = len(members) == len(group["params"]) and not self.dtype.is_complex
        # The numbers as this object last wrote or found them.
        self.known: dict[str, Known] = {}

    def step(self, optimizer, group: dict[str, Any]) -> bool:
        """Update the group; False if that must be done the ordinary way."""
        if config.eager or not config.blocks or not self.complete:
            return False
        if len(group["params"]) != len(self.entries):
            return False
        tape = local.tape
        numbers = self._numbers(optimizer)
        if numbers is None:
            return False
        slots = self._slots(optimizer, group, tape)
        if slots is None:
            return False
        outline = Outline()
        try:
            x, changed, new_numbers = optimizer.rule(
                group,
                outline.value(),
                outline.value(),
                {name: outline.value() for name in self.names},
                numbers,
            )
        except NeedsTensors:
            self.complete = False
            return False
        if not set(self.names).issuperset(changed):
            return False
        targets = [param for param, _, _ in self.entries]
        results = [x.index]
        for name, value in changed.items():
            targets.extend([state[name] for _, state, _ in self.entries])
            results.append(value.index)
        key = (self.names, *slots, *outline.operations, *changed, *results)
        position = tape.step
        block = None if position.blocks is None else position.blocks.get(key)
        if block is None:
            self._record(optimizer, group, numbers, targets, outline, key)
            self.known = {}
            return True
        nodes = block.put_on(tape)
        update = block.results
        dtype = self.dtype
        for slot, number in zip(update.numbers, outline.numbers):
            nodes[slot] = scalar_node(number, dtype)
        for (slot, step), target in zip(update.outputs, targets):
            assign_node(target, target._storage, nodes.result(slot, step), tape)
        for name, value in new_numbers.items():
            self.known[name] = optimizer.write_number(self.owners[name], name, value)
        if block.end.cut is not None:
            tape.flush(block.end.cut)
        return True

    def _numbers(self, optimizer) -> dict[str, float] | None:
        """The scalars' values, which all parameters share; None if they do not, or it is unsure."""
        found = {}
        for name in self.scalars:
            known = self.known.get(name)
            if known is None:
                param, _, _ = self.entries[0]
                known = optimizer.known_number(param, name)
                if known is None:
                    return None
                self.known[name] = known
            for _, tensor in self.owners[name]:
                if not known.held_by(tensor):
                    self.known.clear()
                    return None
            found[name] = known.value
        return found

    def _slots(self, optimizer, group: dict[str, Any], tape) -> list[int] | None:
        """Slots of parameters, gradients and states, all current and on the tape."""
        states = optimizer.state
        tensors: list[Tensor] = []
        for param, (known, state, values) in zip(group["params"], self.entries):
            grad = param._grad
            if param is not known or grad is None or grad._node.dtype is not self.dtype:
                return None
            if states.get(param) is not state or len(state) != len(values):
                return None
            if not all(map(is_, state.values(), values)):
                return None
            tensors.append(param)
            tensors.append(grad)
            tensors.extend([state[name] for name in self.names])
        base = tape.base
        slots = []
        for tensor in tensors:
            storage = tensor._storage
            if storage is not None:
                if storage.pinned is not None:
                    return None
                if storage.stamp != tensor._seen:
                    refresh(tensor)
            node = tensor._node
            slot = node.address - base
            if not 0 <= slot < SEGMENT_RANGE:
                slot = tape.leaf(node)
            slots.append(slot)
        return slots

    def _record(self, optimizer, group, numbers, targets, outline: Outline, key: tuple) -> None:
        """Record the update one by one, and keep its block."""
        tape = local.tape
        position = tape.step
        start, base = len(tape.nodes), tape.base
        members = [Member(param, param._grad, state) for param, state, _ in self.entries]
        tape.in_block = True
        try:
            optimizer.step_bucket(group, members, numbers)
        finally:
            tape.in_block = False
        block = block_since(tape, start, base)
        if block is None:
            return
        update = self._update_of(block, targets, outline, tape)
        if update is None:
            return
        block.results = update
        if position.blocks is None or len(position.blocks) >= _MOST_BLOCKS:
            position.blocks = {}
        position.blocks[key] = block

    def _update_of(self, block: Block, targets, outline: Outline, tape) -> Update | None:
        places = []
        for slot, node in enumerate(block.template, block.start):
            if block.operands[slot - block.start] is None:
                if node.step.primitive is not SCALAR:
                    return None
                places.append((slot, node))
        if len(places) != len(outline.numbers):
            return None
        for (_, node), number in zip(places, outline.numbers):
            expected = narrow(number, self.dtype)
            if node.dtype is not self.dtype or not np.array_equal(
                node.value, expected, equal_nan=True
            ):
                return None
        outputs = []
        for target in targets:
            storage = storage_of(target)
            node = storage.value
            slot = node.address - tape.base
            if storage.pinned is not None or target._layout is not None or node.value is not None:
                return None
            if not block.start <= slot < len(tape.nodes):
                return None
            outputs.append((slot, node.step))
        return Update(tuple(outputs), tuple(slot for slot, _ in places))
