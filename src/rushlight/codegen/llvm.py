"""Loop nest to the text of an LLVM module, vectorized for a Target's width.

Every kernel has the signature ``void(ptr buffers, ptr params, i64 begin, i64 end)``: an array of
base pointers, an array of 8-byte words (integers as int64, floats as float64), and the part of
the parallel loop to run (a kernel without one runs whole).  A vector loop becomes an unrolled
main loop and a masked loop for the tail, or a scalar one where lanes are gathered.  Brief code has
the masked loop alone: it is a fourth of the text, takes any size and gives the same bits, and suits
kernels over few elements, which cost more to compile than they will ever compute.  Level 7.
"""

from __future__ import annotations

from collections.abc import Iterator

from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.codegen.expressions import (
    COUNTED,
    QUOTIENT,
    ExpressionEmitter,
    OpenVector,
)
from rushlight.loopnest.ir import (
    PARALLEL,
    VECTOR,
    Accumulator,
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
    Var,
    accumulator_dtypes,
    itemsize,
)
from rushlight.loopnest.visit import (
    all_expressions,
    data_itemsize,
    has_loop,
    heavy_operations,
    walk_expr,
    walk_stmts,
)

KERNEL_ARGUMENTS = "ptr %buffers, ptr %params, i64 %begin, i64 %end"
# Parts of an unrolled vector loop.  Light bodies need chains of loads; a chain of several
# functions is bound by latency, and four parts run it 1.6 times as fast as one (the constants are
# memory operands, so nothing spills even with 16 registers).  A single function gains nothing
# from more than two, and its code is compiled for nothing.
_PARTS = 4
_ONE_FUNCTION_PARTS = {16: 1, 32: 2}
# Elements of a row of a sum that takes longer than memory takes to answer.
_LONG_ROW = 512
_LATEST = (1 << 63) - 1


class KernelGenerator(ExpressionEmitter):
    def __init__(self, kernel: Kernel, target: Target, brief: bool) -> None:
        super().__init__(kernel, target)
        self.brief = brief
        # The variable of the serial sum around what is computed, if there is one.
        self.summed: str | None = None

    def run(self) -> str:
        self.bind_arguments()
        self.body(self.kernel.body)
        return self.b.function(self.kernel.name, KERNEL_ARGUMENTS)

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
        if loop.kind == PARALLEL:
            self.counted_loop(loop, Value("%begin", "i64"), Value("%end", "i64"))
        else:
            self.counted_loop(loop, self.b.const(0, "i64"), self.uniform(loop.extent))

    def counted_loop(self, loop: Loop, start: Value, stop: Value) -> None:
        """A loop in order.  Where its counter is taken apart, quotients and remainders are carried
        from turn to turn: a division takes longer than a short row."""
        b = self.b
        divisions = counter_divisions(loop)
        self.env[loop.var] = start
        carried = [
            self.uniform(Op(name, (x, y), "int64")) for x, y in divisions for name in COUNTED
        ]
        handle = b.begin_loop(start, stop, 1, carried)
        self.env[loop.var] = handle.counter
        before, self.counted = self.counted, dict(self.counted)
        values = iter(handle.values)
        for x, y in divisions:
            for name in COUNTED:
                self.counted[Op(name, (x, y), "int64")] = next(values)
        self.body(loop.body)
        updated = self.next_divisions(loop, divisions) if divisions else []
        self.counted = before
        b.end_loop(handle, updated)

    def next_divisions(self, loop: Loop, divisions: list[tuple[Expr, Expr]]) -> list[Value]:
        """What is carried, in the next turn: a remainder that reaches its divisor begins anew, and
        the quotient, which others may be of, grows."""
        b = self.b
        grown: dict[Expr, Value] = {Var(loop.var): b.const(1, "i64")}
        updated = []
        for x, y in divisions:
            quotient, remainder = (Op(name, (x, y), "int64") for name in COUNTED)
            more = b.add(self.counted[remainder], grown[x])
            whole = b.compare("eq", more, self.uniform(y))
            grown[quotient] = b.convert("zext", whole, "i64")
            updated.append(b.add(self.counted[quotient], grown[quotient]))
            updated.append(b.select(whole, b.const(0, "i64"), more))
        return updated

    def vector_width(self, body: tuple[Stmt, ...], *extra: Expr) -> int:
        return self.target.lanes(data_itemsize(body, extra))

    def vector_loop(self, loop: Loop) -> None:
        b = self.b
        stop = self.uniform(loop.extent)
        width = self.vector_width(loop.body)
        if self.brief:
            self.vector_part_loop(loop, b.const(0, "i64"), stop, width, 1, masked=True)
            return
        heavy = heavy_operations(loop.body, scalar_ops.HEAVY, self.counted)
        parts = self.unrolled_parts(heavy)
        # Sums in a body's loops have a register for each part; what they add needs the others.
        sums = max([len(s.accumulators) for s in walk_stmts(loop.body) if isinstance(s, Reduce)],
                   default=0)  # fmt: skip
        while parts > 1 and sums * parts > self.target.vector_registers // 2:
            parts //= 2
        main_end = b.binary("and", stop, b.const(-(width * parts), "i64"))
        before, self.gathers = self.gathers, False
        self.vector_part_loop(loop, b.const(0, "i64"), main_end, width, parts, masked=False)
        gathers, self.gathers = self.gathers, before
        if gathers and heavy == 0 and not has_loop(loop.body):
            self.gathering_tail(loop, main_end, stop, width, parts)
        else:
            self.vector_part_loop(loop, main_end, stop, width, 1, masked=True)

    def gathering_tail(self, loop: Loop, start: Value, stop: Value, width: int, parts: int) -> None:
        """The rest of a loop that reads or writes lanes one by one: masked out or not, each lane of
        a gather takes its time, and elements of less than a vector are done one after the other.
        """
        b = self.b
        if parts > 1:
            whole = b.binary("and", stop, b.const(-width, "i64"))
            self.vector_part_loop(loop, start, whole, width, 1, masked=False)
            start = whole
        handle = b.begin_loop(start, stop, 1)
        self.env[loop.var] = handle.counter
        self.body(loop.body)
        b.end_loop(handle)

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
        self.open_vector(OpenVector(var, starts, width, masks, b.depth - 1))

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
            first = self.start(acc, width)
            if len(acc.names) == 2:
                # What is no better than the start is found at the first position, if there is one.
                some = b.compare("sgt", stop, b.const(0, "i64"))
                first[1] = b.splat(
                    b.select(some, b.const(0, "i64"), b.const(_LATEST, "i64")), width
                )
            carried += first * copies
        handle = b.begin_loop(b.const(0, "i64"), stop, 1, carried)
        self.env[stmt.var] = handle.counter
        around, self.summed = self.summed, stmt.var
        self.body(stmt.body)
        self.summed = around
        updated: list[Value] = []
        at = 0
        for acc in stmt.accumulators:
            values = self.parts_of(self.value(acc.value), copies, width)
            for value in values:
                held = tuple(handle.values[at : at + len(acc.names)])
                position = b.splat(handle.counter, width)
                new = (value, position) if len(acc.names) == 2 else (value,)
                updated += scalar_ops.combine_next(b, acc.op, acc.value.dtype, held, new)
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
        begin = b.const(0, "i64")
        # Order of the carried values: accumulator, then name, then part.
        held: list[Value] = []
        for acc in stmt.accumulators:
            held += [first for first in self.start(acc, width) for _ in range(parts)]
        if not self.brief:
            main_end = b.binary("and", stop, b.const(-stmt.lanes, "i64"))
            handle = b.begin_loop(begin, main_end, stmt.lanes, held)
            self.enter_lanes(stmt.var, handle.counter, width, parts, None)
            if self.summed is not None:
                self.ask_ahead(values, stop, self.summed)
            updated = self.absorb_lanes(stmt, handle.values, parts)
            self.vector = None
            held = b.end_loop(handle, updated)
            begin = main_end
        held = self.reduce_tail(stmt, held, begin, stop, width, parts)
        self.fold_lanes(stmt, held, parts)

    def ask_ahead(self, values: list[Expr], stop: Value, turn: str) -> None:
        """Asks for what will be read after this row of a sum over several: they lie far apart, and
        what a machine foresees of a row ends with its page.  After a long row that is the next one
        of the sum, after a short one, which is over too soon, what the next sum reads in its place.
        """
        b, vector = self.b, self.vector
        assert vector is not None
        loads = {e for value in values for e in walk_expr(value) if isinstance(e, Load)}
        parallel = self.kernel.parallel_loop()
        for load in sorted(loads, key=repr):
            step = growth(load.index, turn)
            if step is None or self.stride(load.index) != Const(1, "int64"):
                continue
            distance = self.uniform(step)
            further = None if parallel is None else growth(load.index, parallel.var)
            if further is not None:
                is_long = b.compare("sge", stop, b.const(_LONG_ROW, "i64"))
                distance = b.select(is_long, distance, self.uniform(further))
            type_ = scalar_ops.memory_type(load.dtype)
            first = b.add(self.scalar_index(load.index, 0), distance)
            pointer = b.pointer_offset(self.buffers[load.buffer], first, type_)
            size = vector.parts * vector.width * itemsize(load.dtype)
            for byte in range(0, size, self.target.line_bytes):
                b.prefetch(b.pointer_offset(pointer, b.const(byte, "i64"), "i8"), soon=False)

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
        # In brief code the masked steps go around the lanes more than once.
        offset = b.binary("and", handle.counter, b.const(stmt.lanes - 1, "i64"))
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

    def folded_parts(
        self, stmt: Reduce, held: list[Value], parts: int
    ) -> Iterator[tuple[Accumulator, tuple[Value, ...]]]:
        """Each accumulator with its parts folded into one, upper half into the lower half."""
        b = self.b
        at = 0
        for acc in stmt.accumulators:
            count, dtype = len(acc.names), acc.value.dtype
            rows = [
                tuple(held[at + slot * parts + part] for slot in range(count))
                for part in range(parts)
            ]
            at += parts * count
            while len(rows) > 1:
                half = len(rows) // 2
                rows = [
                    scalar_ops.combine(b, acc.op, dtype, rows[k], rows[k + half])
                    for k in range(half)
                ]
            yield acc, rows[0]

    def fold_lanes(self, stmt: Reduce, held: list[Value], parts: int) -> None:
        """Upper half of the lanes into the lower half until one is left."""
        b = self.b
        for acc, lanes in self.folded_parts(stmt, held, parts):
            while lanes[0].width > 1:
                lower, upper = zip(*(_halves(b, value) for value in lanes))
                lanes = scalar_ops.combine(b, acc.op, acc.value.dtype, lower, upper)
            for name, value in zip(acc.names, lanes):
                self.env[name] = value


def growth(index: Expr, var: str) -> Expr | None:
    """How much an index grows with a variable; None if it does not, or not by a fixed step."""
    if index == Var(var):
        return Const(1, "int64")
    if not isinstance(index, Op):
        return None
    parts = [growth(arg, var) for arg in index.args]
    if index.name == "add" and parts.count(None) == 1:
        return parts[0] or parts[1]
    if index.name == "mul" and parts.count(None) == 1:
        at = parts.index(None)
        factor, part = index.args[at], parts[1 - at]
        assert part is not None
        return part * factor if isinstance(factor, (Param, Const)) else None
    return None


def counter_divisions(loop: Loop) -> list[tuple[Expr, Expr]]:
    """(dividend, number of elements) of the divisions of a loop's counter, and of their quotients,
    in an order in which they can be made."""
    dividends: set[Expr] = {Var(loop.var)}
    found: dict[tuple[Expr, Expr], None] = {}
    # An expression comes before its parts: a quotient of a quotient is found a turn later.
    operations = [e for e in all_expressions(loop.body) if isinstance(e, Op) and e.name in COUNTED]
    while True:
        before = len(found)
        for operation in operations:
            x, y = operation.args
            counts = isinstance(y, Param) and y.counts
            if counts and x in dividends:
                found[x, y] = None
                dividends.add(Op(QUOTIENT, (x, y), "int64"))
        if len(found) == before:
            return list(found)


def _halves(b: Emitter, x: Value) -> tuple[Value, Value]:
    half = x.width // 2
    if half == 1:
        return b.extract(x, 0), b.extract(x, 1)
    return b.shuffle(x, x, range(half)), b.shuffle(x, x, range(half, 2 * half))


def _spill_type(type_: str) -> str:
    return "i8" if type_ == "i1" else type_


def kernel_function(kernel: Kernel, target: Target, brief: bool) -> tuple[str, set[str]]:
    """The text of one kernel's function and the declarations it needs."""
    generator = KernelGenerator(kernel, target, brief)
    text = generator.run()
    return text, generator.b.declarations


def module_text(kernels: list[Kernel], target: Target, brief: bool = False) -> str:
    """One LLVM module with a function for each kernel, under the kernels' names.

    brief: code that is quick to compile rather than quick over many elements.
    """
    functions, declarations = [], set()
    for kernel in kernels:
        text, needed = kernel_function(kernel, target, brief)
        functions.append(text)
        declarations |= needed
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join(functions)
