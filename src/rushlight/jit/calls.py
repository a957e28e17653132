"""Calls of an archive's methods that are recorded once, and put on the tape as a whole afterwards.

An archive's code can look at nothing but its arguments and what its module holds.  A method that
changes nothing, draws no random numbers and reads no values on the host therefore records the same
operations whenever it is called with arguments of the same kind at the same memo position: they
become a block (`tape/block.py`).  A kind of call is *probed* first, with arguments that have no
value yet, so that whatever reads one is seen; recorded the second time; and replayed from then on,
as long as the modules hold the very same objects.  Only calls that autograd does not follow are
taken.  Level: jit (12).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from operator import is_
from typing import Any

from rushlight.base.config import config
from rushlight.base.dtypes import get_default_dtype
from rushlight.nn.modules.module import Module
from rushlight.primitives.movement import copy
from rushlight.selfcompile.warmup import is_suspended
from rushlight.tape.block import Block, block_since
from rushlight.tape.memo import SCALAR
from rushlight.tape.node import SEGMENT_RANGE, Node
from rushlight.tape.resized import keep_block
from rushlight.tape.tape import local
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Tensor, wrap
from rushlight.tensor.torch_function import state as dispatch

# Calls that record fewer operations are not worth the look at what the modules hold.
FEWEST_OPERATIONS = 12
# Calls in turn that were not replayed, for whatever reason, after which a method is left alone.
MOST_VAIN = 8
# Kinds of calls of one method that are known.
MOST_KINDS = 64

_PLAIN = (type(None), str, bool, int, float)


class Effects:
    """How often code of this process ran that changes what modules hold, or lists it was given."""

    count = 0


class Surroundings:
    """What the modules below one hold: a call is replayed while they are the very same objects.

    tensors: in the order found.  nodes: their values.  used: those that the call needs.
    """

    def __init__(self, owner: Module) -> None:
        modules = list(owner.modules())
        self.tables = [table for module in modules for table in _tables_of(module)]
        self.held = self._now()
        self.states = [module.__dict__ for module in modules]
        self.training = self._modes()
        self.token = object()  # what blocks are known by: it keeps no weights alive
        found = {id(value): value for value in self.held if isinstance(value, Tensor)}
        self.tensors = list(found.values())
        for tensor in self.tensors:
            if tensor._storage is not None and tensor._storage.stamp != tensor._seen:
                refresh(tensor)
        self.nodes = [tensor._node for tensor in self.tensors]
        self.used: list[Node] = []

    def _now(self) -> list[Any]:
        return list(chain.from_iterable(map(dict.values, self.tables)))

    def _modes(self) -> list[Any]:
        return [state.get("_training") for state in self.states]

    def hold(self) -> bool:
        """Whether all is as it was."""
        held = self._now()
        return (
            len(held) == len(self.held)
            and all(map(is_, held, self.held))
            and all([t._node is node for t, node in zip(self.tensors, self.nodes)])
            and self._modes() == self.training
            and not any([_is_stale(tensor) for tensor in self.tensors])
        )

    def follow(self) -> bool:
        """Whether autograd follows one of the tensors."""
        return any(tensor._grad_fn is not None for tensor in self.tensors)

    def note_used(self, tape: Any) -> None:
        """Keep those tensors' values that lie on the tape."""
        base = tape.base
        self.used = [n for n in self.nodes if 0 <= n.address - base < SEGMENT_RANGE]


def _is_stale(tensor: Tensor) -> bool:
    storage = tensor._storage
    return storage is not None and storage.stamp != tensor._seen


def _tables_of(module: Module) -> Iterator[dict]:
    state = module.__dict__
    for name in ("_parameters", "_buffers", "_modules", "_fields"):
        if state.get(name):
            yield state[name]


class _Witness:
    """What a tape and draws of random numbers tell while a call is probed."""

    def __init__(self) -> None:
        self.problem = False

    def flushing(self, nodes: Any, reason: str) -> None:
        self.problem = True

    def drawn(self, node: Any, values: Any) -> None:
        self.problem = True

    def reserved(self, *_: Any) -> None:
        self.problem = True

    def flushed(self, nodes: Any, error: Any) -> None:
        """Nothing: `flushing` came before."""

    def updated(self, *details: Any) -> None:
        self.problem = True


class Call:
    """A method of one module, which is given first.

    kinds: of calls that were probed, with the arrays that they brought.
    vain: calls since the last one that was replayed.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.surroundings: Surroundings | None = None
        self.kinds: dict[tuple, list[Node]] = {}
        self.vain = 0

    def __call__(self, owner: Module, *args: Any, **kwargs: Any) -> Any:
        tape = local.tape
        if (
            self.vain >= MOST_VAIN
            or kwargs
            or tape.in_block
            or tape.recorder is not None
            or tape.transforms is not None
            or dispatch.autocast is not None
            or config.eager
            or not config.blocks
            or is_suspended()
        ):
            return self.function(owner, *args, **kwargs)
        kind, tensors = _kind_of(args, tape.grad_enabled)
        around = self.surroundings
        if kind is None or (tape.grad_enabled and around is not None and around.follow()):
            return self.function(owner, *args)
        if around is None or not around.hold():
            self.kinds.clear()
            self.surroundings = Surroundings(owner)
        brought = self.kinds.get(kind)
        if brought is None:
            return self._probe(owner, kind, args, tensors, tape)
        return self._replay(owner, kind, args, tensors, brought, tape)

    def _probe(
        self, owner: Module, kind: tuple, args: tuple, tensors: list[Tensor], tape: Any
    ) -> Any:
        """Call with arguments that have no value yet: what reads one, or does more, is seen."""
        around, witness, effects = self.surroundings, _Witness(), Effects.count
        assert around is not None
        start, base = len(tape.nodes), tape.base
        before = [tensor._node for tensor in tensors]
        pending = [copy(tensor)._node for tensor in tensors]
        for tensor, node in zip(tensors, pending):
            tensor._node = node
        tape.recorder = witness
        try:
            result = self.function(owner, *args)
        finally:
            tape.recorder = None
            unchanged = all([tensor._node is node for tensor, node in zip(tensors, pending)])
            for tensor, node, former in zip(tensors, pending, before):
                if tensor._node is node:  # else it was written
                    tensor._node = former
        self.vain += 1
        good = not witness.problem and tape.base == base and Effects.count == effects
        good = good and unchanged and len(tape.nodes) - start >= FEWEST_OPERATIONS
        if good and around.hold() and not (tape.grad_enabled and around.follow()):
            if len(self.kinds) >= MOST_KINDS:
                self.kinds.clear()
            around.note_used(tape)
            tape.nodes.expand()
            self.kinds[kind] = _arrays(tape.nodes[start:])
        return result

    def _replay(
        self,
        owner: Module,
        kind: tuple,
        args: tuple,
        tensors: list[Tensor],
        brought: list[Node],
        tape: Any,
    ) -> Any:
        around = self.surroundings
        assert around is not None
        base = tape.base
        slots: list[Any] = [around.token, kind]
        for node in chain([tensor._node for tensor in tensors], around.used):
            slot = node.address - base
            slots.append(slot if 0 <= slot < SEGMENT_RANGE else tape.leaf(node))
        key = tuple(slots)
        blocks = tape.step.blocks
        block = None if blocks is None else blocks.get(key)
        if block is None:
            return self._record(owner, key, args, tensors, brought, tape)
        self.vain = 0
        made = [wrap(node) for node in block.put_on(tape).several(block.outputs)]
        if block.end.cut is not None:
            tape.flush(block.end.cut)
        return _filled(block.about, made)

    def _record(
        self,
        owner: Module,
        key: tuple,
        args: tuple,
        tensors: list[Tensor],
        brought: list[Node],
        tape: Any,
    ) -> Any:
        position = tape.step
        start, base = len(tape.nodes), tape.base
        before = [tensor._node for tensor in tensors]
        tape.in_block = True
        try:
            result = self.function(owner, *args)
        finally:
            tape.in_block = False
        block = None
        if all([tensor._node is node for tensor, node in zip(tensors, before)]):
            block = _block_of(tape, start, base, brought, result)
            known = set(key[2:])
            if block is not None and not _looks_at(block) <= known:
                block = None
        if block is None:
            self.vain += 1
        else:
            keep_block(position, key, block)
        return result


def _kind_of(args: tuple, followed: bool) -> tuple[tuple | None, list[Tensor]]:
    """What decides what a call records, and the tensors among its arguments; None: unknown."""
    key: list[Any] = [get_default_dtype()]
    tensors: list[Tensor] = []
    waiting = list(reversed(args))
    while waiting:
        value = waiting.pop()
        kind = value.__class__
        if kind is Tensor:
            storage = value._storage
            if storage is not None and storage.stamp != value._seen:
                refresh(value)
                if storage.pinned is not None:
                    return None, tensors
            if followed and value._grad_fn is not None:
                return None, tensors
            step = value._node.step
            layout = value._layout
            key += (Tensor, step.shape, step.dtype, step.device, step.order)
            key.append(None if layout is None else layout[0])
            tensors.append(value)
        elif kind is tuple:
            key += (tuple, len(value))
            waiting.extend(reversed(value))
        elif kind in _PLAIN:
            key += (kind, repr(value) if kind is float else value)
        else:
            return None, tensors
    return tuple(key), tensors


def _arrays(nodes: list[Node]) -> list[Node]:
    """The arrays that a call brought by itself."""
    return [n for n in nodes if n.value is not None and n.step.primitive is not SCALAR]


def _block_of(tape: Any, start: int, base: int, brought: list[Node], result: Any) -> Block | None:
    """What a call recorded, with its results; None if it cannot be replayed."""
    arrays = _arrays(tape.nodes[start:]) if tape.base == base else []
    # One that is made anew at each call may be another each time.
    if not all(any(node is one for one in brought) for node in arrays):
        return None
    block = block_since(tape, start, base, arrays)
    if block is None:
        return None
    block.constants = (*block.constants, *[(n.address - base, n) for n in arrays])
    block.template = tuple(
        [node if any(node is one for one in arrays) else held
         for node, held in zip(tape.nodes[start:], block.template)]
    )  # fmt: skip
    block.leaves = ()
    tensors: list[Tensor] = []
    shape = _shape_of(result, tensors)
    storages = [id(t._storage) for t in tensors if t._storage is not None]
    if shape is None or not tensors or len(set(storages)) != len(storages):
        return None
    outputs = []
    for tensor in tensors:
        node = tensor._node
        slot = node.address - base
        plain = tensor._layout is None and node.step.order is None and tensor._grad_fn is None
        if not plain or _is_stale(tensor) or not start <= slot < start + len(block.steps):
            return None
        if node.value is not None:
            return None
        outputs.append((slot, node.step))
    block.outputs, block.about = tuple(outputs), shape
    return block


def _looks_at(block: Block) -> set[int]:
    """Slots of what was on the tape before a block and is an operand in it."""
    slots = {slot for operands in block.operands for slot in operands or ()}
    return {slot for slot in slots if slot < block.start}


def _shape_of(result: Any, tensors: list[Tensor]) -> Any:
    """The result with the tensors' places for the tensors; None for what cannot be made again."""
    if result.__class__ is Tensor:
        tensors.append(result)
        return _Place(len(tensors) - 1)
    if result.__class__ is tuple:
        parts = [_shape_of(one, tensors) for one in result]
        return None if any(part is None for part in parts) else tuple(parts)
    return None


class _Place(int):
    """Where a tensor stands."""


def _filled(shape: Any, made: list[Tensor]) -> Any:
    if shape.__class__ is tuple:
        return tuple([_filled(part, made) for part in shape])
    return made[shape]
