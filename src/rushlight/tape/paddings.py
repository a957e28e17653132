"""Paddings that follow from sizes: of convolutions that gradients are computed by.

How many zeros stand before a picture follows from the operation that is differentiated; how many
stand behind it says only how many windows there are.  So paddings known for some sizes are right
for others if they give results as large as these have to be.  Level 1.
"""

from __future__ import annotations

from typing import Any

from rushlight.tape.block import Block
from rushlight.tape.form import with_sizes, without_sizes
from rushlight.tape.memo import Step
from rushlight.tape.primitive import Primitive


class _Shape:
    """A shape as an operand of a rule.  fixed: with None for each listed size; first: the place of
    the first of them."""

    __slots__ = ("fixed", "first", "shape", "dtype")

    def __init__(self, shape: tuple, first: int, dtype: Any) -> None:
        self.fixed = without_sizes(shape, [])
        self.first = first
        self.dtype = dtype
        self.shape = shape

    def take(self, sizes: tuple) -> _Shape:
        """Be what it is with these sizes."""
        self.shape = with_sizes(self.fixed, iter(sizes[self.first :]))
        return self


class PaddedWindows:
    """An operation whose paddings follow from sizes: its result has to be as large as foretold."""

    __slots__ = ("primitive", "params", "operands", "result")

    def __init__(self, step: Step, operands: list[_Shape], result: _Shape) -> None:
        self.primitive = step.primitive
        self.params = step.params
        self.operands = operands
        self.result = result

    def fit(self, sizes: tuple) -> bool:
        """Whether the paddings known are right for these sizes of the block."""
        operands = [operand.take(sizes) for operand in self.operands]
        try:
            shape, _ = self.primitive.result(*operands, *self.params)
        except RuntimeError:  # what was foretold does not fit together
            return False
        return shape == self.result.take(sizes).shape


def spatial_operations(
    block: Block, parts: list, outside: list[tuple[int, int]]
) -> list[PaddedWindows]:
    """Its `spatial` operations."""
    places: dict[tuple[int, int], int] = {}
    start = parts[-1][1] if parts else 0
    for position, place in outside:
        places[position, place] = start
        start += len([n for n in block.steps[position].operands[place].shape if n > 1])
    found = []
    for position, step in enumerate(block.steps):
        primitive = step.primitive
        if not isinstance(primitive, Primitive) or not primitive.spatial:
            continue
        operands = []
        for place, (slot, operand) in enumerate(zip(block.operands[position], step.operands)):
            inside = slot >= block.start
            first = parts[slot - block.start][0] if inside else places[position, place]
            operands.append(_Shape(operand.shape, first, operand.dtype))
        found.append(
            PaddedWindows(step, operands, _Shape(step.shape, parts[position][0], step.dtype))
        )
    return found


def differ_in_paddings(block: Block, other: Block) -> bool:
    """Whether two blocks are alike, but for parameters of `spatial` operations and sizes."""
    if len(block.steps) != len(other.steps) or block.operands != other.operands:
        return False
    paddings = False
    for one, two in zip(block.steps, other.steps):
        primitive = one.primitive
        if primitive is not two.primitive or one.dtype is not two.dtype:
            return False
        if without_sizes(one.shape, []) != without_sizes(two.shape, []):
            return False
        if not isinstance(primitive, Primitive):
            continue
        if primitive.spatial:
            paddings = paddings or one.params != two.params
            continue
        for place, (mine, its) in enumerate(zip(one.params, two.params)):
            if place in primitive.sized:
                mine, its = without_sizes((mine,), []), without_sizes((its,), [])
            if mine != its:
                return False
    return paddings
