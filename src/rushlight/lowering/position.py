"""Where in a value an element lies, as loop-nest expressions.  Level 6.

A position belongs to a shape.  It knows an expression for each outer axis and one for the last
`tail` axes together, or only the row-major index (`flat`).  The rules mirror `schedule/access.py`.
"""

from __future__ import annotations

from rushlight.base.errors import InternalError
from rushlight.base.shapes import numel
from rushlight.loopnest.ir import Const, Expr
from rushlight.schedule.access import is_joined

ZERO = Const(0, "int64")


class Position:
    """Element of a value of `shape`.

    lead: expressions of the outer axes, or None if only `flat` is known.
    inner: expression over the last `tail` axes together.
    flat: the row-major index where it is known without arithmetic.
    """

    __slots__ = ("shape", "lead", "inner", "tail", "known_flat", "size")

    def __init__(self, shape, lead, inner, tail, known_flat, size) -> None:
        self.shape = shape
        self.lead = lead
        self.inner = inner
        self.tail = tail
        self.known_flat = known_flat
        self.size = size  # function of an int: the expression of a size

    def flat(self) -> Expr:
        """The row-major index."""
        if self.known_flat is not None:
            return self.known_flat
        total: Expr = self.inner if self.tail else ZERO
        stride = numel(self.shape[len(self.shape) - self.tail :]) if self.tail else 1
        for size, index in zip(
            reversed(self.shape[: len(self.shape) - self.tail]), reversed(self.lead)
        ):
            if size != 1:
                total = index * self.size(stride) + total
            stride *= size
        return total

    @property
    def joined(self) -> bool:
        """Whether the inner index stands for several axes."""
        return is_joined(self.shape, self.tail)

    def axes(self) -> list[Expr]:
        """One expression for each axis; needs an inner loop of at most one axis."""
        if numel(self.shape) == 1:
            return [ZERO] * len(self.shape)
        if self.lead is None or self.joined:
            raise InternalError("a position of several joined axes is asked for each of them")
        inner = self.shape[len(self.shape) - self.tail :]
        alone = len(inner) == 1
        return [*self.lead, *[ZERO if n == 1 and not alone else self.inner for n in inner]]

    def broadcast_to_operand(self, operand_shape) -> Position:
        """The position in an operand that is broadcast to this value's shape."""
        shape = tuple(operand_shape)
        if numel(shape) == 1:
            return Position(shape, None, None, 0, ZERO, self.size)
        if shape == tuple(self.shape):
            return self
        if self.lead is None:
            # Only axes of size 1 differ.
            return Position(shape, None, None, 0, self.flat(), self.size)
        missing = len(self.shape) - len(shape)
        padded = (1,) * missing + shape
        cut = len(self.shape) - self.tail
        lead = [ZERO if n == 1 else e for n, e in zip(padded[:cut], self.lead)]
        inner = self.inner
        if self.tail and all(n == 1 for n in padded[cut:]):
            inner = ZERO
        if missing <= cut:
            return Position(shape, lead[missing:], inner, self.tail, None, self.size)
        return Position(padded, lead, inner, self.tail, None, self.size)

    def reshaped(self, shape) -> Position:
        """The same element of the same values in another shape."""
        return Position(tuple(shape), None, None, 0, self.flat(), self.size)
