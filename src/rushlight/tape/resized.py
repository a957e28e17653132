"""Resized blocks: a block that was recorded for some sizes, put on the tape for others.

A block's operations follow from its operands, so for one form of recording (`tape/form.py`) its
sizes follow from theirs: each is a constant, one of the operands' sizes, or a product of some.
Which, is found by comparing recordings, and then checked: the first resized block is not put on the
tape, but compared with what is recorded in its place.  Only what the library records by itself
becomes a block; primitives whose parameters depend on sizes in other ways are refused.  The padding
of a convolution's derivative does, on a picture's height and width; but what of it does says only
how many windows there are, so that it is right for other sizes if it gives the sizes foretold.
Where it does not, as for odd heights after even ones, another block is recorded.  Level 1.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.dtypes import narrow
from rushlight.base.hot import hot
from rushlight.tape.block import Block
from rushlight.tape.form import with_sizes, without_sizes
from rushlight.tape.memo import BYTE_BUDGET, SCALAR, Operand, Step
from rushlight.tape.node import NO_ADDRESS, Node
from rushlight.tape.paddings import differ_in_paddings, spatial_operations
from rushlight.tape.primitive import Primitive

# Blocks remembered for one memo position.
MOST_BLOCKS = 64
# Blocks of one form and position.
MOST_FORMS = 64
# Of one key, with other paddings.
MOST_PADDINGS = 32
# Recordings that are compared with one another.
MOST_SAMPLES = 4
# Steps of one form of block that are kept for blocks of equal sizes.
MOST_STEPS = 1 << 10
# Times that a recording was not what the others foretold, before the form is given up.
MOST_MISTAKES = 3
# Bytes of a resized block, and of each of its sizes.
_BLOCK_BYTES, _SIZE_BYTES = 1200, 36
# Factors of a product of sizes.
_MOST_FACTORS = 3

LEARNING, CHECKING, KNOWN, REFUSED = "learning", "checking", "known", "refused"


class Sample:
    """One recording.  inputs: sizes of the operands; sizes: of the block, its operands from outside
    included; numbers: the values of its scalar leaves."""

    __slots__ = ("inputs", "sizes", "numbers")

    def __init__(self, inputs: tuple, sizes: tuple, numbers: tuple) -> None:
        self.inputs = inputs
        self.sizes = sizes
        self.numbers = numbers


class BlockForm:
    """What the blocks of one form have in common.

    model: the first of them, whose steps stand for all but their sizes.
    state: LEARNING until two recordings of different sizes were seen, CHECKING until a third agreed
        with what they foretell; REFUSED for good.
    other: the next one of the same key, whose paddings are others; None: there is none.
    """

    __slots__ = (
        "model", "state", "samples", "_function", "_same", "_fixed", "_atoms", "_parts",
        "_outside", "_numbers", "_varied", "_leaf_bytes", "_mistakes", "_places", "_spatial",
        "_brought", "_steps", "other",
    )  # fmt: skip

    def __init__(self, model: Block, start: Step, brought: frozenset[int]) -> None:
        self.model = model
        self._brought = brought
        self.other: BlockForm | None = None
        self.state = LEARNING if _is_sizeless(model) else REFUSED
        self.samples: list[Sample] = []
        self._mistakes = 0
        self._places: dict[int, int] | None = None
        self._steps: dict[tuple, Any] = {}
        self._leaf_bytes = model.end.leaf_bytes - start.leaf_bytes
        self._parts: list = []
        self._function: Any = None
        if self.state is not REFUSED:
            self._parts = _parts_of(model)
            self._outside = _outside_of(model)
            self._spatial = spatial_operations(model, self._parts, self._outside)
            self._numbers = [
                slot for slot, node in model.constants
                if node.step.primitive is SCALAR and slot not in brought
            ]  # fmt: skip

    # ---- learning ------------------------------------------------------------------------------

    def note(self, block: Block, inputs: tuple[int, ...]) -> None:
        """A block of this form was recorded, of operands that have these sizes."""
        block.origin = self
        if self.state is REFUSED:
            return
        if block.end.form is not self.model.end.form:
            # Which operations there are follows from sizes, as the rounds of a scan do.
            self.state = REFUSED
            return
        sample = self._sample(block, inputs)
        if sample is None:
            self.state = REFUSED
            return
        same = next((s for s in self.samples if s.inputs == sample.inputs), None)
        if same is not None:
            if same.sizes != sample.sizes or same.numbers != sample.numbers:
                self.state = REFUSED
            elif self.state is LEARNING:
                self._learn()  # of equal operands it is known without a comparison
            return
        if self.state is not LEARNING:
            found = self._foretold(sample.inputs)
            if found == (sample.sizes, sample.numbers):
                self.state = KNOWN
                return
            if found is not None:
                self._mistakes += 1
        if len(self.samples) == MOST_SAMPLES:
            del self.samples[1]  # the first and the latest ones differ most
        self.samples.append(sample)
        if self._mistakes > MOST_MISTAKES:
            self.state = REFUSED
        elif len(self.samples) > 1:
            self._learn()

    def _sample(self, block: Block, inputs: tuple[int, ...]) -> Sample | None:
        sizes: list[int] = list(block_sizes(block))
        for position, place in self._outside:
            sizes += [n for n in block.steps[position].operands[place].shape if n > 1]
        numbers = []
        for slot, node in block.constants:
            if slot in self._brought:
                continue
            if node.step.primitive is SCALAR:
                numbers.append(np.asarray(node.value).tobytes())
            elif node is not self.model.template[slot - block.start]:
                return None  # another array
        return Sample(inputs, tuple(sizes), tuple(numbers))

    def _learn(self) -> None:
        """Find what every size is of the operands' sizes."""
        samples = self.samples
        columns = list(zip(*[s.inputs for s in samples]))
        atoms: dict[tuple, int] = {}
        fixed, same = [], []
        for place, column in enumerate(columns):
            if all(n == column[0] for n in column):
                fixed.append((place, column[0]))
            elif column in atoms:
                same.append((place, atoms[column]))
            else:
                atoms[column] = place
        self._fixed = _getter([place for place, _ in fixed]), tuple([n for _, n in fixed])
        self._same = _getter([place for place, _ in same]), _getter([first for _, first in same])
        self._atoms = list(atoms.values())
        names = {column: f"n{i}" for i, column in enumerate(atoms)}
        texts = []
        for column in zip(*[s.sizes for s in samples]):
            text = _size_text(column, names)
            if text is None:
                self.state = REFUSED
                return
            texts.append(text)
        varied = []
        numbers = []
        for place, stored in enumerate(zip(*[s.numbers for s in samples])):
            if all(n == stored[0] for n in stored):
                continue
            text = _number_text(stored, self._number_node(place).dtype, names)
            if text is None:
                self.state = REFUSED
                return
            varied.append(place)
            numbers.append(text)
        self._varied = varied
        source = f"lambda {', '.join(names.values())}: (({_joined(texts)}), ({_joined(numbers)}))"
        self._function = eval(source, {})
        self.state = CHECKING if atoms else KNOWN

    def _foretold(self, inputs: tuple) -> tuple[tuple, tuple] | None:
        made = self._numbers_for(inputs)
        if made is None:
            return None
        sizes, changed = made
        numbers = list(self.samples[0].numbers)
        for place, number in zip(self._varied, changed):
            numbers[place] = narrow(number, self._number_node(place).dtype).tobytes()
        return sizes, tuple(numbers)

    def _number_node(self, place: int) -> Node:
        model = self.model
        return model.template[self._numbers[place] - model.start]

    def _numbers_for(self, inputs: tuple) -> tuple[tuple, tuple] | None:
        """The block's sizes and the numbers that vary; None for operands unlike those known."""
        at, values = self._fixed
        if at(inputs) != values:
            return None
        at, first = self._same
        if at(inputs) != first(inputs):
            return None
        made = self._function(*[inputs[place] for place in self._atoms])
        for windows in self._spatial:
            if not windows.fit(made[0]):
                return None
        return made

    # ---- making blocks -------------------------------------------------------------------------

    def resized(self, position: Step, inputs: tuple[int, ...]) -> Resized | None:
        """The block for operands of these sizes at a memo position; None: it must be recorded."""
        if self.state is not KNOWN:
            return None
        made = self._numbers_for(inputs)
        if made is None:
            return None
        return Resized(self, position, *made)


class Resized(Block):
    """A block with other sizes than its model's.  Its steps are made when somebody asks."""

    __slots__ = ("_all", "_steps")

    def __init__(self, origin: BlockForm, position: Step, sizes: tuple, numbers: tuple) -> None:
        model = origin.model
        self.origin = origin
        self.start = model.start
        self.operands = model.operands
        self.template = model.template
        self.constants = model.constants
        self.leaves = model.leaves
        self._all = sizes
        self.sizes = sizes[: origin._parts[-1][1]] if origin._parts else ()
        self._steps: Any = None
        if numbers:
            self._take_numbers(origin, numbers)
        self.end = self._end(model.end, position)
        self.outputs = self._outputs_at(tuple([slot for slot, _ in model.outputs]))
        self.about = model.about

    def _take_numbers(self, origin: BlockForm, numbers: tuple) -> None:
        template, constants = list(self.template), dict(self.constants)
        for place, number in zip(origin._varied, numbers):
            slot = origin._numbers[place]
            old = constants[slot]
            node = Node()
            node.step, node.inputs, node.address, node.shape = old.step, (), NO_ADDRESS, ()
            node.dtype, node.home = old.dtype, None
            node.value = narrow(number, old.dtype)
            template[slot - self.start] = constants[slot] = node
        self.template = tuple(template)
        self.constants = tuple(constants.items())

    def _end(self, model: Step, position: Step) -> Step:
        step = Step(None, None, model.primitive, (), (), model.dtype, model.device)
        step.form = model.form
        step.depth = model.depth
        step.leaf_bytes = position.leaf_bytes + self.origin._leaf_bytes
        step.first = position.first or model.first
        cut = model.cut
        step.cut = None if cut is None or cut.startswith(BYTE_BUDGET) else cut
        return step

    def own_step(self, step: Step) -> Step:
        """What takes the place of a step of the model."""
        origin = self.origin
        if origin._places is None:
            origin._places = {id(s): i for i, s in enumerate(origin.model.steps)}
        return self.steps[origin._places[id(step)]]

    def own_bytes(self) -> int:
        """About what it takes, apart from its model."""
        return _BLOCK_BYTES + _SIZE_BYTES * len(self._all)

    def _outputs_at(self, slots: tuple[int, ...]) -> tuple[tuple[int, Step], ...]:
        """Slots and steps of some operations, these without their operands: blocks of equal sizes
        share them, as all blocks share those whose sizes never change."""
        origin = self.origin
        known, parts, start = origin._steps, origin._parts, self.start
        asked: Any = slots, self._all
        pairs = known.get(asked)
        if pairs is not None:
            return pairs
        found = []
        for slot in slots:
            first, last, _, _ = parts[slot - start]
            name = slot, self._all[first:last]
            pair = known.get(name)
            if pair is None:
                if len(known) >= MOST_STEPS:
                    known.clear()
                pair = known[name] = slot, self._step(slot - start)
            found.append(pair)
        if len(known) >= MOST_STEPS:
            known.clear()
        pairs = known[asked] = tuple(found)
        return pairs

    def _step(self, position: int) -> Step:
        model = self.origin.model.steps[position]
        if model.__class__ is not Step:
            return model  # a leaf's specification: what it is follows from the leaf
        first, last, params, shape = self.origin._parts[position]
        sizes = iter(self._all[first:last])
        if params is None:
            params = model.params
        else:
            params = tuple(
                [
                    with_sizes(p, sizes)[0] if place in model.primitive.sized else p
                    for place, p in enumerate(params)
                ]
            )
        step = Step(
            None, None, model.primitive, params, with_sizes(shape, sizes), model.dtype, model.device
        )  # fmt: skip
        step.form = model.form
        step.sizes = self._all[first:last]
        step.order = model.order
        step.vjp, step.saves, step.line = model.vjp, model.saves, model.line
        return step

    @property
    def steps(self) -> tuple:  # type: ignore[override]
        """All steps, with their operands."""
        if self._steps is None:
            steps = [self._step(position) for position in range(len(self.operands))]
            outside = iter(self._all[self.origin._parts[-1][1] :] if self.origin._parts else ())
            for position, place in self.origin._outside:
                self._note_operand(steps, position, place, outside)
            for step, operands, model in zip(steps, self.operands, self.origin.model.steps):
                if operands is None:
                    continue
                known = dict(enumerate(step.operands)) if step.operands.__class__ is tuple else {}
                step.operands = tuple(
                    [
                        steps[slot - self.start] if slot >= self.start else known[place]
                        for place, slot in enumerate(operands)
                    ]
                )
                if model.outputs:
                    step.outputs = _outputs_of(steps, step, model)
            self._steps = tuple(steps)
        return self._steps

    def _note_operand(self, steps: list, position: int, place: int, outside) -> None:
        """An operand from outside of the block, in its place among the step's operands."""
        step = steps[position]
        model = self.origin.model.steps[position].operands
        if not step.operands:
            step.operands = tuple(model)
        shape = with_sizes(without_sizes(model[place].shape, []), outside)
        known = model[place]
        operand = Operand(shape, known.dtype, known.device, known.order)
        step.operands = (*step.operands[:place], operand, *step.operands[place + 1 :])


def _outputs_of(steps: list, owner: Step, model: Step) -> tuple:
    """The steps of a multi-output operation's outputs, which follow it."""
    first = steps.index(owner) + 1
    return tuple(steps[first : first + len(model.outputs)])


def block_sizes(block: Block) -> tuple[int, ...]:
    """The sizes a block adds to its tape, in its order."""
    if block.sizes is None:
        block.sizes = tuple(itertools.chain.from_iterable([step.sizes for step in block.steps]))
    return block.sizes


def _is_sizeless(block: Block) -> bool:
    """Whether sizes and nothing else in it follow from sizes."""
    for step in block.steps:
        primitive = step.primitive
        if isinstance(primitive, Primitive):
            if not primitive.sizeless and not primitive.spatial:
                return False
    return True


def _parts_of(block: Block) -> list[tuple[int, int, Any, tuple]]:
    """For each step: first and last place of its sizes, its parameters and its shape without."""
    parts = []
    start = 0
    for step in block.steps:
        end = start + len(step.sizes)
        params = None
        sized = getattr(step.primitive, "sized", ())
        if sized:
            params = tuple(
                [
                    without_sizes((p,), []) if place in sized else p
                    for place, p in enumerate(step.params)
                ]
            )
        parts.append((start, end, params, without_sizes(step.shape, [])))
        start = end
    return parts


def _outside_of(block: Block) -> list[tuple[int, int]]:
    """(position of an operation, place of an operand that was there before the block)."""
    return [
        (position, place)
        for position, operands in enumerate(block.operands)
        if operands is not None and block.steps[position].__class__ is Step
        for place, slot in enumerate(operands)
        if slot < block.start and block.steps[position].operands
    ]


@hot
def shapes_of(nodes) -> tuple[int, ...]:
    """The sizes of values, one after the other."""
    sizes: list[int] = []
    for node in nodes:
        sizes += node.shape
    return tuple(sizes)


def _getter(places: list[int]) -> Callable[[tuple], tuple]:
    """A function that gives the tuple of what lies at these places."""
    if len(places) < 2:
        return lambda values: tuple([values[place] for place in places])
    return operator.itemgetter(*places)


def _joined(texts: list[str]) -> str:
    return "".join(f"{text}, " for text in texts)


def _size_text(column: tuple, names: dict[tuple, str]) -> str | None:
    """A size as an expression of the operands' sizes; None if it is no product of them."""
    if all(n == column[0] for n in column):
        return str(column[0])
    if column in names:
        return names[column]
    for count in range(1, _MOST_FACTORS + 1):
        for factors in itertools.combinations_with_replacement(names, count):
            products = [1] * len(column)
            for factor in factors:
                products = [p * n for p, n in zip(products, factor)]
            quotients = {n // p if p and n % p == 0 else 0 for n, p in zip(column, products)}
            if len(quotients) == 1 and 0 not in quotients:
                constant = quotients.pop()
                product = " * ".join(names[f] for f in factors)
                return product if constant == 1 else f"{constant} * {product}"
    return None


def _number_text(stored: tuple, dtype, names: dict[tuple, str]) -> str | None:
    """A number, whose bytes are given, as an expression of the operands' sizes; None if it is
    neither a product of them nor the inverse of one."""
    forms: list[tuple[Callable[[float], Any], str]] = [
        (lambda p: p, "{}"),
        (_inverse, "1.0 / ({})"),
    ]
    for count in range(1, _MOST_FACTORS + 1):
        for factors in itertools.combinations_with_replacement(names, count):
            products = [1] * len(stored)
            for factor in factors:
                products = [p * n for p, n in zip(products, factor)]
            text = " * ".join(names[f] for f in factors)
            for compute, template in forms:
                if all(p and narrow(compute(p), dtype).tobytes() == n
                       for n, p in zip(stored, products)):  # fmt: skip
                    return template.format(text)
    return None


def _inverse(number: float) -> float:
    return 1.0 / number


def resized_block(tape, key: Any, form_key: Any, inputs: tuple[int, ...]) -> Resized | None:
    """The block that a call stands for where the tape is, if it is known how large it is.

    key: of the call, with its sizes; form_key: without.
    inputs: all sizes that it may depend on, as many for each block of one `form_key`.
    """
    position = tape.step
    known = position.form.blocks.get(form_key)
    block = None
    while known is not None and block is None:
        block = known.resized(position, inputs)
        known = known.other
    if block is not None and tape.keeps(block):
        keep_block(position, key, block)
    return block


def note_block(
    position: Step, key: Any, form_key: Any, block: Block, inputs: tuple[int, ...],
    brought: tuple[int, ...] = (),
) -> None:  # fmt: skip
    """Remember a recorded block, for the same sizes and for others.

    position: where it began; brought: slots of numbers that the caller brings at each replay.
    """
    keep_block(position, key, block)
    blocks = position.form.blocks
    known = blocks.get(form_key)
    if known is None:
        if len(blocks) >= MOST_FORMS:
            blocks.clear()
        known = blocks[form_key] = BlockForm(block, position, frozenset(brought))
    known = _with_paddings_of(block, known, position, frozenset(brought))
    known.note(block, inputs)


def _with_paddings_of(
    block: Block, first: BlockForm, position: Step, brought: frozenset[int]
) -> BlockForm:
    """What knows blocks with the same paddings as this one."""
    known: BlockForm | None = first
    count = 0
    while known is not None:
        if known.model.end.form is block.end.form:
            return known
        known = known.other
        count += 1
    if count == MOST_PADDINGS or not differ_in_paddings(first.model, block):
        return first  # which refuses: what is recorded follows from sizes
    made = BlockForm(block, position, brought)
    made.other, first.other = first.other, made
    return made


def keep_block(position: Step, key: Any, block: Any) -> None:
    """Remember what a call at this position stands for."""
    if position.blocks is None or len(position.blocks) >= MOST_BLOCKS:
        position.blocks = {}
    position.blocks[key] = block
