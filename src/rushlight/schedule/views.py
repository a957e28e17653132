"""Operands a contraction reads where they lie: transposed, split, broadcast.  Level 5."""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.shapes import contiguous_strides, view_strides
from rushlight.tape.program import OPERATION, Program


@dataclass(frozen=True)
class StridedOperand:
    """A value seen through the buffer at `slot`, with strides in elements."""

    slot: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def strided_operand(program: Program, slot: int) -> StridedOperand:
    """The buffer behind a chain of permutations, expansions and reshapes.

    Where a link of the chain cannot be expressed by strides, what it moves is the buffer.
    """
    chain = []
    current = program.values[slot]
    while current.source == OPERATION and current.primitive.name in ("permute", "expand",
                                                                     "reshape"):  # fmt: skip
        chain.append(current)
        current = program.values[current.inputs[0]]
    shape = tuple(current.shape)
    strides = contiguous_strides(shape)
    for link in reversed(chain):
        shown = _through(link, shape, strides)
        if shown is None:
            current = program.values[link.inputs[0]]
            shown = contiguous_strides(link.shape)
        shape, strides = tuple(link.shape), shown
    return StridedOperand(current.slot, shape, strides)


def _through(link, shape, strides):
    name = link.primitive.name
    if name == "permute":
        return tuple(strides[a] for a in link.params[0])
    if name == "expand":
        lead = len(link.shape) - len(shape)
        return (0,) * lead + tuple(
            0 if n == 1 and link.shape[lead + a] != 1 else s
            for a, (n, s) in enumerate(zip(shape, strides))
        )
    return view_strides(shape, strides, tuple(link.shape))
