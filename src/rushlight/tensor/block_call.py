"""Functions that record a block: what they record follows from their arguments alone.

`replayed` marks a function of tensors and plain values that records many operations and gives one
fresh tensor.  Its first call at a memo position runs it; later calls with the same operand slots
and the same values put the block on the tape again, with one node of the graph (`BlockGrad`)
instead of many.  The function may not read values, draw random numbers, write in place or look at
anything else that can change.  Level 10.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from rushlight.base.config import config
from rushlight.base.hot import hot
from rushlight.tape.block import Block, block_since
from rushlight.tape.memo import SCALAR
from rushlight.tape.node import SEGMENT_RANGE
from rushlight.tape.resized import keep_block, note_block, resized_block, shapes_of
from rushlight.tape.tape import local
from rushlight.tensor.graph import BlockGrad, GradNode, GradTemplate
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Tensor, wrap

_Function = TypeVar("_Function", bound=Callable[..., Any])

# In `Step.blocks`: this call was seen to record what cannot be replayed.
NOT_A_BLOCK = False

_PLAIN = (type(None), str)
_NUMBERS = (bool, int, float)


class History(NamedTuple):
    """How a call's result came about.

    graph: its nodes, operands first; empty if it needs no gradient.
    checked: slots of operands or the result that backward reads.  saves: whether it reads anything.
    homes: (slot, operand's slot) of values that are views of an operand's memory.
    """

    graph: tuple[GradTemplate, ...]
    checked: tuple[int, ...]
    saves: bool
    homes: tuple[tuple[int, int], ...]


def replayed(function: _Function) -> _Function:
    """Let calls of `function` be replayed; see the module docstring."""

    @functools.wraps(function)
    @hot
    def call(*args, **kwargs):
        tape = local.tape
        if tape.in_block or config.eager or not config.blocks:
            return function(*args, **kwargs)
        operands: list[Tensor] = []
        key: list[Any] = [function, len(args)]
        if not _describe(args, operands, key, tape):
            return function(*args, **kwargs)
        if kwargs:
            key.extend(kwargs)
            if not _describe(kwargs.values(), operands, key, tape):
                return function(*args, **kwargs)
        name = tuple(key)
        position = tape.step
        blocks = position.blocks
        block = None if blocks is None else blocks.get(name)
        if block is not None:
            if block is NOT_A_BLOCK:
                return function(*args, **kwargs)
            return _replay(block, operands, tape)
        sizes = shapes_of([operand._node for operand in operands])
        block = resized_block(tape, name, name, sizes)
        if block is not None:
            return _replay(block, operands, tape)
        start, base = len(tape.nodes), tape.base
        tape.in_block = True
        try:
            result = function(*args, **kwargs)
        finally:
            tape.in_block = False
        block = _block_of(tape, start, base, operands, result)
        if block is None:
            keep_block(position, name, NOT_A_BLOCK)
        else:
            note_block(position, name, name, block, sizes)
        return result

    return call  # type: ignore[return-value]


@hot
def _describe(arguments, operands: list, key: list, tape) -> bool:
    """Add the arguments to the key, tensors also to the operands; False: leave this call alone."""
    base: int = tape.base
    followed = tape.grad_enabled
    for argument in arguments:
        kind = argument.__class__
        if kind in _PLAIN:
            key.append(argument)
        elif isinstance(argument, Tensor):
            storage = argument._storage
            if storage is not None:
                if storage.pinned is not None:
                    return False
                if storage.stamp != argument._seen:
                    refresh(argument)
            node = argument._node
            slot: int = node.address - base
            if not 0 <= slot < SEGMENT_RANGE:
                slot = tape.leaf(node)
            operands.append(argument)
            key.append(2 * slot + (followed and argument._grad_fn is not None))
        elif kind in _NUMBERS:
            # With its type, since 1, 1.0 and True are equal.
            key.append((kind, argument))
            if argument == 0 and kind is float:
                key.append(math.copysign(1.0, argument))
        elif kind is tuple and all([number.__class__ is int for number in argument]):
            key.append(argument)
        else:
            return False
    return True


@hot
def _replay(block: Block, operands: list[Tensor], tape) -> Tensor:
    nodes = block.put_on(tape)
    slot, step = block.outputs[0]
    out = wrap(nodes.result(slot, step))
    history = block.about
    if history.graph:
        edges = tuple([operand._grad_fn for operand in operands])
        saved = None
        if history.saves:
            saved = tuple([nodes[slot] for slot in history.checked]) or (None,)
        grad = BlockGrad(block, edges, saved, nodes)
        out._grad_fn = grad
        nodes.keepers.append(weakref.ref(grad))
    if block.end.cut is not None:
        tape.flush(block.end.cut)
    return out


def _block_of(tape, start: int, base: int, operands: list[Tensor], result) -> Block | None:
    """The block that a call recorded; None if it cannot be replayed."""
    block = block_since(tape, start, base)
    if block is None or result.__class__ is not Tensor or result._storage is not None:
        return None
    # Only numbers may be constants: an array may be drawn or read anew at each call.
    constants = [n for slots, n in zip(block.operands, block.template) if slots is None]
    if any(constant.step.primitive is not SCALAR for constant in constants):
        return None
    slot = result._node.address - base
    if not start <= slot < len(tape.nodes) or result._node.value is not None:
        return None
    graph: list[GradTemplate] = []
    if result._grad_fn is not None:
        found = _templates(result._grad_fn, operands, base)
        if found is None:
            return None
        graph = found
    outside = {operand._node.address - base for operand in operands} | {slot}
    saved = {s for template in graph for s in template.saved or () if s is not None}
    homes = _homes(tape.nodes, saved - outside, operands, base)
    checked = tuple(sorted((saved & outside) | {operand for _, operand in homes}))
    block.outputs = ((slot, result._node.step),)
    block.about = History(tuple(graph), checked, bool(saved), tuple(homes))
    return block


def _homes(nodes, slots, operands: list[Tensor], base: int) -> list[tuple[int, int]]:
    """For saved values that are views of an operand: that operand's slot.

    Other memory was made inside the call, where nobody can write to it afterwards.
    """
    owners = {}
    for operand in operands:
        home = operand._node.home
        if home is not None:
            owners[id(home[0])] = operand._node.address - base
    homes = []
    for slot in sorted(slots):
        home = nodes[slot].home
        owner = None if home is None else owners.get(id(home[0]))
        if owner is not None:
            homes.append((slot, owner))
    return homes


def _templates(root: Any, operands: list[Tensor], base: int) -> list[GradTemplate] | None:
    """The graph between a result and the operands' edges, operands first."""
    places = {id(operand._grad_fn): ~i for i, operand in enumerate(operands) if operand._grad_fn}
    templates: list[GradTemplate] = []
    stack = [root]
    while stack:
        node = stack[-1]
        if id(node) in places:
            stack.pop()
            continue
        if not isinstance(node, GradNode) or node.extra is not None:
            return None
        waiting = [e for e in node.edges if e is not None and id(e) not in places]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        saved = node.saved
        if saved is not None:
            saved = tuple([None if kept is None else kept.address - base for kept in saved])
            if not all(s is None or 0 <= s < SEGMENT_RANGE for s in saved):
                return None
        edges = tuple([None if e is None else places[id(e)] for e in node.edges])
        places[id(node)] = len(templates)
        templates.append(GradTemplate(node.step, edges, saved, getattr(node, "label", None)))
    return templates if templates else None
