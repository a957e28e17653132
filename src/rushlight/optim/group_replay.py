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
from rushlight.base.dtypes import DType, float32, float64, get_default_dtype, narrow
from rushlight.base.errors import FlushFailed
from rushlight.base.hot import hot
from rushlight.optim.outline import NeedsTensors, Outline
from rushlight.tape.block import MOST_BLOCKS, Block, block_since
from rushlight.tape.memo import SCALAR, LeafSpec
from rushlight.tape.node import SEGMENT_RANGE, Node
from rushlight.tape.resized import note_block, resized_block, shapes_of
from rushlight.tape.tape import local
from rushlight.tensor.flush import assign_nodes
from rushlight.tensor.storage import refresh, storage_of
from rushlight.tensor.tensor import Tensor, scalar_node, tensor_from_numpy

State = dict[str, Any]


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


class Operands(NamedTuple):
    """key: for each operand its slot, or the specification of a leaf that is not on the tape.

    leaves: the nodes of the latter, in order.
    """

    key: list[Any]
    leaves: list[Node]


@hot
class GroupReplay:
    """What is known about a group after it was updated as one bucket.

    members: the parameters and their states.  names: states of the parameter's shape; the others
    are the optimizer's `scalars`, whose values are kept in `known`.
    """

    __slots__ = (
        "params", "states", "dtype", "values", "scalars", "names", "shaped", "counts", "known",
        "usable", "_count_dtype", "_numbers",
    )  # fmt: skip

    def __init__(self, group: dict[str, Any], members: list[Member], scalars: tuple) -> None:
        self.params = [member.param for member in members]
        self.states = [member.state for member in members]
        self.dtype = self.params[0].dtype
        self.values = [value for state in self.states for value in state.values()]
        self.scalars = scalars
        self.names = tuple(name for name in self.states[0] if name not in scalars)
        self.shaped = [state[name] for name in self.names for state in self.states]
        self.counts = {name: [state[name] for state in self.states] for name in scalars}
        self.known: dict[str, Known] = {}
        self.usable = len(members) == len(group["params"]) and not self.dtype.is_complex
        self._count_dtype = count_dtype()
        self._numbers: list[tuple[float, Node]] = []

    @hot
    def step(self, optimizer, group: dict[str, Any]) -> bool:
        """Update the group; False if that must be done the ordinary way."""
        if not self.usable or config.eager or not config.blocks:
            return False
        tape = local.tape
        grads = self._gradients(optimizer, group)
        if grads is None or not self.scalars_hold(optimizer):
            return False
        operands = self._operands(grads)
        if operands is None:
            return False
        outline = Outline()
        known = {name: known.value for name, known in self.known.items()}
        outlined = self.outlined(optimizer, group, outline, known)
        if outlined is None:
            self.usable = False
            return False
        changed, numbers, results = outlined
        key = (*operands.key, *outline.operations, *results)
        blocks = tape.step.blocks
        block = None if blocks is None else blocks.get(key)
        if block is None:
            block = self._resized(key, grads, tape)
        if block is None:
            return self._record(optimizer, group, grads, operands, outline, key)
        update = block.results
        fresh = zip(update.numbers, self.number_nodes(outline.numbers))
        nodes = block.put_on(tape, operands.leaves, fresh)
        assign_nodes(self._targets(changed), nodes.several(update.outputs), tape)
        for name, value in numbers.items():
            assign_nodes(self.counts[name], [self.count_node(name, value)] * len(self.params), tape)
        if tape.recorder is not None:
            operations = (*outline.operations, *results)
            tape.recorder.updated(optimizer, group, self, operations, update.numbers)
        if block.end.cut is not None:
            tape.flush(block.end.cut)
        return True

    @hot
    def outlined(
        self, optimizer, group: dict[str, Any], outline: Outline, known: dict[str, float]
    ) -> tuple[Any, dict[str, float], list[Any]] | None:
        """Run the rule on placeholders: (states that change, new scalars, places of the results).

        known: the scalars before the step.  None if the rule needs tensors.
        """
        try:
            x, changed, numbers = optimizer.rule(
                group,
                outline.value("x"),
                outline.value("g"),
                {name: outline.value(name) for name in self.names},
                known,
            )
        except NeedsTensors:
            return None
        return (
            changed,
            numbers,
            [x.place, *[(name, value.place) for name, value in changed.items()]],
        )

    @hot
    def count_node(self, name: str, value: float) -> Node:
        """What the tensors of a scalar hold from now on."""
        node = scalar_node(value, self._count_dtype)
        self.known[name] = Known(node, value)
        return node

    def _resized(self, key: tuple, grads: list[Tensor], tape) -> Block | None:
        """The block of an update after a recording of other sizes."""
        position = tape.step
        block = resized_block(key, position, self._sizes(grads))
        if block is None:
            return None
        update = block.results
        slots = tuple([slot for slot, _ in update.outputs])
        block.results = Update(tuple(zip(slots, block.steps_at(slots))), update.numbers)
        if tape.keeps(block):
            if position.blocks is None or len(position.blocks) >= MOST_BLOCKS:
                position.blocks = {}
            position.blocks[key] = block
        return block

    def _sizes(self, grads: list[Tensor]) -> tuple[int, ...]:
        return shapes_of([t._node for t in (*self.params, *grads, *self.shaped)])

    def bring_leaves(self, grads: list[Tensor]) -> None:
        """Put the operands that are leaves on the tape in the order of a replay.

        The first update, which is recorded one by one, then is the program that is replayed later.
        """
        operands = self._operands(grads) if self.usable else None
        for leaf in () if operands is None else operands.leaves:
            local.tape.leaf(leaf)

    @hot
    def _operands(self, grads: list[Tensor]) -> Operands | None:
        return _operands([*self.params, *grads, *self.shaped], local.tape)

    def give_back(self, optimizer) -> None:
        """Tell the optimizer the scalars, before it steps the ordinary way."""
        for name, known in self.known.items():
            for param in self.params:
                optimizer.note_number(param, name, known)
        self.known = {}

    @hot
    def _targets(self, changed) -> list[Tensor]:
        targets = list(self.params)
        for name in changed:
            targets.extend([state[name] for state in self.states])
        return targets

    @hot
    def _gradients(self, optimizer, group: dict[str, Any]) -> list[Tensor] | None:
        """All gradients; None if parameters or states are not the ones known."""
        params, states = self.params, self.states
        if len(group["params"]) != len(params) or not all(map(is_, group["params"], params)):
            return None
        everything = optimizer.state
        values: list[Any] = []
        for param, state in zip(params, states):
            if everything.get(param) is not state:
                return None
            values += state.values()
        if len(values) != len(self.values) or not all(map(is_, values, self.values)):
            return None
        grads = [param._grad for param in params]
        for grad in grads:
            if grad is None or grad._node.dtype is not self.dtype:
                return None
        return grads  # type: ignore[return-value]

    @hot
    def scalars_hold(self, optimizer) -> bool:
        """Whether every parameter still has the scalars that were last written."""
        for name in self.scalars:
            known = self.known.get(name)
            if known is None:
                known = optimizer.known_number(self.params[0], name)
                if known is None:
                    return False
                self.known[name] = known
            node = known.node
            for tensor in self.counts[name]:
                storage = tensor._storage
                # Pinned memory never has been seen at its stamp.
                if tensor._node is not node or storage is None or storage.stamp != tensor._seen:
                    return False
        return True

    @hot
    def number_nodes(self, numbers: list[float]) -> list[Node]:
        """Leaves of the numbers; those that did not change are the last step's."""
        kept = self._numbers
        if len(kept) != len(numbers):
            kept = self._numbers = [(n, scalar_node(n, self.dtype)) for n in numbers]
        else:
            for place, number in enumerate(numbers):
                if kept[place][0] != number:
                    kept[place] = (number, scalar_node(number, self.dtype))
        return [node for _, node in kept]

    def _record(
        self, optimizer, group, grads, operands: Operands, outline: Outline, key: tuple
    ) -> bool:
        """Record the update one by one, and keep its block."""
        tape = local.tape
        position = tape.step
        start, base = len(tape.nodes), tape.base
        sizes = self._sizes(grads)
        for leaf in operands.leaves:
            tape.leaf(leaf)
        members = [Member(*member) for member in zip(self.params, grads, self.states)]
        numbers = {name: known.value for name, known in self.known.items()}
        tape.in_block = True
        try:
            changed = optimizer.step_bucket(group, members, numbers)
        finally:
            tape.in_block = False
        self.known = {}
        if any(name not in self.names for name in changed):
            return True
        block = block_since(tape, start, base, operands.leaves)
        update = None if block is None else self._update_of(block, changed, outline, tape)
        if block is None or update is None:
            return True
        block.results = update
        if position.blocks is None or len(position.blocks) >= MOST_BLOCKS:
            position.blocks = {}
        position.blocks[key] = block
        note_block(key, position, block, sizes, update.numbers)
        return True

    def _update_of(self, block: Block, changed, outline: Outline, tape) -> Update | None:
        """Where the block's results and numbers lie; None if they are not what was outlined."""
        places = []
        for slot, (operands, node) in enumerate(zip(block.operands, block.template), block.start):
            if operands is None and slot not in block.leaves:
                if node.step.primitive is not SCALAR or node.dtype is not self.dtype:
                    return None
                places.append((slot, node))
        if len(places) != len(outline.numbers):
            return None
        for (_, node), number in zip(places, outline.numbers):
            if not np.array_equal(node.value, narrow(number, self.dtype), equal_nan=True):
                return None
        outputs = []
        for target in self._targets(changed):
            storage = storage_of(target)
            node = storage.value
            slot = node.address - tape.base
            if storage.pinned is not None or target._layout is not None or node.value is not None:
                return None
            if not block.start <= slot < len(tape.nodes):
                return None
            outputs.append((slot, node.step))
        return Update(tuple(outputs), tuple(slot for slot, _ in places))


@hot
def _operands(tensors: list[Tensor], tape) -> Operands | None:
    """The current values of tensors; None if one is shared with the outside or failed."""
    base: int = tape.base
    key: list[Any] = []
    leaves: list[Node] = []
    for tensor in tensors:
        storage = tensor._storage
        if storage is not None and storage.stamp != tensor._seen:
            if storage.pinned is not None:
                return None
            refresh(tensor)
        node = tensor._node
        slot: int = node.address - base
        if 0 <= slot < SEGMENT_RANGE:
            key.append(slot)
            continue
        spec = node.step
        if spec.__class__ is not LeafSpec or node.value.__class__ is FlushFailed:
            return None
        leaves.append(node)
        key.append(spec)
    # One leaf for two operands would take another path along the memo.
    if len(set(map(id, leaves))) != len(leaves):
        return None
    return Operands(key, leaves)


def count_tensor(value: float) -> Tensor:
    """A 0-d tensor of the dtype that counts and schedules are kept in."""
    dtype = count_dtype()
    return tensor_from_numpy(np.array(value, dtype=dtype.numpy), dtype)


def count_dtype() -> DType:
    """float32, or float64 where that is the default dtype."""
    return float64 if get_default_dtype() is float64 else float32
