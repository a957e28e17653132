"""Expressions of the loop nest as emitted values, and the memory they read and write.

A value in a vector loop is either one scalar, the same in all lanes, or a list of vectors, one
for each part of the loop's unrolling.  Indices are int64 expressions; how an index grows with the
vector variable decides between a contiguous access and a gather or scatter.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.errors import InternalError
from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value
from rushlight.loopnest.ir import (
    Cast,
    Const,
    Expr,
    Kernel,
    Load,
    Op,
    Param,
    Store,
    itemsize,
    kind_of,
)

Emitted = Value | list[Value]
QUOTIENT, REMAINDER = "floordiv", "mod"
COUNTED = (QUOTIENT, REMAINDER)
# Comparisons of an index with a bound, as LLVM calls them.
_BOUNDS = {"ge": "sge", "lt": "slt"}


@dataclass
class OpenVector:
    """The open vector loop: its variable, scalar start of each part, lanes and tail mask."""

    var: str
    starts: list[Value]
    width: int
    masks: list[Value] | None  # one for each part; the same one in a tail, which has one part
    depth: int  # of the region around the loop

    @property
    def parts(self) -> int:
        return len(self.starts)


class ExpressionEmitter:
    """Names in scope, and the open vector loop if there is one."""

    def __init__(self, kernel: Kernel, target: Target) -> None:
        self.kernel = kernel
        self.target = target
        self.b = Emitter(target)
        self.env: dict[str, Emitted] = {}
        self.lets: dict[str, Expr] = {}  # index arithmetic, to find strides through names
        self.vector: OpenVector | None = None
        self.buffers: dict[str, Value] = {}
        self.unwritten = {buffer.name for buffer in kernel.buffers if buffer.access == "in"}
        self.dtypes = {buffer.name: buffer.dtype for buffer in kernel.buffers}
        self.dtypes.update((scratch.name, scratch.dtype) for scratch in kernel.scratch)
        self.params: dict[str, Value] = {}
        # Quotients and remainders of a loop's counter that are carried from turn to turn.
        self.counted: dict[Expr, Value] = {}
        self.gathers = False  # whether any access so far was no vector's

    def bind_arguments(self) -> None:
        """Reads base pointers and parameters from the argument arrays."""
        b = self.b
        for position, buffer in enumerate(self.kernel.buffers):
            slot = b.pointer_offset(Value("%buffers", "ptr"), b.const(position, "i64"), "ptr")
            self.buffers[buffer.name] = b.load(slot, "ptr", 1, 8)
        for position, param in enumerate(self.kernel.params):
            slot = b.pointer_offset(Value("%params", "ptr"), b.const(position, "i64"), "i64")
            self.params[param.name] = self.load_param(slot, param)
        for scratch in self.kernel.scratch:
            type_ = scalar_ops.memory_type(scratch.dtype)
            extent = self.uniform(scratch.extent)
            self.buffers[scratch.name] = b.stack(type_, extent, self.target.line_bytes)

    def load_param(self, slot: Value, param: Param) -> Value:
        b = self.b
        if kind_of(param.dtype) == "f":
            return scalar_ops.cast(b, b.load(slot, "double", 1, 8), "float64", param.dtype)
        return scalar_ops.cast(b, b.load(slot, "i64", 1, 8), "int64", param.dtype)

    def open_vector(self, vector: OpenVector) -> None:
        b = self.b
        self.vector = vector
        iota = b.vector_constant(range(vector.width), "i64")
        self.env[vector.var] = [
            b.add(b.splat(start, vector.width), iota) for start in vector.starts
        ]

    def parts_of(self, value: Emitted, copies: int, width: int) -> list[Value]:
        if isinstance(value, list):
            return value
        return [self.b.splat(value, width)] * copies

    # --- expressions ---

    def value(self, expr: Expr) -> Emitted:
        if isinstance(expr, Const):
            return self.constant(expr)
        if isinstance(expr, Param):
            return self.params[expr.name]
        if isinstance(expr, Load):
            return self.load(expr)
        if isinstance(expr, Op):
            if self.counted and expr.name in COUNTED and expr in self.counted:
                return self.counted[expr]
            if expr.name in _BOUNDS and self.is_bound(*expr.args):
                return self.bounds(_BOUNDS[expr.name], *expr.args)
            args = [self.value(arg) for arg in expr.args]
            operand = expr.args[-1].dtype
            return self.mapped(
                lambda *lanes: scalar_ops.apply(self.b, expr.name, kind_of(operand), [*lanes]),
                args,
            )
        if isinstance(expr, Cast):
            source, target = expr.arg.dtype, expr.dtype
            return self.mapped(
                lambda x: scalar_ops.cast(self.b, x, source, target), [self.value(expr.arg)]
            )
        return self.env[expr.name]

    def is_bound(self, index: Expr, limit: Expr) -> bool:
        """Whether an index that grows by one from lane to lane meets one number."""
        if self.vector is None or index.dtype != "int64" or self.varies(limit):
            return False
        return self.varies(index) and self.stride(index) == Const(1, "int64")

    def bounds(self, predicate: str, index: Expr, limit: Expr) -> list[Value]:
        """How lanes compare with a limit: by their numbers, of 32 bits, with the limit's distance
        from the first lane.  Comparing the indices themselves takes twice the vectors."""
        b, vector = self.b, self.vector
        assert vector is not None
        lanes = b.vector_constant(range(vector.width), "i32")
        first, last = b.const(0, "i64"), b.const(vector.width, "i64")
        found = []
        for part in range(vector.parts):
            distance = b.sub(self.uniform(limit), self.scalar_index(index, part))
            distance = b.intrinsic("smin", b.intrinsic("smax", distance, first), last)
            near = b.splat(b.convert("trunc", distance, "i32"), vector.width)
            found.append(b.compare(predicate, lanes, near))
        return found

    def mapped(self, rule: scalar_ops.Rule, args: list[Emitted]) -> Emitted:
        if not any(isinstance(arg, list) for arg in args):
            return rule(*args)
        vector = self.vector
        assert vector is not None
        columns = [self.parts_of(arg, vector.parts, vector.width) for arg in args]
        return [rule(*lanes) for lanes in zip(*columns)]

    def constant(self, expr: Const) -> Value:
        type_ = scalar_ops.register_type(expr.dtype)
        if kind_of(expr.dtype) == "s":
            wide = self.b.const(float(expr.value), "float")
            return scalar_ops.cast(self.b, wide, "float32", expr.dtype)
        return self.b.const(expr.value, type_)

    def uniform(self, expr: Expr) -> Value:
        value = self.value(expr)
        if isinstance(value, list):
            raise InternalError(f"loop nest: an extent varies inside a vector loop: {expr}")
        return value

    # --- memory ---

    def stride(self, expr: Expr) -> Expr | None:
        """How much an index grows with the vector variable; None if not by a fixed step."""
        assert self.vector is not None
        if not self.varies(expr):
            return Const(0, "int64")
        if isinstance(expr, Op) and expr.name in ("add", "sub"):
            left, right = (self.stride(arg) for arg in expr.args)
            if left is None or right is None:
                return None
            return left + right if expr.name == "add" else left - right
        if isinstance(expr, Op) and expr.name == "mul":
            x, y = expr.args
            if self.varies(x):
                x, y = y, x
            if self.varies(x):
                return None
            inner = self.stride(y)
            return None if inner is None else inner * x
        name = getattr(expr, "name", None)
        if name == self.vector.var:
            return Const(1, "int64")
        if not isinstance(expr, Op) and name in self.lets:
            return self.stride(self.lets[name])
        return None

    def varies(self, expr: Expr) -> bool:
        """Whether a value differs between the lanes of the open vector loop."""
        if isinstance(expr, Load):
            masked = expr.mask is not None and self.varies(expr.mask)
            return masked or self.varies(expr.index)
        if isinstance(expr, Op):
            return any(self.varies(arg) for arg in expr.args)
        if isinstance(expr, Cast):
            return self.varies(expr.arg)
        if isinstance(expr, (Const, Param)):
            return False
        return isinstance(self.env[expr.name], list)

    def scalar_index(self, expr: Expr, part: int) -> Value:
        """An affine index at the first lane of a part."""
        vector = self.vector
        assert vector is not None
        if not self.varies(expr):
            return self.uniform(expr)
        if isinstance(expr, Op):
            args = [self.scalar_index(arg, part) for arg in expr.args]
            return scalar_ops.apply(self.b, expr.name, "i", args)
        name = getattr(expr, "name", "")
        if name == vector.var:
            return vector.starts[part]
        return self.scalar_index(self.lets[name], part)

    def load(self, expr: Load) -> Emitted:
        b = self.b
        base, type_ = self.buffers[expr.buffer], scalar_ops.memory_type(expr.dtype)
        align = itemsize(expr.dtype)
        mask = None if expr.mask is None else self.value(expr.mask)
        if not self.varies(expr.index) and not isinstance(mask, list):
            index = self.uniform(expr.index)
            if mask is None:
                pointer = b.pointer_offset(base, index, type_)
                loaded = b.load(pointer, type_, 1, align, self.steady(expr.buffer))
                return self.from_memory(loaded, expr.dtype)
            return self.guarded_scalar_load(base, index, mask, expr)
        vector = self.vector
        assert vector is not None
        return [
            self.from_memory(self.load_part(expr, part, mask), expr.dtype)
            for part in range(vector.parts)
        ]

    def steady(self, buffer: str) -> int | None:
        """How far out a load may move: one of a buffer that the kernel does not write is done
        once, outside of a vector loop (which runs at least once) but of no other.
        """
        if buffer not in self.unwritten:
            return None
        return self.b.depth if self.vector is None else self.vector.depth

    def guarded_scalar_load(self, base: Value, index: Value, mask: Value, expr: Load) -> Value:
        """Where the mask is false a zero on the stack is read instead."""
        b = self.b
        type_, align = scalar_ops.memory_type(expr.dtype), itemsize(expr.dtype)
        zero = b.alloca(type_, 1, align)
        b.store(b.const(0, type_), zero, align)
        pointer = b.select(mask, b.pointer_offset(base, index, type_), zero)
        return self.from_memory(b.load(pointer, type_, 1, align), expr.dtype)

    def from_memory(self, value: Value, dtype: str) -> Value:
        if dtype != "bool":
            return value
        return self.b.compare("ne", value, self.b.like(0, value))

    def lane_mask(self, mask: Emitted | None, part: int) -> Value | None:
        vector = self.vector
        assert vector is not None
        open_lanes = None if vector.masks is None else vector.masks[part]
        if mask is None:
            return open_lanes
        chosen = self.b.splat(mask[part] if isinstance(mask, list) else mask, vector.width)
        if open_lanes is None:
            return chosen
        return self.b.binary("and", chosen, open_lanes)

    def load_part(self, expr: Load, part: int, mask: Emitted | None) -> Value:
        b, vector = self.b, self.vector
        assert vector is not None
        type_, align = scalar_ops.memory_type(expr.dtype), itemsize(expr.dtype)
        lanes = self.lane_mask(mask, part)
        if self.stride(expr.index) == Const(2, "int64"):
            return self.load_every_second(expr, part, lanes)
        pointers, contiguous = self.addresses(expr.buffer, expr.index, part, type_)
        steady = self.steady(expr.buffer)
        if contiguous:
            if lanes is None:
                return b.load(pointers, type_, vector.width, align, steady)
            return b.masked_load(pointers, type_, lanes, align, steady)
        if lanes is None:
            lanes = b.const(True, "i1", vector.width)
        return b.gather(pointers, type_, lanes, align, steady)

    def load_every_second(self, expr: Load, part: int, lanes: Value | None) -> Value:
        """Two vectors side by side, of which every second element is kept.

        What lies between two elements may be read; what follows the last one may not be ours.
        """
        b, vector = self.b, self.vector
        assert vector is not None
        width, steady = vector.width, self.steady(expr.buffer)
        type_, align = scalar_ops.memory_type(expr.dtype), itemsize(expr.dtype)
        index = self.scalar_index(expr.index, part)
        halves = []
        for first in (0, width):
            start = b.add(index, b.const(first, "i64"))
            pointer = b.pointer_offset(self.buffers[expr.buffer], start, type_)
            if lanes is not None:
                # Lane i of the mask stands for element 2 i.
                spread = [
                    width if (first + lane) % 2 else (first + lane) // 2 for lane in range(width)
                ]
                mask = b.shuffle(lanes, b.const(False, "i1", width), spread)
            elif first == 0:
                halves.append(b.load(pointer, type_, width, align, steady))
                continue
            else:
                mask = b.vector_constant([lane < width - 1 for lane in range(width)], "i1")
            halves.append(b.masked_load(pointer, type_, mask, align, steady))
        return b.shuffle(halves[0], halves[1], range(0, 2 * width, 2))

    def addresses(self, buffer: str, index: Expr, part: int, type_: str) -> tuple[Value, bool]:
        """The pointer of a contiguous access, or a vector of pointers."""
        b, vector = self.b, self.vector
        assert vector is not None
        base = self.buffers[buffer]
        stride = self.stride(index)
        if stride == Const(1, "int64"):
            # Later parts lie at a constant distance, which the addressing mode takes.
            first = b.pointer_offset(base, self.scalar_index(index, 0), type_)
            if part == 0:
                return first, True
            return b.pointer_offset(first, b.const(part * vector.width, "i64"), type_), True
        self.gathers = True
        if stride is None:
            indices = self.parts_of(self.value(index), vector.parts, vector.width)[part]
            return b.pointer_offset(base, indices, type_), False
        first_index = self.scalar_index(index, part)
        first = b.pointer_offset(base, first_index, type_)
        iota = b.vector_constant(range(vector.width), "i64")
        steps = b.mul(b.splat(self.uniform(stride), vector.width), iota)
        return b.pointer_offset(first, steps, type_), False

    def to_memory(self, value: Value, dtype: str) -> Value:
        return self.b.convert("zext", value, "i8") if dtype == "bool" else value

    def store(self, stmt: Store) -> None:
        b = self.b
        dtype = self.dtypes[stmt.buffer]
        type_, align = scalar_ops.memory_type(dtype), itemsize(dtype)
        value = self.value(stmt.value)
        mask = None if stmt.mask is None else self.value(stmt.mask)
        vector = self.vector
        if vector is None:
            assert not isinstance(value, list) and not isinstance(mask, list)
            pointer = b.pointer_offset(self.buffers[stmt.buffer], self.uniform(stmt.index), type_)
            if mask is not None:
                nowhere = b.alloca(type_, 1, align)
                pointer = b.select(mask, pointer, nowhere)
            b.store(self.to_memory(value, dtype), pointer, align)
            return
        if not self.varies(stmt.index):
            raise InternalError(f"loop nest: all lanes store to one element of {stmt.buffer}")
        for part, item in enumerate(self.parts_of(value, vector.parts, vector.width)):
            lanes = self.lane_mask(mask, part)
            pointers, contiguous = self.addresses(stmt.buffer, stmt.index, part, type_)
            stored = self.to_memory(item, dtype)
            if contiguous and lanes is None:
                b.store(stored, pointers, align)
            elif contiguous:
                assert lanes is not None
                b.masked_store(stored, pointers, lanes, align)
            else:
                b.scatter(stored, pointers, lanes or b.const(True, "i1", vector.width), align)
