"""Products of one row: a vector times a matrix that is read once, where it lies.

C[batch] = A[batch] @ B[batch] where A has one row.  Such a product does two operations for each
element of B, so it is bound by reading B; the cores of `codegen/gemm.py`, made to use an element
many times, would transpose a B that runs along k in registers to no purpose.

The order of additions is part of the contract, whichever way B lies: step k adds to the partial
sum k mod PARTIALS by fused multiply-add, in ascending order from zero, and the partial sums are
added at the end in halves (0 with 4, 1 with 5, ...; then 0 with 2, ...).  A step along k is then
one vector of a line of B, and eight lines or eight rows are eight independent chains.

The signature is the common one.  Buffers: A (unit stride along k), B, C, offsets (three int64 a
batch: of A, B, C, in elements).  Params: see PARAMS.  Iterations are tiles of C.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen import scalar_ops
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.packing import lane_mask, transpose
from rushlight.loopnest.ir import itemsize

BUFFERS = ("a", "b", "c", "offsets")
PARAMS = ("n", "k", "b_row", "b_column", "tile", "tiles")
# The same on every machine, because it fixes the order of additions: one 256-bit vector of floats.
PARTIALS = 8
ALONG_K, ALONG_ROWS = "lines", "rows"
_LLVM_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class RowProductSpec:
    """What the code depends on: the dtype, and whether B has unit stride along k or its rows.

    stored: the dtype of B, if that is a 16-bit float: its elements are widened as they are read.
    """

    name: str
    dtype: str
    reading: str
    stored: str = ""


def columns_at_once(spec: RowProductSpec, target: Target) -> int:
    """How many columns the innermost loop computes."""
    lanes = target.lanes(itemsize(spec.dtype))
    if spec.reading == ALONG_K:
        # All lines' partial sums stay in half of the registers; the rest reads ahead.
        held = PARTIALS * max(1, PARTIALS // lanes)
        return PARTIALS if held <= target.vector_registers // 2 else PARTIALS // 2
    # Twice what the latency of an addition asks for: a kilobyte of a row with AVX-512 is read at
    # 1.2 times the speed of half a kilobyte.
    return lanes * (target.vector_registers // 2)


class _Kernel(Driver):
    def __init__(self, spec: RowProductSpec, target: Target) -> None:
        super().__init__(target, _LLVM_TYPES[spec.dtype])
        self.spec, self.size = spec, itemsize(spec.dtype)
        self.columns = columns_at_once(spec, target)
        self.lanes = target.lanes(self.size)
        self.stored = spec.stored or spec.dtype
        self.stored_type = scalar_ops.register_type(self.stored)
        self.params = {name: self.word("params", i, "i64") for i, name in enumerate(PARAMS)}

    def text(self) -> str:
        b, p = self.b, self.params
        buffers = {name: self.word("buffers", i, "ptr") for i, name in enumerate(BUFFERS)}
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        batch, start, stop = self.column_tile(loop.counter, p)
        bases = []
        for matrix, name in enumerate("abc"):
            offset = self.batch_offset(buffers["offsets"], batch, matrix)
            at = self.b_at if name == "b" else self.at
            bases.append(at(buffers[name], offset))
        if self.spec.reading == ALONG_ROWS:
            blocks = b.binary("udiv", b.sub(stop, start), self.count(self.columns))
            edge = b.add(start, b.mul(blocks, self.count(self.columns)))
            self.each(start, edge, stop, self.columns, bases, self.wide)
            self.each(edge, stop, stop, self.lanes, bases, self.edge)
        else:
            self.each(start, stop, stop, self.columns, bases, self.lines)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def each(self, start: Value, end: Value, stop: Value, step: int, bases, emit) -> None:
        """A loop over columns; `emit` gets A, the columns of B and C, and how many are left."""
        b = self.b
        loop = b.begin_loop(start, end, step)
        first = self.b_at(bases[1], b.mul(loop.counter, self.params["b_column"]))
        target = self.at(bases[2], loop.counter)
        emit(bases[0], first, target, b.sub(stop, loop.counter))
        b.end_loop(loop)

    # --- B runs along k ---

    def lines(self, x: Value, first: Value, target: Value, left: Value) -> None:
        """Columns of C, each from one line of B; beyond the edge the last line repeats."""
        b, p = self.b, self.params
        last = b.sub(left, self.count(1))
        lines = [
            self.b_at(first, b.mul(self.minimum(self.count(i), last), p["b_column"]))
            for i in range(self.columns)
        ]
        main = b.binary("and", p["k"], self.count(-PARTIALS))
        sums = [b.const(0.0, self.type, PARTIALS)] * self.columns
        loop = b.begin_loop(self.count(0), main, PARTIALS, sums)
        sums = b.end_loop(loop, self.line_step(x, lines, loop.counter, loop.values, None))
        tail = b.begin_loop(main, p["k"], PARTIALS, sums)
        mask = lane_mask(b, b.sub(p["k"], tail.counter), PARTIALS)
        sums = b.end_loop(tail, self.line_step(x, lines, tail.counter, tail.values, mask))
        # Repeated lines only make the block square; their results are not stored.
        partials = transpose(b, sums * (PARTIALS // self.columns))
        total = self.added(partials)
        stored = lane_mask(b, self.minimum(left, self.count(self.columns)), PARTIALS)
        b.masked_store(total, target, stored, self.size)

    def line_step(
        self, x: Value, lines: list[Value], at: Value, sums: list[Value], mask: Value | None
    ) -> list[Value]:
        """PARTIALS steps of k.  Masked steps add 0 * 0 to sums that are never -0: nothing."""
        factor = self.vector(self.at(x, at), PARTIALS, mask)
        return [
            self.b.fma(factor, self.b_vector(self.b_at(line, at), PARTIALS, mask), s)
            for line, s in zip(lines, sums)
        ]

    def vector(self, pointer: Value, lanes: int, mask: Value | None = None) -> Value:
        if mask is None:
            return self.b.load(pointer, self.type, lanes, self.size)
        return self.b.masked_load(pointer, self.type, mask, self.size)

    def b_at(self, pointer: Value, offset: Value) -> Value:
        """The address so many elements of B further."""
        return self.b.pointer_offset(pointer, offset, self.stored_type)

    def b_vector(self, pointer: Value, lanes: int, mask: Value | None = None) -> Value:
        """Elements of B in the dtype of arithmetic."""
        b, type_, size = self.b, self.stored_type, itemsize(self.stored)
        if mask is None:
            loaded = b.load(pointer, type_, lanes, size)
        else:
            loaded = b.masked_load(pointer, type_, mask, size)
        return scalar_ops.cast(b, loaded, self.stored, self.spec.dtype)

    # --- B runs along its rows ---

    def wide(self, x: Value, first: Value, target: Value, left: Value) -> None:
        """Columns in whole vectors, one partial sum after another.

        So many neighbors of a row are read at a time that memory is read in long pieces; eight
        rows at a time would be short pieces far apart, at half the speed.
        """
        b, p = self.b, self.params
        kept = b.alloca(self.type, PARTIALS * self.columns, self.lanes * self.size)
        partial = b.begin_loop(self.count(0), self.count(PARTIALS), 1)
        vectors = self.columns // self.lanes
        sums = [b.const(0.0, self.type, self.lanes)] * vectors
        loop = b.begin_loop(partial.counter, p["k"], PARTIALS, sums)
        factor = b.splat(b.load(self.at(x, loop.counter), self.type, 1, self.size), self.lanes)
        row = self.b_at(first, b.mul(loop.counter, p["b_row"]))
        updated = [
            b.fma(factor, self.b_vector(self.b_at(row, self.count(v * self.lanes)), self.lanes), s)
            for v, s in enumerate(loop.values)
        ]
        place = self.at(kept, b.mul(partial.counter, self.count(self.columns)))
        for v, total in enumerate(b.end_loop(loop, updated)):
            b.store(total, self.at(place, self.count(v * self.lanes)), self.size)
        b.end_loop(partial)
        loop = b.begin_loop(self.count(0), self.count(self.columns), self.lanes)
        partials = [
            self.vector(self.at(kept, self.count(i * self.columns), loop.counter), self.lanes)
            for i in range(PARTIALS)
        ]
        b.store(self.added(partials), self.at(target, loop.counter), self.size)
        b.end_loop(loop)

    def edge(self, x: Value, first: Value, target: Value, left: Value) -> None:
        """At most one vector of columns, with PARTIALS rows at a time."""
        b, p = self.b, self.params
        mask = lane_mask(b, left, self.lanes)
        main = b.binary("and", p["k"], self.count(-PARTIALS))
        sums = [b.const(0.0, self.type, self.lanes)] * PARTIALS
        loop = b.begin_loop(self.count(0), main, PARTIALS, sums)
        sums = b.end_loop(loop, self.row_step(x, first, loop.counter, loop.values, mask, None))
        tail = b.begin_loop(main, p["k"], PARTIALS, sums)
        steps = b.sub(p["k"], tail.counter)
        sums = b.end_loop(tail, self.row_step(x, first, tail.counter, tail.values, mask, steps))
        b.masked_store(self.added(sums), target, mask, self.size)

    def row_step(
        self, x: Value, first: Value, at: Value, sums: list[Value], mask: Value, left: Value | None
    ) -> list[Value]:
        """PARTIALS steps of k, of which the first `left` count."""
        b, p = self.b, self.params
        updated = []
        for i, held in enumerate(sums):
            step = self.count(i)
            counts = None if left is None else b.compare("slt", step, left)
            if counts is not None:
                # A step that does not count reads the block's first row.
                step = b.select(counts, step, self.count(0))
            k = b.add(at, step)
            factor = b.splat(b.load(self.at(x, k), self.type, 1, self.size), self.lanes)
            row = self.b_vector(self.b_at(first, b.mul(k, p["b_row"])), self.lanes, mask)
            new = b.fma(factor, row, held)
            updated.append(new if counts is None else b.select(counts, new, held))
        return updated

    def added(self, partials: list[Value]) -> Value:
        while len(partials) > 1:
            half = len(partials) // 2
            partials = [self.b.add(x, y) for x, y in zip(partials[:half], partials[half:])]
        return partials[0]


def row_product_text(spec: RowProductSpec, target: Target) -> str:
    """The module of one kernel of this kind."""
    kernel = _Kernel(spec, target)
    text = kernel.text()
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(kernel.b.declarations)) + "\n\n" + text


def choose_row_tile(n: int, pieces: int, spec: RowProductSpec, target: Target) -> int:
    """Columns of a tile where about so many are wanted: whole steps of the innermost loop."""
    columns = columns_at_once(spec, target)
    if n <= columns:
        columns = target.lanes(itemsize(spec.dtype))
    return -(-n // (max(1, pieces) * columns)) * columns
