"""Elements of values as loop-nest expressions.  Level 6."""

from __future__ import annotations

from rushlight.base.errors import InternalError
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.loopnest.ir import Expr, Load
from rushlight.lowering.arguments import Arguments
from rushlight.lowering.position import ZERO, Position
from rushlight.lowering.scalars import applied
from rushlight.lowering.table import scalar_rule
from rushlight.schedule.access import joined_stride
from rushlight.schedule.fusion import Schedule
from rushlight.tape.program import BUFFER_LEAF, SCALAR_LEAF, Value


class ExpressionBuilder(Arguments):
    """Makes expressions of one kernel and collects what a launch must pass to it.

    bound: expressions of values that the kernel has computed already.
    """

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self.program = schedule.program
        self.bound: dict[int, Expr] = {}
        self.names = 0

    def fresh(self, stem: str) -> str:
        """A name not used before in this kernel."""
        self.names += 1
        return f"{stem}{self.names}"

    # ---- expressions ---------------------------------------------------------------------------

    def element(self, slot: int, position: Position) -> Expr:
        """One element of a value."""
        slot = self.schedule.memory(slot)
        value = self.program.values[slot]
        if slot in self.bound:
            return self.bound[slot]
        if value.source == SCALAR_LEAF:
            return self.scalar(value)
        if value.source == BUFFER_LEAF or slot in self.schedule.buffers:
            index = ZERO if value.numel == 1 else position.flat()
            return Load(self.buffer(slot), index, value.dtype.name)
        return self.computed(value, position)

    def computed(self, value: Value, position: Position) -> Expr:
        """One element of an operation's result, computed in place."""
        name = value.primitive.name
        if name == "iota":
            return position.flat()
        operand = self.program.values[value.inputs[0]]
        if name == "reshape":
            return self.element(operand.slot, position.reshaped(operand.shape))
        if name == "copy":
            return self.element(operand.slot, position)
        if name == "expand":
            return self.element(operand.slot, position.broadcast_to_operand(operand.shape))
        if name == "segment":
            index = position.flat() + self.size(value.primitive.start)
            inside = Position(operand.shape, None, None, 0, index, self.size)
            return self.element(operand.slot, inside)
        if name == "permute":
            return self.element(operand.slot, self._permuted(value, operand, position))
        if name == "strided_read":
            return self.element(operand.slot, self._window(value, operand, position))
        row = scalar_rule(value.primitive, value.dtype)
        if row is None or isinstance(row, str):
            raise InternalError(f"{value} is not computed in place")
        operands = []
        for slot in value.inputs:
            shape = self.program.values[slot].shape
            operands.append(self.element(slot, position.broadcast_to_operand(shape)))
        return applied(value, row, operands)

    def _permuted(self, value: Value, operand: Value, position: Position) -> Position:
        order = value.params[0]
        if position.joined:
            # The joined axes stay where they are, side by side.
            assert position.lead is not None
            lead: list[Expr] = [ZERO] * len(position.lead)
            for axis, index in zip(order, position.lead):
                lead[axis] = index
            return Position(operand.shape, lead, position.inner, position.tail, None, self.size)
        axes = position.axes()
        inner: list[Expr] = [ZERO] * len(axes)
        for place, axis in enumerate(order):
            inner[axis] = axes[place]
        return Position(operand.shape, inner, None, 0, None, self.size)

    def _window(self, value: Value, operand: Value, position: Position) -> Position:
        size, strides = value.params
        index = self.element(value.inputs[1], position)
        if contiguous_strides(size) == tuple(strides):
            index = index + position.flat()
            return Position(operand.shape, None, None, 0, index, self.size)
        tail = position.tail
        if position.joined:
            joined = joined_stride(size, strides, tail)
            assert joined is not None and position.lead is not None
            cut = len(size) - tail
            indices = [*position.lead, position.inner]
            size, strides = (*size[:cut], numel(size[cut:])), (*strides[:cut], joined)
        else:
            indices = position.axes()
        for place, n, stride in zip(indices, size, strides):
            if n != 1 and stride != 0:
                index = index + place * self.size(stride)
        return Position(operand.shape, None, None, 0, index, self.size)
