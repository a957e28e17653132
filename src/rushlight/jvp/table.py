"""The table of Jacobian-vector products.

A row is a function of (tangents, result, operands, *parameters) that gives the result's tangent,
written in primitives, so that it can be differentiated and batched again.  `tangents` has one entry
for each operand, None where there is none, and at least one that is not; the tangent it gives may
have fewer axes than the result or sizes of 1, and None means that there is none.  For a primitive
with several results it gives a list.  TRANSPOSED stands for the rule that follows from the VJP,
which is linear in its cotangent: the transpose of that linear map.  Level 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.primitives.elementwise import add
from rushlight.primitives.movement import expand
from rushlight.tape.primitive import VARIADIC, Primitive, RuleTable
from rushlight.vjp.broadcast import conjugate, filled

rules = RuleTable("jvp")

# In place of a function; applied by `transform/forward.py`, since it needs a graph to transpose.
TRANSPOSED = "transposed"


def define(primitive: Primitive, module: str, rule: Callable | str) -> None:
    """The row of a primitive: a function, or TRANSPOSED."""
    rules.define(primitive, rule, module)


def nondifferentiable(primitive: Primitive, module: str) -> None:
    """The row of a primitive whose result has no tangent."""
    rules.define(primitive, None, module)


def zero_tangent(operand):
    """Zeros like an operand."""
    return filled(operand, 0.0, operand.shape)


def linear(primitive: Primitive, module: str, *positions: int) -> None:
    """The row of a primitive that is linear in the operands at `positions`, taken together.

    Without positions: in all of them.
    """

    def rule(tangents, out, operands, *params):
        given = [
            operand
            if positions and position not in positions
            else zero_tangent(operand)
            if tangent is None
            else tangent
            for position, (operand, tangent) in enumerate(zip(operands, tangents))
        ]
        if primitive.arity == VARIADIC:
            return primitive(tuple(given), *params)
        return primitive(*given, *params)

    define(primitive, module, rule)


def bilinear(primitive: Primitive, module: str) -> None:
    """The row of a primitive that is linear in each of its two operands."""

    def rule(tangents, out, operands, *params):
        x, y = operands
        tx, ty = tangents
        first = None if tx is None else primitive(tx, y, *params)
        second = None if ty is None else primitive(x, ty, *params)
        return total(first, second)

    define(primitive, module, rule)


def diagonal(primitive: Primitive, module: str) -> None:
    """The row of an elementwise primitive, whose Jacobian is diagonal.

    Such a matrix is its own transpose, so that the VJP's rule, given a tangent for the cotangent,
    gives the tangent.  (For complex values the VJP multiplies by the derivative's conjugate.)
    """

    def rule(tangents, out, operands, *params):
        found = None
        for position, tangent in enumerate(tangents):
            own = primitive.vjp.rules[position]
            if tangent is None or own is None:
                continue
            given = list(operands)
            given[position] = spread(operands[position], out)
            cotangent = conjugate(spread(tangent, out))
            part = own.function(cotangent, out, *given, *params)
            if part is not None:
                found = total(found, conjugate(part))
        return found

    define(primitive, module, rule)


def total(first: Any, second: Any) -> Any:
    """The sum of two tangents, of which either may be None."""
    if first is None or second is None:
        return second if first is None else first
    return add(first, second)


def spread(value, out):
    """The value broadcast to the shape of the result."""
    shape = tuple(out.shape)
    return value if tuple(value.shape) == shape else expand(value, shape)
