"""Convolutions of a template: lowered anew for the sizes at hand.

What a convolution asks of the machine follows from its sizes in many ways: tables of where windows
lie, how its sum is cut, which images stand beside each other.  So it is no function of sizes that a
trace could write down; the lowering itself runs for each list of sizes, as for plans made for them,
and what it gives is kept by the sizes.  A template serves those for which that is as many calls
on the same buffers.  Level 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.shapes import numel
from rushlight.base.symbolic import Untraceable
from rushlight.engine.arena import ALIGNMENT
from rushlight.engine.convolutions import windows_step
from rushlight.engine.products import product_steps
from rushlight.engine.steps import NativeStep, step_of_nest
from rushlight.engine.template_products import Numbers, place_of
from rushlight.lowering.alone import Checks
from rushlight.lowering.convolution import Windows
from rushlight.lowering.group import Nest
from rushlight.lowering.matmul import Product
from rushlight.lowering.products import convolution_items_of, product_operands, product_source
from rushlight.runtime.threads import get_num_threads
from rushlight.schedule.views import StridedOperand
from rushlight.tape.memo import BUFFER
from rushlight.tape.program import BUFFER_LEAF, OPERATION, Program, Value

# Slots of a program that is one convolution: what it reads and writes, and its operands as the
# operation names them.  Buffers of its own follow.
_X, _W, _RESULT, _SOURCE, _FIRST, _SECOND, _OWN = range(7)


class Pattern:
    """A convolution apart from its sizes.

    name: equal for convolutions that are computed alike for equal sizes.  exchanged: whether its
    result is written with images and channels exchanged.  ranks: of the shapes and strides that
    its sizes are.
    """

    def __init__(self, value: Value, program: Program) -> None:
        source = product_source(value, program)
        assert source is not None
        x, w = product_operands(source, program)
        if x.slot == w.slot:
            raise Untraceable("a convolution of a value with itself is made for its sizes")
        buffers = [program.values[operand.slot] for operand in (x, w)]
        operands = [program.values[slot] for slot in source.inputs]
        self.params = source.params
        self.primitive = source.primitive
        self.exchanged = source is not value
        self.dtypes = [v.dtype for v in (*buffers, value, source, *operands)]
        self.slots = {_X: x.slot, _W: w.slot, _RESULT: value.slot}
        self.sizes: list[Any] = []
        shapes = [v.shape for v in (*buffers, value, source, *operands)]
        shapes += [x.shape, x.strides, w.shape, w.strides]
        self.ranks = [len(shape) for shape in shapes]
        for shape in shapes:
            self.sizes += shape
        self.name = (
            self.params, self.exchanged, tuple(d.name for d in self.dtypes), tuple(self.ranks),
        )  # fmt: skip

    def lowered(self, sizes: tuple[int, ...]) -> tuple[list, Program]:
        """The items of the convolution of these sizes, and the program they are of."""
        shapes, start = [], 0
        for rank in self.ranks:
            shapes.append(tuple(sizes[start : start + rank]))
            start += rank
        values = {}
        for slot, (shape, dtype) in enumerate(zip(shapes, self.dtypes)):
            values[slot] = Value(slot, BUFFER_LEAF, BUFFER, (), (), shape, dtype, False)
        source = Value(
            _SOURCE, OPERATION, self.primitive, self.params, (_FIRST, _SECOND), shapes[_SOURCE],
            self.dtypes[_SOURCE], False,
        )  # fmt: skip
        values[_SOURCE] = source
        program = Program(values)
        x_shape, x_strides, w_shape, w_strides = shapes[_OWN:]
        operands = StridedOperand(_X, x_shape, x_strides), StridedOperand(_W, w_shape, w_strides)
        result = values[_RESULT] if self.exchanged else source
        items = convolution_items_of(result, source, operands, program, Checks())
        return items, program


class ConvolutionCalls:
    """A convolution of certain sizes, as calls.

    signature: the buffers of each call, and how many words it has.  words, rows: of all of them, as
    of `template_products.Chosen`.  tables: (slot, array).  offsets: (slot, where it lies among the
    buffers of its own).  workspace: bytes of those.
    """

    __slots__ = (
        "steps", "signature", "words", "rows", "tables", "offsets", "workspace", "own_bytes",
    )  # fmt: skip

    def __init__(self, pattern: Pattern, sizes: tuple[int, ...]) -> None:
        items, program = pattern.lowered(sizes)
        tables: dict[int, np.ndarray] = {}
        self.steps: list[NativeStep] = []
        for item in items:
            if isinstance(item, Nest):
                self.steps.append(step_of_nest(item))
            elif isinstance(item, Windows):
                # One code for all sizes, whose edges differ.
                self.steps.append(windows_step(item, program, tables, loose=True))
            elif isinstance(item, Product):
                self.steps += product_steps(item, program, tables, alike=True)
        written = {} if pattern.exchanged else {_SOURCE: _RESULT}
        for step in self.steps:
            step.buffers = [written.get(slot, slot) for slot in step.buffers]
            step.written = {written.get(slot, slot) for slot in step.written}
        self.signature = tuple([(tuple(s.buffers), len(s.words)) for s in self.steps])
        words = [word for step in self.steps for word in step.words]
        if any(slot is not None for _, slot, _ in words):
            raise Untraceable("a convolution reads a number")
        self.words = np.array([number for number, _, _ in words], np.int64)
        self.rows = np.array(
            [(s.library[s.function], s.extent, s.grain) for s in self.steps], np.int64
        )
        self.tables = list(tables.items())
        self.own_bytes = _BYTES + sum([table.nbytes for _, table in self.tables])
        self.offsets: list[tuple[int, int]] = []
        self.workspace = 0
        for slot in sorted({s for step in self.steps for s in step.buffers}):
            if slot >= _OWN and slot not in tables:
                value = program.values[slot]
                self.offsets.append((slot, self.workspace))
                size = numel(value.shape) * value.dtype.itemsize
                self.workspace += max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)


class _Kept(dict[tuple, ConvolutionCalls]):
    """total: bytes of all of them."""

    total = 0


# By pattern, threads and sizes; the longest unused is forgotten first.
_lowered = _Kept()
_MOST_BYTES = 1 << 25
# Of one, apart from its tables.
_BYTES = 1 << 12


def lowered(pattern: Pattern, sizes: tuple[int, ...]) -> ConvolutionCalls:
    """What computes a convolution of these sizes."""
    name = (pattern.name, get_num_threads(), sizes)
    found = _lowered.pop(name, None)
    if found is None:
        found = ConvolutionCalls(pattern, sizes)
        _lowered.total += found.own_bytes
        while _lowered.total > _MOST_BYTES and _lowered:
            _lowered.total -= _lowered.pop(next(iter(_lowered))).own_bytes
    _lowered[name] = found
    return found


class VaryingConvolution:
    """A convolution of a template.

    steps: its calls, and slots: those of its buffers in the template's program, by their slots in
    its own.  places: of its sizes among the numbers, or ~ of constants.  run, row, start: where its
    calls stand, and their words.  calls: what is in place now.
    """

    __slots__ = (
        "pattern", "signature", "steps", "slots", "sizes", "run", "row", "start", "calls", "own",
    )  # fmt: skip

    def __init__(self, value: Value, program: Program, last: Any, constants: dict) -> None:
        """last: gives a size in the last sample."""
        self.pattern = Pattern(value, program)
        made = ConvolutionCalls(self.pattern, tuple([last(n) for n in self.pattern.sizes]))
        self.signature = made.signature
        self.slots = dict(self.pattern.slots)
        tables = dict(made.tables)
        self.own: list[int] = []
        for slot in sorted({s for step in made.steps for s in step.buffers}):
            if slot < _OWN:
                continue
            value_of_own = program.new_value((1,), self.pattern.dtypes[_RESULT])
            self.slots[slot] = value_of_own.slot
            if slot in tables:
                constants[value_of_own.slot] = tables[slot]
            else:
                self.own.append(value_of_own.slot)
        self.steps = made.steps
        for step in self.steps:
            step.buffers = [self.slots[slot] for slot in step.buffers]
            step.written = {self.slots[slot] for slot in step.written}
            step.brief = None
        self.sizes: Any = None
        self.run: Any = None
        self.row = self.start = 0
        self.calls: Any = made

    def places(self, wanted: Numbers, constants: list[int]) -> list[int]:
        """Where its sizes are found."""
        return [place_of(size, wanted, constants) for size in self.pattern.sizes]

    def found(self, everything: tuple[int, ...]) -> ConvolutionCalls | None:
        """What computes it for the sizes among these numbers; None if that is other calls."""
        made = lowered(self.pattern, self.sizes(everything))
        return made if made.signature == self.signature else None
