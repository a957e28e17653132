"""Loop nest to the text of an LLVM module, vectorized for a Target's width.

Every kernel has the signature ``void(ptr buffers, ptr params, i64 begin, i64 end)``: an array of
base pointers, an array of 8-byte words (integers as int64, floats as float64), and the part of
the parallel loop to run (a kernel without one runs whole).  A vector loop becomes an unrolled
main loop and a masked loop for the tail.  A value in a vector loop is either one scalar, the same
in all lanes, or a list of vectors, one for each part of the unrolling.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.errors import InternalError
from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.loopnest.ir import (
    PARALLEL,
    VECTOR,
    Accumulator,
    Buffer,
    Cast,
    Const,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Op,
    Param,
    Reduce,
    Stmt,
    Store,
    accumulator_dtypes,
    itemsize,
    kind_of,
)
from rushlight.loopnest.visit import data_itemsize, heavy_operations

KERNEL_ARGUMENTS = "ptr %buffers, ptr %params, i64 %begin, i64 %end"
# Parts of an unrolled vector loop.  Light bodies need chains of loads; a chain of several
# functions is bound by latency, and four parts run it 1.6 times as fast as one (the constants are
# memory operands, so nothing spills even with 16 registers).  A single function gains nothing
# from more than two, and its code is compiled for nothing.
_PARTS = 4
_ONE_FUNCTION_PARTS = {16: 1, 32: 2}
_LATEST = (1 << 63) - 1

Emitted = Value | list[Value]


@dataclass
class _Vectorized:
    """The open vector loop: its variable, scalar start of each part, lanes and tail mask."""

    var: str
    starts: list[Value]
    width: int
    masks: list[Value] | None  # one for each part; the same one in a tail, which has one part

    @property
    def parts(self) -> int:
        return len(self.starts)


class _Generator:
    def __init__(self, kernel: Kernel, target: Target, emitter: Emitter | None = None) -> None:
        self.kernel = kernel
        self.target = target
        self.b = emitter or Emitter(target)
        self.env: dict[str, Emitted] = {}
        self.lets: dict[str, Expr] = {}  # index arithmetic, to find strides through names
        self.vector: _Vectorized | None = None
        self.buffers: dict[str, Value] = {}
        self.dtypes = {buffer.name: buffer.dtype for buffer in kernel.buffers}
        self.params: dict[str, Value] = {}

    # --- the function ---

    def run(self) -> str:
        self.bind_arguments(0, 0)
        self.body(self.kernel.body)
        return self.b.function(self.kernel.name, KERNEL_ARGUMENTS)

    def bind_arguments(self, skip_buffers: int, skip_params: int) -> None:
        """Reads base pointers and parameters, all but the first few, from the argument arrays."""
        b = self.b
        for position, buffer in enumerate(self.kernel.buffers, skip_buffers):
            slot = b.pointer_offset(Value("%buffers", "ptr"), b.const(position, "i64"), "ptr")
            self.buffers[buffer.name] = b.load(slot, "ptr", 1, 8)
        for position, param in enumerate(self.kernel.params, skip_params):
            slot = b.pointer_offset(Value("%params", "ptr"), b.const(position, "i64"), "i64")
            self.params[param.name] = self.load_param(slot, param)

    def load_param(self, slot: Value, param: Param) -> Value:
        b = self.b
        if kind_of(param.dtype) == "f":
            return scalar_ops.cast(b, b.load(slot, "double", 1, 8), "float64", param.dtype)
        return scalar_ops.cast(b, b.load(slot, "i64", 1, 8), "int64", param.dtype)

    # --- statements ---

    def body(self, body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            if isinstance(stmt, Let):
                self.env[stmt.name] = self.value(stmt.value)
                self.lets[stmt.name] = stmt.value
            elif isinstance(stmt, Store):
                self.store(stmt)
            elif isinstance(stmt, Loop):
                self.loop(stmt)
            elif stmt.lanes > 1:
                self.reduce_lanes(stmt)
            else:
                self.reduce_serial(stmt)

    def loop(self, loop: Loop) -> None:
        if loop.kind == VECTOR:
            self.vector_loop(loop)
            return
        b = self.b
        if loop.kind == PARALLEL:
            start, stop = Value("%begin", "i64"), Value("%end", "i64")
        else:
            start, stop = b.const(0, "i64"), self.uniform(loop.extent)
        handle = b.begin_loop(start, stop, 1)
        self.env[loop.var] = handle.counter
        self.body(loop.body)
        b.end_loop(handle)

    def vector_width(self, body: tuple[Stmt, ...], *extra: Expr) -> int:
        return self.target.lanes(data_itemsize(body, extra))

    def vector_loop(self, loop: Loop) -> None:
        b = self.b
        stop = self.uniform(loop.extent)
        width = self.vector_width(loop.body)
        parts = self.unrolled_parts(heavy_operations(loop.body, scalar_ops.HEAVY))
        main_end = b.binary("and", stop, b.const(-(width * parts), "i64"))
        self.vector_part_loop(loop, b.const(0, "i64"), main_end, width, parts, masked=False)
        self.vector_part_loop(loop, main_end, stop, width, 1, masked=True)

    def unrolled_parts(self, heavy: int) -> int:
        """Copies of a body with this many transcendental functions."""
        if heavy == 1:
            return _ONE_FUNCTION_PARTS.get(self.target.vector_registers, 1)
        return _PARTS

    def vector_part_loop(
        self, loop: Loop, start: Value, stop: Value, width: int, parts: int, masked: bool
    ) -> None:
        handle = self.b.begin_loop(start, stop, width * parts)
        self.enter_lanes(loop.var, handle.counter, width, parts, stop if masked else None)
        self.body(loop.body)
        self.vector = None
        self.b.end_loop(handle)

    def enter_lanes(
        self, var: str, counter: Value, width: int, parts: int, stop: Value | None
    ) -> None:
        b = self.b
        starts = [b.add(counter, b.const(width * u, "i64")) for u in range(parts)]
        starts[0] = counter
        masks = None
        if stop is not None:
            left = b.convert("trunc", b.sub(stop, counter), "i32")
            lanes = b.vector_constant(range(width), "i32")
            masks = [b.compare("slt", lanes, b.splat(left, width))] * parts
        self.open_vector(_Vectorized(var, starts, width, masks))

    def enter_tile(
        self, var: str, first: Value, width: int, masks: list[Value] | None, parts: int
    ) -> None:
        """One row of a contraction's tile: the columns are the lanes."""
        b = self.b
        starts = [b.add(first, b.const(width * u, "i64")) for u in range(parts)]
        starts[0] = first
        self.open_vector(_Vectorized(var, starts, width, masks))

    def open_vector(self, vector: _Vectorized) -> None:
        b = self.b
        self.vector = vector
        iota = b.vector_constant(range(vector.width), "i64")
        self.env[vector.var] = [
            b.add(b.splat(start, vector.width), iota) for start in vector.starts
        ]

    # --- reductions ---

    def reduce_serial(self, stmt: Reduce) -> None:
        """Accumulators in ascending order; inside a vector loop each lane has its own."""
        b = self.b
        stop = self.uniform(stmt.extent)
        vector = self.vector
        copies = 1 if vector is None else vector.parts
        width = 1 if vector is None else vector.width
        carried: list[Value] = []
        for acc in stmt.accumulators:
            carried += [v for _ in range(copies) for v in self.start(acc, width)]
        handle = b.begin_loop(b.const(0, "i64"), stop, 1, carried)
        self.env[stmt.var] = handle.counter
        self.body(stmt.body)
        updated: list[Value] = []
        at = 0
        for acc in stmt.accumulators:
            values = self.parts_of(self.value(acc.value), copies, width)
            for value in values:
                held = tuple(handle.values[at : at + len(acc.names)])
                position = b.splat(handle.counter, width)
                new = (value, position) if len(acc.names) == 2 else (value,)
                updated += scalar_ops.combine(b, acc.op, acc.value.dtype, held, new)
                at += len(acc.names)
        results = b.end_loop(handle, updated)
        self.bind_serial(stmt, results, copies)

    def bind_serial(self, stmt: Reduce, results: list[Value], copies: int) -> None:
        at = 0
        for acc in stmt.accumulators:
            count = len(acc.names)
            for slot, name in enumerate(acc.names):
                values = [results[at + copy * count + slot] for copy in range(copies)]
                self.env[name] = values[0] if self.vector is None else values
            at += copies * count

    def parts_of(self, value: Emitted, copies: int, width: int) -> list[Value]:
        if isinstance(value, list):
            return value
        return [self.b.splat(value, width)] * copies

    def start(self, acc: Accumulator, width: int) -> list[Value]:
        dtype = accumulator_dtypes(acc)[0]
        first = scalar_ops.identity(acc.op, dtype)
        values = [self.b.const(first, scalar_ops.register_type(dtype), width)]
        if len(acc.names) == 2:
            values.append(self.b.const(_LATEST, "i64", width))
        return values

    def reduce_lanes(self, stmt: Reduce) -> None:
        """The vectorized Reduce: all lanes in registers in the main loop, in memory in the tail."""
        b = self.b
        values = [acc.value for acc in stmt.accumulators]
        width = min(self.vector_width(stmt.body, *values), stmt.lanes)
        parts = stmt.lanes // width
        stop = self.uniform(stmt.extent)
        main_end = b.binary("and", stop, b.const(-stmt.lanes, "i64"))
        # Order of the carried values: accumulator, then name, then part.
        carried: list[Value] = []
        for acc in stmt.accumulators:
            carried += [first for first in self.start(acc, width) for _ in range(parts)]
        handle = b.begin_loop(b.const(0, "i64"), main_end, stmt.lanes, carried)
        self.enter_lanes(stmt.var, handle.counter, width, parts, None)
        updated = self.absorb_lanes(stmt, handle.values, parts)
        self.vector = None
        held = b.end_loop(handle, updated)
        held = self.reduce_tail(stmt, held, main_end, stop, width, parts)
        self.fold_lanes(stmt, held, parts)

    def absorb_lanes(self, stmt: Reduce, held: list[Value], parts: int) -> list[Value]:
        vector = self.vector
        assert vector is not None
        b = self.b
        self.body(stmt.body)
        updated: list[Value] = []
        at = 0
        for acc in stmt.accumulators:
            arrived = self.parts_of(self.value(acc.value), parts, vector.width)
            positions = self.env[stmt.var]
            assert isinstance(positions, list)
            columns: list[tuple[Value, ...]] = []
            for part in range(parts):
                old = tuple(held[at + slot * parts + part] for slot in range(len(acc.names)))
                new = (arrived[part], positions[part])[: len(acc.names)]
                mixed = scalar_ops.combine(b, acc.op, acc.value.dtype, old, new)
                if vector.masks is not None:
                    keep = vector.masks[part]
                    mixed = tuple(b.select(keep, m, o) for m, o in zip(mixed, old))
                columns.append(mixed)
            for slot in range(len(acc.names)):
                updated += [column[slot] for column in columns]
            at += parts * len(acc.names)
        return updated

    def reduce_tail(
        self, stmt: Reduce, held: list[Value], begin: Value, stop: Value, width: int, parts: int
    ) -> list[Value]:
        """Masked steps of one vector; which lanes they meet varies, so the lanes are spilled."""
        b = self.b
        if parts == 1:
            handle = b.begin_loop(begin, stop, width, held)
            self.enter_lanes(stmt.var, handle.counter, width, 1, stop)
            updated = self.absorb_lanes(stmt, handle.values, 1)
            self.vector = None
            return b.end_loop(handle, updated)
        groups = [held[at : at + parts] for at in range(0, len(held), parts)]
        stacks = []
        for group in groups:
            type_ = _spill_type(group[0].type)
            stack = b.alloca(type_, stmt.lanes, self.target.vector_bytes)
            stacks.append(stack)
            for part, value in enumerate(group):
                self.spill(stack, b.const(part * width, "i64"), value)
        handle = b.begin_loop(begin, stop, width)
        self.enter_lanes(stmt.var, handle.counter, width, 1, stop)
        offset = b.sub(handle.counter, begin)
        current = [self.unspill(stack, offset, group[0]) for stack, group in zip(stacks, groups)]
        for stack, value in zip(stacks, self.absorb_lanes(stmt, current, 1)):
            self.spill(stack, offset, value)
        self.vector = None
        b.end_loop(handle)
        return [
            self.unspill(stack, b.const(part * width, "i64"), value)
            for stack, group in zip(stacks, groups)
            for part, value in enumerate(group)
        ]

    def spill(self, stack: Value, offset: Value, value: Value) -> None:
        type_ = _spill_type(value.type)
        pointer = self.b.pointer_offset(stack, offset, type_)
        if value.type != type_:
            value = self.b.convert("zext", value, type_)
        self.b.store(value, pointer, bits_of(type_) // 8)

    def unspill(self, stack: Value, offset: Value, like: Value) -> Value:
        type_ = _spill_type(like.type)
        pointer = self.b.pointer_offset(stack, offset, type_)
        value = self.b.load(pointer, type_, like.width, bits_of(type_) // 8)
        return value if type_ == like.type else self.b.convert("trunc", value, like.type)

    def fold_lanes(self, stmt: Reduce, held: list[Value], parts: int) -> None:
        """Upper half of the lanes into the lower half until one is left."""
        b = self.b
        at = 0
        for acc in stmt.accumulators:
            count = len(acc.names)
            rows = [
                tuple(held[at + slot * parts + part] for slot in range(count))
                for part in range(parts)
            ]
            at += parts * count
            dtype = acc.value.dtype
            while len(rows) > 1:
                half = len(rows) // 2
                rows = [
                    scalar_ops.combine(b, acc.op, dtype, rows[k], rows[k + half])
                    for k in range(half)
                ]
            lanes = rows[0]
            while lanes[0].width > 1:
                lower, upper = zip(*(_halves(b, value) for value in lanes))
                lanes = scalar_ops.combine(b, acc.op, dtype, lower, upper)
            for name, value in zip(acc.names, lanes):
                self.env[name] = value

    # --- expressions ---

    def value(self, expr: Expr) -> Emitted:
        if isinstance(expr, Const):
            return self.constant(expr)
        if isinstance(expr, Param):
            return self.params[expr.name]
        if isinstance(expr, Load):
            return self.load(expr)
        if isinstance(expr, Op):
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
                loaded = b.load(b.pointer_offset(base, index, type_), type_, 1, align)
                return self.from_memory(loaded, expr.dtype)
            return self.guarded_scalar_load(base, index, mask, expr)
        vector = self.vector
        assert vector is not None
        return [
            self.from_memory(self.load_part(expr, part, mask), expr.dtype)
            for part in range(vector.parts)
        ]

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
        pointers, contiguous = self.addresses(expr.buffer, expr.index, part, type_)
        if contiguous:
            if lanes is None:
                return b.load(pointers, type_, vector.width, align)
            return b.masked_load(pointers, type_, lanes, align)
        if lanes is None:
            lanes = b.const(True, "i1", vector.width)
        return b.gather(pointers, type_, lanes, align)

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


def _halves(b: Emitter, x: Value) -> tuple[Value, Value]:
    half = x.width // 2
    if half == 1:
        return b.extract(x, 0), b.extract(x, 1)
    return b.shuffle(x, x, range(half)), b.shuffle(x, x, range(half, 2 * half))


def _spill_type(type_: str) -> str:
    return "i8" if type_ == "i1" else type_


def kernel_function(kernel: Kernel, target: Target) -> tuple[str, set[str]]:
    """The text of one kernel's function and the declarations it needs."""
    generator = _Generator(kernel, target)
    text = generator.run()
    return text, generator.b.declarations


def module_text(kernels: list[Kernel], target: Target) -> str:
    """One LLVM module with a function for each kernel, under the kernels' names."""
    functions, declarations = [], set()
    for kernel in kernels:
        text, needed = kernel_function(kernel, target)
        functions.append(text)
        declarations |= needed
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join(functions)


def emit_epilogue(
    b: Emitter,
    value: Expr,
    buffers: tuple[Buffer, ...],
    params: tuple[Param, ...],
    skip: tuple[int, int],
    sums: list[Value],
    row: Value,
    column: Value,
    masks: list[Value] | None,
) -> list[Value]:
    """A loop-nest expression of ``acc``, ``row`` and ``column`` on one row of a tile.

    Its buffers and parameters follow the ``skip`` first ones of the surrounding kernel.
    """
    generator = _Generator(Kernel("epilogue", buffers, params, ()), b.target, b)
    generator.bind_arguments(*skip)
    generator.enter_tile("column", column, sums[0].width, masks, len(sums))
    generator.env["row"] = row
    generator.env["acc"] = list(sums)
    result = generator.value(value)
    return generator.parts_of(result, len(sums), sums[0].width)
