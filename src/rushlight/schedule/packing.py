"""Take flat tensors apart again: what was packed, computed on, and unpacked needs no packing.

An optimizer packs its parameters into one flat tensor, computes elementwise, and unpacks what
results.
Here  unpack(f(pack(a1, a2), pack(b1, b2), s))  becomes  f(a1, b1, s), f(a2, b2, s):  nothing is
copied, and one kernel structure serves every parameter.  Unpacking anything else reads a segment of
the flat buffer.  Level 5.

In and out: a program; values keep their slots, shapes and dtypes; no other operands change.
"""

from __future__ import annotations

from rushlight.base.shapes import numel
from rushlight.primitives.movement import copy, reshape
from rushlight.tape.program import OPERATION, OUTPUT, Program, Value


class Segment:
    """Stands for a primitive in a program alone: a run of a flat value's elements, from `start`."""

    __slots__ = ("start",)
    name = "segment"
    kind = "movement"
    multiple = False
    lowering = "structural"
    moves = True
    view = keeps_order = light = splittable = commutative = False

    def __init__(self, start: int) -> None:
        self.start = start


def without_packing(program: Program, can_lower) -> Program:
    """The program with packed computations taken apart.

    can_lower: whether an operation can be part of a kernel (what is made here must be).
    """
    found = [v for v in program.order if v.source == OPERATION and v.primitive.name == "unpack"]
    wanted = [v for v in found if _is_plain(program, v)]
    return _Rewrite(program, wanted, can_lower).run() if wanted else program


def _is_plain(program: Program, unpack: Value) -> bool:
    """Whether kernels can hold every segment."""
    (shapes,) = unpack.params
    flat = program.values[unpack.inputs[0]]
    return flat.dtype.is_lowered and all(numel(shape) > 0 for shape in shapes)


class _Rewrite:
    def __init__(self, program: Program, unpacks: list[Value], can_lower) -> None:
        self.program = program
        self.can_lower = can_lower
        self.values = program.values
        self.next_slot = max(self.values) + 1
        # Before a value of the old program: the new values that replace parts of it.
        self.made: dict[int, list[Value]] = {}
        self.outputs: dict[tuple[int, tuple], dict[int, list[Value]]] = {}
        self.replaced: dict[int, Value] = {}
        self.taken_apart: dict[tuple[int, tuple], list[Value]] = {}
        self.unpacks = unpacks

    def run(self) -> Program:
        for unpack in self.unpacks:
            key = (unpack.inputs[0], unpack.params[0])
            outputs = self.outputs.setdefault(key, {})
            for slot in self.program.users[unpack.slot]:
                output = self.values[slot]
                outputs.setdefault(output.index, []).append(output)
        for flat, shapes in list(self.outputs):
            self._parts(flat, shapes)
        ordered: dict[int, Value] = {}
        for slot, value in self.values.items():
            if slot not in self.replaced:
                ordered[slot] = value
            for made in self.made.get(slot, ()):
                ordered[made.slot] = made
        return Program(_needed(ordered))

    def _parts(self, slot: int, shapes: tuple) -> list[Value]:
        """A value of each shape that together are the flat value at `slot`."""
        known = self.taken_apart.get((slot, shapes))
        if known is not None:
            return known
        flat = self.values[slot]
        if flat.source == OPERATION and flat.primitive.name == "pack":
            parts = self._of_pack(flat, shapes)
        elif self._is_apart(flat, shapes):
            parts = self._of_elementwise(flat, shapes)
        else:
            parts = self._of_buffer(flat, shapes)
        self.taken_apart[slot, shapes] = parts
        return parts

    def _is_apart(self, value: Value, shapes: tuple) -> bool:
        """Whether a flat value is computed element by element from something packed alike."""
        if value.source != OPERATION or not self._is_elementwise(value):
            return False
        stack, seen = [value], set()
        while stack:
            current = stack.pop()
            if current.slot in seen or current.source != OPERATION:
                continue
            seen.add(current.slot)
            if current.primitive.name == "pack":
                if self._packs(current, shapes):
                    return True
            elif self._is_elementwise(current):
                stack += [
                    self.values[s] for s in current.inputs if self.values[s].shape == value.shape
                ]
        return False

    def _packs(self, pack: Value, shapes: tuple) -> bool:
        sizes = [self.values[s].numel for s in pack.inputs]
        return sizes == [numel(shape) for shape in shapes]

    def _is_elementwise(self, value: Value) -> bool:
        if value.primitive.kind != "elementwise" and value.primitive.name != "copy":
            return False
        return self.can_lower(value, self.program)

    def _of_pack(self, pack: Value, shapes: tuple) -> list[Value]:
        if not self._packs(pack, shapes):
            return self._of_buffer(pack, shapes)
        parts = []
        for index, (slot, shape) in enumerate(zip(pack.inputs, shapes)):
            operand = self.values[slot]
            if operand.shape == shape and not self._outputs(pack, shapes, index):
                parts.append(operand)
            elif operand.shape != shape:
                parts.append(self._make(pack, shapes, index, reshape, (shape,), (slot,)))
            else:
                parts.append(self._make(pack, shapes, index, copy, (), (slot,)))
        return parts

    def _of_elementwise(self, value: Value, shapes: tuple) -> list[Value]:
        operands = []
        for slot in value.inputs:
            whole = self.values[slot].shape == value.shape
            operands.append(self._parts(slot, shapes) if whole else None)
        parts = []
        for index in range(len(shapes)):
            inputs = tuple(
                slot if part is None else part[index].slot
                for slot, part in zip(value.inputs, operands)
            )
            parts.append(self._make(value, shapes, index, value.primitive, value.params, inputs))
        return parts

    def _of_buffer(self, flat: Value, shapes: tuple) -> list[Value]:
        parts = []
        start = 0
        for index, shape in enumerate(shapes):
            segment = Segment(start)
            parts.append(self._make(flat, shapes, index, segment, (), (flat.slot,)))
            start += numel(shape)
        return parts

    def _outputs(self, flat: Value, shapes: tuple, index: int) -> list[Value]:
        return self.outputs.get((flat.slot, shapes), {}).get(index, [])

    def _make(self, flat: Value, shapes, index: int, primitive, params, inputs) -> Value:
        """Part `index` of a flat value; it takes the place of the output it is."""
        shape = shapes[index]
        outputs = self._outputs(flat, shapes, index)
        slot = outputs[0].slot if outputs else self.next_slot
        self.next_slot += not outputs
        live = bool(outputs) and outputs[0].live
        part = Value(slot, OPERATION, primitive, params, inputs, shape, flat.dtype, live)
        part.line = flat.line
        made = self.made.setdefault(flat.slot, [])
        made.append(part)
        for output in outputs:
            self.replaced[output.slot] = part
        for output in outputs[1:]:
            again = Value(
                output.slot, OPERATION, copy, (), (slot,), shape, flat.dtype, output.live
            )  # fmt: skip
            made.append(again)
        return part


def _needed(values: dict[int, Value]) -> dict[int, Value]:
    """The values that live values are made of, and all leaves."""
    needed: set[int] = set()
    for value in reversed(values.values()):
        if value.source in (OPERATION, OUTPUT) and not value.live and value.slot not in needed:
            continue
        needed.add(value.slot)
        needed.update(value.inputs)
    return {
        slot: v
        for slot, v in values.items()
        if slot in needed or v.source not in (OPERATION, OUTPUT)
    }
