"""Outline: an update rule run on placeholders, to learn what it would record, with which numbers.

A rule is Python over tensors and options; its branches look at options and step counts only.  Run
on placeholders it costs a fraction of recording, and says which operations it would record (the
key under which they can be replayed) and the numbers that enter them this time (learning rate, bias
corrections), which are never part of a key.  Level 12.
"""

from __future__ import annotations

from typing import Any


class NeedsTensors(Exception):
    """The rule does something that only real tensors can do."""


class Placeholder:
    """Stands for a tensor of a rule.  index: which value of the outline it is."""

    __slots__ = ("outline", "index")

    def __init__(self, outline: Outline, index: int) -> None:
        self.outline = outline
        self.index = index

    def _apply(self, primitive, operands: tuple, params: tuple) -> Placeholder:
        """How calling a primitive on placeholders notes it."""
        if primitive.multiple:
            raise NeedsTensors(primitive.name)
        indices = [_index_of(operand) for operand in operands]
        return self.outline.note((primitive.name, *indices, *params))

    def _scalar(self, value: Any, dtype: Any = None) -> Placeholder:
        if dtype is not None:
            raise NeedsTensors("a number of another dtype")
        return Placeholder(self.outline, self.outline.number(value))

    def sqrt(self) -> Placeholder:
        return self.outline.note(("sqrt", self.index))

    def abs(self) -> Placeholder:
        return self.outline.note(("abs", self.index))

    def __neg__(self) -> Placeholder:
        return self.outline.note(("neg", self.index))

    def __bool__(self) -> bool:
        raise NeedsTensors("a decision on a value")

    def __getattr__(self, name: str) -> Any:
        raise NeedsTensors(name)


def _index_of(operand: Any) -> int:
    if operand.__class__ is not Placeholder:
        raise NeedsTensors(f"an operand that is a {type(operand).__name__}")
    return operand.index


def _operator(name: str):
    def operator(self: Placeholder, other: Any) -> Placeholder:
        if other.__class__ is Placeholder:
            return self.outline.note((name, self.index, other.index))
        return self.outline.note((name, self.index, self.outline.number(other)))

    return operator


def _reflected(name: str):
    def operator(self: Placeholder, other: Any) -> Placeholder:
        return self.outline.note((name, self.outline.number(other), self.index))

    return operator


# Not powers: what they record depends on the exponent.
for _symbol in ("add", "sub", "mul", "truediv"):
    setattr(Placeholder, f"__{_symbol}__", _operator(_symbol))
    setattr(Placeholder, f"__r{_symbol}__", _reflected(_symbol))
for _symbol in ("lt", "le", "gt", "ge"):
    setattr(Placeholder, f"__{_symbol}__", _operator(_symbol))


class Outline:
    """operations: what was noted, in order.  numbers: Python numbers that entered, in order.

    Operands are told by index: values count up from 0, numbers count down from -1.
    """

    __slots__ = ("operations", "numbers", "_values")

    def __init__(self) -> None:
        self.operations: list[tuple] = []
        self.numbers: list[float] = []
        self._values = 0

    def value(self) -> Placeholder:
        """A placeholder of an operand."""
        index = self._values
        self._values = index + 1
        return Placeholder(self, index)

    def note(self, operation: tuple) -> Placeholder:
        """The result of an operation."""
        self.operations.append(operation)
        index = self._values
        self._values = index + 1
        return Placeholder(self, index)

    def number(self, value: Any) -> int:
        """Index of a Python number.  Raises: NeedsTensors for anything else."""
        if value.__class__ is not float and value.__class__ is not int:
            raise NeedsTensors(f"a {type(value).__name__} among the options")
        self.numbers.append(value)
        return -len(self.numbers)
