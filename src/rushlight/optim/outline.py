"""Outline: an update rule run on placeholders, to learn what it would record, with which numbers.

A rule is Python over tensors and options; its branches look at options and step counts only.  Run
on placeholders it costs a fraction of recording, and says which operations it would record (the
key under which they can be replayed) and the numbers that enter them this time (learning rate, bias
corrections), which are never part of a key.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot

_new = object.__new__


class NeedsTensors(Exception):
    """The rule does something that only real tensors can do."""


@hot
class Outline:
    """operations: what was noted, in order; an operand is told by its place in this list.

    numbers: the Python numbers that entered, in order; in an operation a number has no place.
    """

    __slots__ = ("operations", "numbers")

    @hot
    def __init__(self) -> None:
        self.operations: list[Any] = []
        self.numbers: list[float] = []

    @hot
    def value(self, name: str) -> Placeholder:
        """A placeholder of an operand."""
        return self.note(name)

    @hot
    def note(self, operation: Any) -> Placeholder:
        """The result of an operation."""
        found = _new(Placeholder)
        found.outline = self
        found.place = len(self.operations)
        self.operations.append(operation)
        return found


@hot
class Placeholder:
    """Stands for a tensor of a rule.  place: of the operation that gave it."""

    __slots__ = ("outline", "place")

    outline: Outline
    place: int

    def _apply(self, primitive, operands: tuple, params: tuple) -> Placeholder:
        """How calling a primitive on placeholders notes it."""
        if primitive.multiple:
            raise NeedsTensors(primitive.name)
        return self.outline.note((primitive.name, *[_place_of(x) for x in operands], *params))

    def _apply1(self, primitive, x: Placeholder, params: tuple) -> Placeholder:
        return self._apply(primitive, (x,), params)

    def _apply2(self, primitive, x: Placeholder, y: Placeholder, params: tuple) -> Placeholder:
        return self._apply(primitive, (x, y), params)

    def _scalar(self, value: Any, dtype: Any = None) -> Placeholder:
        if dtype is not None:
            raise NeedsTensors("a number of another dtype")
        _check_number(value)
        self.outline.numbers.append(value)
        return self.outline.note("number")

    @hot
    def sqrt(self) -> Placeholder:
        return self.outline.note(("sqrt", self.place))

    @hot
    def abs(self) -> Placeholder:
        return self.outline.note(("abs", self.place))

    def __neg__(self) -> Placeholder:
        return self.outline.note(("neg", self.place))

    def __bool__(self) -> bool:
        raise NeedsTensors("a decision on a value")

    def __getattr__(self, name: str) -> Any:
        raise NeedsTensors(name)


def _place_of(operand: Any) -> int:
    if operand.__class__ is not Placeholder:
        raise NeedsTensors(f"an operand that is a {type(operand).__name__}")
    return operand.place


def _check_number(value: Any) -> None:
    if value.__class__ is not float and value.__class__ is not int:
        raise NeedsTensors(f"a {type(value).__name__} among the options")


def _operator(name: str):
    # Written out: a step of a small model is dozens of these.
    @hot
    def operator(self: Placeholder, other: Any) -> Placeholder:
        outline = self.outline
        operations = outline.operations
        found = _new(Placeholder)
        found.outline = outline
        found.place = len(operations)
        if other.__class__ is Placeholder:
            operations.append((name, self.place, other.place))
        else:
            if other.__class__ is not float:
                _check_number(other)
            outline.numbers.append(other)
            operations.append((name, self.place))
        return found

    return operator


def _reflected(name: str):
    @hot
    def operator(self: Placeholder, other: Any) -> Placeholder:
        _check_number(other)
        self.outline.numbers.append(other)
        return self.outline.note((name, None, self.place))

    return operator


# Not powers: what they record depends on the exponent.
for _symbol in ("add", "sub", "mul", "truediv"):
    setattr(Placeholder, f"__{_symbol}__", _operator(_symbol))
    setattr(Placeholder, f"__r{_symbol}__", _reflected(_symbol))
for _symbol in ("lt", "le", "gt", "ge"):
    setattr(Placeholder, f"__{_symbol}__", _operator(_symbol))
