"""What a pass is made of: rules, the walk that applies them, and the record of what they did.

A rule looks at one value and the operations below it, and says that it equals a value that is
there already, or that another operation on values that are there computes it.  Every value goes on
depending on the leaves it depended on, and nothing that reads an index or can fail otherwise is
dropped, so that a failure still reaches what it would have reached.

The same bits means: equal numbers with equal signs of zero; a NaN stays a NaN, whose payload is
not part of the promise (LLVM and NumPy do not keep it either).  Level 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rushlight.primitives.movement import copy
from rushlight.tape.primitive import Primitive
from rushlight.tape.program import OPERATION, Program, Value

Values = Mapping[int, Value]


class Made(NamedTuple):
    """Another operation that computes a value."""

    primitive: Primitive
    params: tuple
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Rule:
    """An identity: `text` states it, `reason` says why it keeps every bit.

    find: function of a value and the values below it to what it equals, or None.
    """

    text: str
    reason: str
    find: Callable[[Value, Values], Value | Made | None]


class RuleSet:
    """The rules of a pass, by the primitive of the value they apply to."""

    def __init__(self) -> None:
        self.by_primitive: dict[Primitive, list[Rule]] = {}

    def rule(self, text: str, reason: str, *primitives: Primitive):
        """Decorator: adds a rule for values of these primitives."""

        def add(find):
            for primitive in primitives:
                self.by_primitive.setdefault(primitive, []).append(Rule(text, reason, find))
            return find

        return add


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One thing a pass did: `value` became `result`, or went away (None)."""

    by: str
    value: Value
    result: Value | None

    def __str__(self) -> str:
        if self.result is None:
            return f"{self.by}: {self.value} is gone"
        if self.result.slot == self.value.slot:
            return f"{self.by}: {self.value} becomes {self.result}"
        return f"{self.by}: {self.value} is {self.result}"


Record = list[Rewrite]


def summary(record: Record) -> list[str]:
    """One line for each rule that applied, with the values it applied to."""
    slots: dict[str, list[str]] = {}
    for rewrite in record:
        value, result = rewrite.value.slot, rewrite.result
        if result is None or result.slot == value:
            text = f"%{value}"
        else:
            text = f"%{value} is %{result.slot}"
        slots.setdefault(rewrite.by, []).append(text)
    return [f"{rule}: {', '.join(found)}" for rule, found in slots.items()]


def rewritten(program: Program, rules: RuleSet, record: Record) -> Program:
    """The program with rules applied, operands first, until none applies to any value."""
    table = rules.by_primitive
    values: dict[int, Value] = {}
    stands_for: dict[int, int] = {}
    before = len(record)
    for slot, value in program.values.items():
        current = with_replaced(value, stands_for) if stands_for else value
        while current.source == OPERATION and current.primitive in table:
            changed = _apply(current, table[current.primitive], values, record)
            if changed is current or changed.slot != slot:
                current = changed
                break
            current = changed
        if current.slot == slot:
            values[slot] = current
        else:
            stands_for[slot] = current.slot
    return program if len(record) == before else Program(values)


def _apply(value: Value, rules: list[Rule], values: Values, record: Record) -> Value:
    """What the first rule that applies makes of a value; the value itself if none does."""
    for rule in rules:
        found = rule.find(value, values)
        if found is None:
            continue
        if isinstance(found, Made):
            result = value.computed_by(*found)
        else:
            result = kept_apart(value, found)
        if result is value:
            continue
        record.append(Rewrite(rule.text, value, result))
        return result
    return value


def kept_apart(value: Value, equal: Value) -> Value:
    """What stands for a value that equals another: that other, or a copy if it must be kept.

    Values that outlive the program never share memory.
    """
    if not value.live:
        return equal
    if value.primitive is copy and value.inputs == (equal.slot,):
        return value
    return value.computed_by(copy, (), (equal.slot,))


def with_replaced(value: Value, stands_for: Mapping[int, int]) -> Value:
    """A value that reads what stands for its operands."""
    inputs = value.inputs
    for slot in inputs:
        if slot in stands_for:
            inputs = tuple([stands_for.get(s, s) for s in inputs])
            return value.computed_by(value.primitive, value.params, inputs)
    return value
