"""Identities of the primitives that move elements: chains become one link.

Nothing is computed, so nothing can change a bit.  They matter because a link may need a buffer: a
value that is expanded, then read by two kernels, would be stored at its full size.  Level 4.
"""

from __future__ import annotations

from rushlight.base.shapes import broadcast_all
from rushlight.primitives import elementwise, movement  # noqa: F401 - defines what is listed below
from rushlight.simplify.rewrite import Made, RuleSet, Value, Values
from rushlight.tape.primitive import all_primitives
from rushlight.tape.program import OPERATION

MOVEMENT = RuleSet()


def _operand(value: Value, values: Values) -> Value:
    return values[value.inputs[0]]


def _is(value: Value, primitive) -> bool:
    return value.source == OPERATION and value.primitive is primitive


@MOVEMENT.rule(
    "copy(x) = x",
    "a value of the tape is never written to, and a program is one device's",
    movement.copy,
    movement.to_device,
)
def _copy(value: Value, values: Values):
    return _operand(value, values)


@MOVEMENT.rule(
    "moved to its own shape",
    "no element changes its place",
    movement.reshape,
    movement.expand,
)
def _same_shape(value: Value, values: Values):
    x = _operand(value, values)
    return x if x.shape == value.shape else None


@MOVEMENT.rule("reshape(reshape(x)) = reshape(x)", "row-major order is kept", movement.reshape)
def _reshape_of_reshape(value: Value, values: Values):
    x = _operand(value, values)
    if not _is(x, movement.reshape):
        return None
    return Made(movement.reshape, value.params, x.inputs)


@MOVEMENT.rule(
    "permute that moves no axis longer than 1 = reshape",
    "row-major order is kept",
    movement.permute,
)
def _permute_of_ones(value: Value, values: Values):
    x = _operand(value, values)
    (axes,) = value.params
    moved = [a for a in axes if x.shape[a] != 1]
    return Made(movement.reshape, (value.shape,), value.inputs) if moved == sorted(moved) else None


@MOVEMENT.rule("permute(permute(x)) = permute(x)", "permutations compose", movement.permute)
def _permute_of_permute(value: Value, values: Values):
    x = _operand(value, values)
    if not _is(x, movement.permute):
        return None
    (outer,), (inner,) = value.params, x.params
    return Made(movement.permute, (tuple([inner[a] for a in outer]),), x.inputs)


@MOVEMENT.rule(
    "expand that only adds axes of 1 = reshape", "row-major order is kept", movement.expand
)
def _expand_by_ones(value: Value, values: Values):
    x = _operand(value, values)
    return Made(movement.reshape, value.params, value.inputs) if x.numel == value.numel else None


@MOVEMENT.rule("expand(expand(x)) = expand(x)", "the same element is repeated", movement.expand)
def _expand_of_expand(value: Value, values: Values):
    x = _operand(value, values)
    return Made(movement.expand, value.params, x.inputs) if _is(x, movement.expand) else None


@MOVEMENT.rule(
    "strided_read(reshape(x), offset) = strided_read(x, offset)",
    "it names elements by their row-major position",
    movement.strided_read,
)
def _window_of_reshape(value: Value, values: Values):
    x = _operand(value, values)
    if not _is(x, movement.reshape):
        return None
    return Made(movement.strided_read, value.params, (x.inputs[0], value.inputs[1]))


@MOVEMENT.rule(
    "f(expand(x), y) = f(x, y)",
    "elementwise operations repeat their operands themselves",
    *(p for p in all_primitives() if p.kind == "elementwise" and p.arity > 1),
)
def _operand_expanded(value: Value, values: Values):
    inputs = list(value.inputs)
    for place, slot in enumerate(inputs):
        x = values[slot]
        if not _is(x, movement.expand):
            continue
        inputs[place] = x.inputs[0]
        if broadcast_all([values[s].shape for s in inputs]) != value.shape:
            inputs[place] = slot
    if tuple(inputs) == value.inputs:
        return None
    return Made(value.primitive, value.params, tuple(inputs))
