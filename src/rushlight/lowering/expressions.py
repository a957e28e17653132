"""Elements of values as loop-nest expressions, and the arguments they need.  Level 6.

Sizes, strides, offsets and numbers become run-time parameters (0 and 1 stay constants, since they
change the structure), so that kernels of one structure are compiled once.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.errors import InternalError
from rushlight.base.shapes import contiguous_strides
from rushlight.loopnest.ir import Const, Expr, Load, Param
from rushlight.lowering.position import ZERO, Position
from rushlight.lowering.scalars import HALF, applied, as_dtype
from rushlight.lowering.table import scalar_rule
from rushlight.schedule.fusion import Schedule
from rushlight.schedule.program import BUFFER_LEAF, SCALAR_LEAF, Value


@dataclass(frozen=True)
class Word:
    """One parameter of a launch: a number of the plan, or the scalar leaf at `slot`."""

    value: int | None
    slot: int | None


class ExpressionBuilder:
    """Makes expressions of one kernel and collects what a launch must pass to it.

    bound: expressions of values that the kernel has computed already.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.program = schedule.program
        self.buffer_names: dict[int, str] = {}
        self.params: list[Param] = []
        self.words: list[Word] = []
        self.scalars: dict[int, Param] = {}
        self.bound: dict[int, Expr] = {}
        self.names = 0

    # ---- arguments -----------------------------------------------------------------------------

    def size(self, number: int) -> Expr:
        """A size or stride as an expression."""
        if number in (0, 1):
            return Const(number, "int64")
        return self.extent(number)

    def extent(self, number: int) -> Param:
        """A number of iterations: a parameter even if it is 1, since nothing is simpler then."""
        param = Param(f"n{len(self.params)}")
        self.params.append(param)
        self.words.append(Word(int(number), None))
        return param

    def buffer(self, slot: int) -> str:
        """The name of a value's buffer."""
        return self.buffer_names.setdefault(slot, f"b{len(self.buffer_names)}")

    def scalar(self, value: Value) -> Expr:
        """A scalar leaf as a parameter."""
        param = self.scalars.get(value.slot)
        if param is None:
            name = value.dtype.name
            param = Param(f"s{len(self.params)}", "float32" if name in HALF else name)
            self.params.append(param)
            self.words.append(Word(None, value.slot))
            self.scalars[value.slot] = param
        return as_dtype(param, value.dtype.name)

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
        axes = position.axes()
        inner: list[Expr] = [ZERO] * len(axes)
        for place, axis in enumerate(value.params[0]):
            inner[axis] = axes[place]
        return Position(operand.shape, inner, None, 0, None, self.size)

    def _window(self, value: Value, operand: Value, position: Position) -> Position:
        size, strides = value.params
        offset = self.element(value.inputs[1], position)
        if contiguous_strides(size) == tuple(strides):
            index = offset + position.flat()
        else:
            index = offset
            for axis, (n, stride) in enumerate(zip(size, strides)):
                if n != 1 and stride != 0:
                    index = index + position.axes()[axis] * self.size(stride)
        return Position(operand.shape, None, None, 0, index, self.size)
