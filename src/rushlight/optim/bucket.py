"""Bucket: parameters that are updated together, and the update as a block.

The parameters, gradients and states of a bucket are packed into flat tensors, the optimizer's rule
runs once on those, and the results are unpacked: what a step records does not grow with the number
of parameters.  Which operations a rule records follows from the form of its numbers alone, so its
update is put on the tape as a whole when the same form was recorded there before, with the numbers
of this step.  Level 12.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any, NamedTuple

from rushlight.base.config import config
from rushlight.base.dtypes import HALVES, float32
from rushlight.base.errors import FlushFailed
from rushlight.base.hot import hot
from rushlight.ops.promotion import to_dtype
from rushlight.primitives.elementwise import imag, make_complex, real
from rushlight.primitives.movement import pack, unpack
from rushlight.tape.block import Block, block_since
from rushlight.tape.memo import LeafSpec
from rushlight.tape.node import SEGMENT_RANGE, Node
from rushlight.tape.resized import note_block, resized_block, shapes_of
from rushlight.tape.tape import local
from rushlight.tensor.flush import assign_nodes
from rushlight.tensor.memory import storage_of
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.storage import refresh, write
from rushlight.tensor.tensor import Tensor, scalar_node, wrap

State = dict[str, Any]
Flat = dict[str, Tensor]


class Numbers(NamedTuple):
    """What the options and step counts of a group come to in one step.

    form: all that decides which operations the rule records; hashable.
    values: the numbers that enter them, by name: Python's, or tensors of one element.
    scalars: the states that are one number per parameter, after the step.
    """

    form: tuple
    values: dict[str, Any]
    scalars: dict[str, float]


class Recorded(NamedTuple):
    """What a bucket remembers of a block.

    numbers: the names of the numbers that entered it, and their slots.
    changed: names of the states that it gives new values.
    """

    numbers: tuple[str, ...]
    slots: tuple[int, ...]
    changed: tuple[str, ...]


@hot
class Bucket:
    """Parameters of a group that share dtype, device, kind of state and step counts.

    states: of each parameter.  names: the states of its shape; the others are the optimizer's
    `scalars`, whose values are `scalars` here and whose tensors are `counts`.
    number_dtype: of the numbers that enter a real update.
    """

    __slots__ = (
        "params", "states", "dtype", "values", "names", "shaped", "scalars", "counts", "held",
        "number_dtype", "_numbers",
    )  # fmt: skip

    def __init__(self, params: list[Tensor], states: list[State], scalars: dict[str, float]):
        self.params = params
        self.states = states
        self.dtype = params[0].dtype
        self.number_dtype = float32 if self.dtype in HALVES else self.dtype
        self.values = [value for state in states for value in state.values()]
        self.names = tuple(name for name in states[0] if name not in scalars)
        self.shaped = [state[name] for name in self.names for state in states]
        self.scalars = scalars
        self.counts = {name: [state[name] for state in states] for name in scalars}
        # The nodes that hold the scalars since the last step.
        self.held: dict[str, Node] = {}
        self._numbers: dict[str, tuple[Any, Node]] = {}
        for tensor in (*params, *self.shaped):
            storage_of(tensor)

    @hot
    def gradients(self, everything) -> list[Tensor] | None:
        """The parameters' gradients; None where the bucket is not what it was.

        everything: the optimizer's states by parameter.
        """
        grads: list[Any] = []
        values: list[Any] = []
        for param, state in zip(self.params, self.states):
            present = everything.get(param)
            if present is not state and (present or state):
                return None  # an empty one need not be there
            values += state.values()
            grad = param._grad
            if grad is None or grad.__class__ is SparseTensor or (
                grad._node.dtype is not self.dtype
            ):  # fmt: skip
                return None
            grads.append(grad)
        if len(values) != len(self.values) or not all(map(is_, values, self.values)):
            return None
        return grads if self.scalars_hold() else None

    @hot
    def scalars_hold(self) -> bool:
        """Whether every parameter still has the scalars that were last written."""
        for name, tensors in self.counts.items():
            node = self.held.get(name)
            for tensor in tensors:
                storage = tensor._storage
                # Pinned memory never has been seen at its stamp.
                if tensor._node is not node or storage is None or storage.stamp != tensor._seen:
                    return False
        return True

    @hot
    def update(self, optimizer, group: dict[str, Any], grads: list[Tensor], follow: bool) -> None:
        """One step of these parameters.  follow: whether autograd is to see it."""
        tape = local.tape
        numbers = optimizer.numbers_of(group, self.scalars)
        found = None
        plain = not (follow or config.eager or tape.in_block or self.dtype.is_complex)
        if plain and config.blocks:
            found = self._operands(grads, numbers.values, tape)
        if found is None:
            self._record(optimizer, numbers, grads, follow)
            self._count(numbers.scalars, tape)
            return
        operands, leaves = found
        key = (optimizer.__class__, numbers.form, *operands)
        blocks = tape.step.blocks
        block = None if blocks is None else blocks.get(key)
        if block is None:
            block = resized_block(tape, key, key, self._sizes(grads))
        if block is None:
            self._record_block(optimizer, numbers, grads, key, leaves)
            self._count(numbers.scalars, tape)
            return
        about = block.about
        fresh = zip(about.slots, self.number_nodes(numbers.values, about.numbers))
        nodes = block.put_on(tape, leaves, fresh)
        assign_nodes(self._targets(about.changed), nodes.several(block.outputs), tape)
        self._count(numbers.scalars, tape)
        if tape.recorder is not None:
            tape.recorder.updated(optimizer, group, self, numbers, about)
        if block.end.cut is not None:
            tape.flush(block.end.cut)

    @hot
    def _operands(
        self, grads: list[Tensor], numbers: dict[str, Any], tape
    ) -> tuple[list[Any], list[Node]] | None:
        """The key of the operands, for each its slot or the specification of a leaf, and those
        leaves; None if one is shared with the outside, or part of something, or failed."""
        base: int = tape.base
        key: list[Any] = [name for name, number in numbers.items() if isinstance(number, Tensor)]
        leaves: list[Node] = []
        options = [numbers[name] for name in key]
        for tensor in [*self.params, *grads, *self.shaped, *options]:
            storage = tensor._storage
            if storage is not None and storage.stamp != tensor._seen:
                if storage.pinned is not None:
                    return None
                refresh(tensor)
            layout = tensor._layout
            if layout is not (None if storage is None else storage.layout):
                return None
            node = tensor._node
            slot: int = node.address - base
            if 0 <= slot < SEGMENT_RANGE:
                key.append(slot)
            elif node.step.__class__ is LeafSpec and node.value.__class__ is not FlushFailed:
                leaves.append(node)
                key.append(node.step)
            else:
                return None
            if layout is not None:
                key.append(layout)
        # One leaf for two operands would take another path along the memo.
        if len(set(map(id, leaves))) != len(leaves):
            return None
        return key, leaves

    def _sizes(self, grads: list[Tensor]) -> tuple[int, ...]:
        return shapes_of([t._node for t in (*self.params, *grads, *self.shaped)])

    @hot
    def _targets(self, changed: tuple[str, ...]) -> list[Tensor]:
        targets = list(self.params)
        for name in changed:
            targets.extend([state[name] for state in self.states])
        return targets

    @hot
    def number_nodes(self, values: dict[str, Any], names: tuple[str, ...]) -> list[Node]:
        """Leaves of some numbers; those that did not change are the last step's."""
        kept = self._numbers
        nodes = []
        for name in names:
            number = values[name]
            known = kept.get(name)
            if known is None or known[0] != number:
                known = kept[name] = (number, scalar_node(number, self.number_dtype))
            nodes.append(known[1])
        return nodes

    # ---- scalars -----------------------------------------------------------------------------

    @hot
    def _count(self, scalars: dict[str, float], tape) -> None:
        for name, value in scalars.items():
            tensors = self.counts[name]
            held = self.held.get(name) is not None
            node = self.count_node(name, value)
            if held:
                assign_nodes(tensors, [node] * len(tensors), tape)
            else:
                # The first time: they may be shared with the outside.
                for tensor in tensors:
                    tensor._assign_value(wrap(node))

    @hot
    def count_node(self, name: str, value: float) -> Node:
        """What the tensors of a scalar hold from now on."""
        node = scalar_node(value, self.counts[name][0]._node.dtype)
        self.scalars[name] = value
        self.held[name] = node
        return node

    # ---- recording ---------------------------------------------------------------------------

    def _record_block(
        self, optimizer, numbers: Numbers, grads: list[Tensor], key: tuple, leaves: list[Node]
    ) -> None:
        """Record the update one by one, and keep its block."""
        tape = local.tape
        position, sizes = tape.step, self._sizes(grads)
        start, base = len(tape.nodes), tape.base
        # In the order of a replay, so that the program is the one that is replayed later.
        for leaf in leaves:
            tape.leaf(leaf)
        tape.in_block = True
        try:
            changed, entered = self._record(optimizer, numbers, grads, False)
        finally:
            tape.in_block = False
        block = block_since(tape, start, base, leaves)
        if block is not None and self._complete(block, changed, entered, tape):
            note_block(position, key, key, block, sizes, block.about.slots)

    def _record(
        self, optimizer, numbers: Numbers, grads: list[Tensor], follow: bool
    ) -> tuple[tuple[str, ...], dict[str, Node]]:
        """Record the update; returns names of the states that change, and the numbers' leaves."""
        is_complex = self.dtype.is_complex

        def packed(tensors: list[Tensor]) -> Tensor:
            flat = pack(tensors)
            return pack([real(flat), imag(flat)]) if is_complex else flat

        # 16 bits keep values: the rule's arithmetic has more, and each result is rounded once.
        is_narrow = self.dtype in HALVES

        def entering(tensors: list[Tensor]) -> Tensor:
            return to_dtype(packed(tensors), float32) if is_narrow else packed(tensors)

        x, g = entering(self.params), entering(grads)
        states = {name: entering([state[name] for state in self.states]) for name in self.names}
        values, entered = {}, {}
        for name, number in numbers.values.items():
            if isinstance(number, Tensor):
                values[name] = number
            else:
                # A leaf each, also of equal numbers: next time they may differ.
                node = entered[name] = scalar_node(number, x.dtype)
                values[name] = wrap(node)
        x, changed = optimizer.rule_of(numbers.form, x, g, states, values)
        self._write(self.params, x, follow)
        for name, flat in changed.items():
            self._write(
                [optimizer.state_tensor(param, name) for param in self.params], flat, follow
            )
        return tuple(changed), entered

    def _write(self, targets: list[Tensor], flat: Tensor, follow: bool) -> None:
        if self.dtype.is_complex:
            half = (flat.shape[0] // 2,)
            flat = make_complex(*unpack(flat, (half, half)))
        elif self.dtype in HALVES:
            flat = to_dtype(flat, self.dtype)
        assign: Callable[[Tensor, Tensor], Any] = write if follow else Tensor._assign_value
        shapes = tuple(tuple(target.shape) for target in targets)
        for target, value in zip(targets, unpack(flat, shapes)):
            assign(target, value)

    def _complete(
        self, block: Block, changed: tuple[str, ...], entered: dict[str, Node], tape
    ) -> bool:
        """Note where the block's results and numbers lie; False if it cannot be replayed."""
        if any(name not in self.names for name in changed):
            return False  # a state of the rule's own began
        numbers = {}
        for name, node in entered.items():
            slot = node.address - tape.base
            if 0 <= slot < SEGMENT_RANGE:
                if slot < block.start or tape.nodes[slot] is not node:
                    return False
                numbers[name] = slot
        outputs = []
        for target in self._targets(changed):
            storage = storage_of(target)
            node = storage.value
            slot = node.address - tape.base
            if storage.pinned is not None or target._layout is not storage.layout:
                return False
            if node.value is not None or not block.start <= slot < len(tape.nodes):
                return False
            outputs.append((slot, node.step))
        block.outputs = tuple(outputs)
        block.about = Recorded(tuple(numbers), tuple(numbers.values()), changed)
        return True


@hot
def has_tensors(numbers: dict[str, Any]) -> bool:
    """Whether one of the numbers is a tensor."""
    return any([isinstance(number, Tensor) for number in numbers.values()])
