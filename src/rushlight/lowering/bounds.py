"""What is known of the indices that operations compute: a number that all of them are below.

Indices that a sort or a window search has just found are inside of what was searched, so nobody
has to read them all again to check them.  Level 6.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.base.shapes import numel
from rushlight.primitives import ordering, reduction
from rushlight.tape.primitive import Primitive
from rushlight.tape.program import OPERATION, Program, Value

# From an operand and the parameters to the number that every result is below; none is negative.
_BELOW: dict[Primitive, Callable[..., int]] = {
    ordering.argsort: lambda x, axis, descending: x.shape[axis] if x.shape else 1,
    reduction.argmax: lambda x, axis, keepdim: x.shape[axis],
    reduction.argmin: lambda x, axis, keepdim: x.shape[axis],
    reduction.window_argmax: lambda x, *windows: numel(tuple(x.shape[2:])),
}


def known_below(index: Value, program: Program) -> int | None:
    """A number that all elements of an index are below, none being negative; None if unknown."""
    while index.source == OPERATION and index.primitive.moves:
        index = program.values[index.inputs[0]]
    if index.source != OPERATION:
        return None
    rule = _BELOW.get(index.primitive)
    return None if rule is None else rule(program.values[index.inputs[0]], *index.params)
