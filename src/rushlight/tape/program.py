"""A flushed tape as plain data: values in order, free of nodes and buffers.  Level 1.

A program says what is computed; it is made once for each memo position and live set.  Whoever
changes one makes another: values are not assigned to once a program holds them.
"""

from __future__ import annotations

from rushlight.base.shapes import numel
from rushlight.tape.memo import SCALAR, Line, OutputKind
from rushlight.tape.primitive import Primitive

BUFFER_LEAF, SCALAR_LEAF, OPERATION, OUTPUT = "buffer", "scalar", "operation", "output"


class Value:
    """One value: a leaf, an operation's result, or one output of a multi-output operation.

    outputs: of a multi-output operation, what has each one's shape and dtype; index: which output
    this value is; line: the user's line that recorded it.
    """

    __slots__ = ("slot", "source", "primitive", "params", "inputs", "shape", "dtype", "live",
                 "numel", "index", "line", "outputs")  # fmt: skip

    def __init__(self, slot, source, primitive, params, inputs, shape, dtype, live) -> None:
        self.slot = slot
        self.source = source
        self.primitive = primitive
        self.params = params
        self.inputs = inputs
        self.shape = shape
        self.dtype = dtype
        self.live = live
        self.numel = numel(shape)
        self.index = 0
        self.line: Line | None = None
        self.outputs: tuple = ()

    def computed_by(self, primitive, params, inputs) -> Value:
        """This value, computed by another operation or from other operands."""
        source = OPERATION if isinstance(primitive, Primitive) else self.source
        other = Value(
            self.slot, source, primitive, params, inputs, self.shape, self.dtype, self.live
        )
        other.index = self.index
        other.line = self.line
        other.outputs = self.outputs
        return other

    @property
    def kind(self) -> str:
        """The primitive's kind; "leaf" or "output" for the rest."""
        if self.source == OPERATION:
            return self.primitive.kind
        return "output" if self.source == OUTPUT else "leaf"

    def __repr__(self) -> str:
        name = (
            getattr(self.primitive, "name", "partial") if self.source == OPERATION else self.source
        )
        inputs = ", ".join(f"%{i}" for i in self.inputs)
        shape = "x".join(map(str, self.shape)) or "scalar"
        return f"%{self.slot} = {name}({inputs}) : {self.dtype.name}[{shape}]"


class Program:
    """values: by slot, in recorded order; users: slot -> slots of operations that read it."""

    __slots__ = ("values", "order", "users", "next_slot")

    def __init__(self, values: dict[int, Value]) -> None:
        self.values = values
        self.next_slot = max(values, default=-1) + 1
        self.order = [v for v in values.values() if v.source in (OPERATION, OUTPUT)]
        self.users: dict[int, list[int]] = {slot: [] for slot in values}
        for value in self.order:
            for slot in value.inputs:
                self.users[slot].append(value.slot)

    def new_value(self, shape, dtype) -> Value:
        """A value that only kernels know (a partial result): it gets memory in the arena."""
        slot = self.next_slot
        self.next_slot += 1
        value = Value(slot, OPERATION, None, (), (), tuple(shape), dtype, False)
        self.values[slot] = value
        self.users[slot] = []
        return value

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.values.values()))


def program_of(plan, nodes) -> Program:
    """The program of a plan over the nodes of one flush."""
    values: dict[int, Value] = {}
    for instruction in plan.instructions:
        for slot in instruction.inputs:
            if slot not in values:
                values[slot] = _leaf(slot, nodes[slot])
        node = nodes[instruction.slot]
        step = node.step
        source = OPERATION if isinstance(step.primitive, Primitive) else OUTPUT
        value = Value(
            instruction.slot, source, step.primitive, step.params, instruction.inputs,
            step.shape, step.dtype, instruction.live,
        )  # fmt: skip
        value.line = step.line
        value.outputs = step.outputs
        if isinstance(step.primitive, OutputKind):
            value.index = step.primitive.index
        values[instruction.slot] = value
    return Program(values)


def _leaf(slot: int, node) -> Value:
    source = SCALAR_LEAF if node.step.primitive is SCALAR else BUFFER_LEAF
    return Value(slot, source, None, (), (), node.shape, node.dtype, False)
