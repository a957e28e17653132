"""Values and steps whose sizes are data: recorded with Syms, and what they are for certain numbers.

In: nodes of a tape, values of a program and native steps in which Syms stand for sizes.  Out: the
same as they are in the last sample, or for the numbers of an instance.  Level 9.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.base.symbolic import Sym
from rushlight.engine.steps import NativeStep
from rushlight.engine.template_products import Numbers
from rushlight.tape.form import with_sizes, without_sizes
from rushlight.tape.memo import Operand
from rushlight.tape.program import Value


def sampled(value):
    """A nest of tuples with Syms, as it is in the last sample."""
    if value.__class__ is Sym:
        return value.value
    if value.__class__ is tuple:
        return tuple([sampled(part) for part in value])
    return value


class Stub:
    """Stands for a node whose sizes are Syms, and for its step."""

    __slots__ = ("step", "primitive", "params", "shape", "dtype", "line", "outputs", "sizes")

    def __init__(self, node, sizes) -> None:
        step = node.step
        self.step = self
        self.primitive = step.primitive
        self.params = step.params
        sized = getattr(step.primitive, "sized", ())
        if sized:
            self.params = tuple(
                [
                    with_sizes(without_sizes((p,), []), sizes)[0] if place in sized else p
                    for place, p in enumerate(step.params)
                ]
            )
        self.shape = with_sizes(without_sizes(step.shape, []), sizes)
        self.dtype = step.dtype
        self.line = step.line
        self.outputs = getattr(step, "outputs", ())


def sampled_step(step: NativeStep, wanted: Numbers) -> tuple:
    """Give a step the numbers of the last sample; returns its Syms: words, extent, grain."""
    entries: list[tuple[int, Sym]] = []
    for place, (number, slot, floating) in enumerate(step.words):
        if number.__class__ is Sym:
            entries.append((place, number))
            step.words[place] = (number.value, slot, floating)
    extent = step.extent if step.extent.__class__ is Sym else None
    grain = step.grain if step.grain.__class__ is Sym else None
    step.extent, step.grain = sampled(step.extent), sampled(step.grain)
    return entries, extent, grain


class _Place(NamedTuple):
    """Stands for a Sym: where its number is found."""

    number: int


def _placed(value: Any, wanted: Numbers) -> Any:
    """A nest of tuples with Syms, with the places of their numbers instead."""
    if value.__class__ is Sym:
        return _Place(wanted.place(value))
    if value.__class__ is tuple:
        return tuple([_placed(part, wanted) for part in value])
    return value


def _filled(value: Any, numbers: tuple[int, ...]) -> Any:
    if value.__class__ is _Place:
        return numbers[value.number]
    if value.__class__ is tuple:
        return tuple([_filled(part, numbers) for part in value])
    return value


class VaryingValue:
    """A value that a reference rule computes or reads."""

    __slots__ = ("value", "shape", "params", "outputs")

    def __init__(self, value: Value, wanted: Numbers) -> None:
        self.value = value
        self.shape = _placed(tuple(value.shape), wanted)
        self.params = _placed(value.params, wanted)
        self.outputs = [(_placed(tuple(o.shape), wanted), o.dtype) for o in value.outputs]

    def at(self, numbers: tuple[int, ...]) -> Value:
        """The value for certain numbers."""
        known = self.value
        found = Value(
            known.slot, known.source, known.primitive, _filled(self.params, numbers), known.inputs,
            _filled(self.shape, numbers), known.dtype, known.live,
        )  # fmt: skip
        found.index, found.line = known.index, known.line
        outputs = [(_filled(shape, numbers), dtype) for shape, dtype in self.outputs]
        found.outputs = tuple([Operand(shape, dtype, None, None) for shape, dtype in outputs])
        return found
