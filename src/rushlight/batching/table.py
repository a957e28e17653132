"""The table of batching rules, and what many of them share.

A row is a function of (size, mapped, operands, *parameters).  `mapped` says of each operand whether
it is a batch: such an operand has an axis of `size` before its own axes, the others are as the
program sees them, and at least one is a batch.  The row records the primitive for the whole batch
and gives a result with that axis in front (a list of them for several results).  Level 5.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.primitives.movement import concatenate, expand, reshape, strided_read
from rushlight.tape.primitive import VARIADIC, Primitive, RuleTable

rules = RuleTable("batching")


def define(primitive: Primitive, module: str, rule: Callable) -> None:
    """The row of a primitive."""
    rules.define(primitive, rule, module)


def never_mapped(primitive: Primitive, module: str) -> None:
    """The row of a primitive without operands."""
    rules.define(primitive, None, module)


def own_rank(operand, mapped: bool) -> int:
    """Number of axes that the program sees."""
    return len(operand.shape) - mapped


def own_shape(operand, mapped: bool) -> tuple[int, ...]:
    """The shape that the program sees."""
    shape = tuple(operand.shape)
    return shape[1:] if mapped else shape


def as_batch(size: int, mapped: bool, operand):
    """The operand as a batch: repeated, if it is none."""
    if mapped:
        return operand
    shape = tuple(operand.shape)
    return expand(reshape(operand, (1, *shape)), (size, *shape))


def with_rank(operand, mapped: bool, rank: int):
    """A batch whose members have `rank` axes, by axes of 1 in front, so that they broadcast.

    What is no batch is left as it is: broadcasting begins at the last axis.
    """
    if not mapped or own_rank(operand, mapped) == rank:
        return operand
    size, *shape = operand.shape
    return reshape(operand, (size, *([1] * (rank - len(shape))), *shape))


def broadcasting(primitive: Primitive, module: str) -> None:
    """The row of a primitive whose operands broadcast."""

    def rule(size, mapped, operands, *params):
        rank = max(own_rank(x, m) for x, m in zip(operands, mapped))
        given = tuple(with_rank(x, m, rank) for x, m in zip(operands, mapped))
        if primitive.arity == VARIADIC:
            return primitive(given, *params)
        return primitive(*given, *params)

    define(primitive, module, rule)


def with_axes_moved(primitive: Primitive, module: str) -> None:
    """The row of a primitive of one operand whose first parameter is an axis or a tuple of axes."""

    def rule(size, mapped, operands, axes, *params):
        moved = axes + 1 if isinstance(axes, int) else tuple(axis + 1 for axis in axes)
        return primitive(operands[0], moved, *params)

    define(primitive, module, rule)


def member_by_member(primitive: Primitive, size: int, mapped, operands, *params) -> list:
    """The results of a variadic primitive with several of them, recorded once for each member."""
    rows = []
    for index in range(size):
        given = tuple(member_of(x, index) if m else x for x, m in zip(operands, mapped))
        rows.append(primitive(given, *params))
    return [stacked(column) for column in zip(*rows)]


def stacked(members):
    """Members as a batch."""
    parts = tuple(reshape(part, (1, *part.shape)) for part in members)
    return parts[0] if len(parts) == 1 else concatenate(parts, 0)


def member_of(x, index: int):
    shape = tuple(x.shape)[1:]
    offset = x._scalar(index * numel(shape), int64)
    return strided_read(x, offset, shape, contiguous_strides(shape))
