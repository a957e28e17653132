"""The table of lowerings: how one element of a primitive's result is computed, or `Opaque`.

A scalar rule takes the operands' loop-nest expressions and the parameters and returns the result's
expression, in arithmetic dtype (16-bit floats are widened by the caller).  Level 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import DType
from rushlight.tape.primitive import Primitive, RuleTable

rules = RuleTable("lowering")

# The group's nest itself gives these their meaning (reductions, movement), not a scalar rule.
STRUCTURAL = "structural"


class Opaque:
    """A row for which no code is generated: the reference rule is called, and the plan says why.

    reason: one clause.
    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Alone:
    """A row for an operation that has kernels of its own.

    rule: function of a `Maker` (see `lowering/alone.py`) and the value that adds the nests.
    refuses: function of the value and its operands to whether the reference rule is needed.
    scalar: a scalar rule for values of the dtypes that `fuses` says yes to, if there are any.
    """

    __slots__ = ("rule", "refuses", "scalar", "fuses")

    def __init__(
        self,
        rule: Callable[[Any, Any], None],
        refuses: Callable[[Any, list], bool] = lambda value, operands: False,
        scalar: Callable[..., Any] | None = None,
        fuses: Callable[[DType], bool] = lambda dtype: True,
    ) -> None:
        self.rule = rule
        self.refuses = refuses
        self.scalar = scalar
        self.fuses = fuses


def scalar_rule(primitive: Primitive, dtype: DType) -> Any:
    """The row by which an operation is part of a kernel; None if it cannot be."""
    row = primitive.lowering
    if isinstance(row, Alone):
        return row.scalar if row.scalar is not None and row.fuses(dtype) else None
    return None if isinstance(row, Opaque) else row


def define(primitive: Primitive, module: str, row) -> None:
    """Add the row of one primitive."""
    rules.define(primitive, row, module)
