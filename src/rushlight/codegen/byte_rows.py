"""Products of few rows of uint8 with lines of int8: a matrix that is read once, where it lies.

C[batch] = A[batch] @ B[batch] where A has few rows and B runs along k, as the weight of a linear
layer does; packing B would cost more than multiplying by it.  Integers are exact in any order, so
lanes hold partial sums of a row and a line, of which there are as many at a time as lanes: added
crosswise at the end, they are one vector.

The signature is the common one.  Buffers: A (unit stride along k), B, C (rows of n), offsets (three
int64 a batch: of A, B, C, in elements).  Params: see PARAMS.  Iterations are tiles of C's columns.
Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen.arithmetic import BYTES, arithmetic_of
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.packing import lane_mask
from rushlight.codegen.unit_packing import UnitPacker

BUFFERS = ("a", "b", "c", "offsets")
PARAMS = ("m", "n", "k", "a_row", "b_column", "tile", "tiles")
# Rows at a time, the most first.
_ROWS = (4, 2, 1)


@dataclass(frozen=True)
class ByteRowsSpec:
    """What the code depends on: rows at a time."""

    name: str
    rows: int


def byte_rows_spec(m: int) -> ByteRowsSpec:
    """The code for a product of so many rows."""
    rows = next(rows for rows in _ROWS if rows <= m)
    return ByteRowsSpec(f"byte_rows_{rows}", rows)


def lines_at_once(spec: ByteRowsSpec, target: Target) -> int:
    """How many columns of C the innermost loop computes."""
    return max(1, target.lanes(arithmetic_of(BYTES, target).unit_bytes) // spec.rows)


class _Kernel(Driver):
    def __init__(self, spec: ByteRowsSpec, target: Target) -> None:
        super().__init__(target, "i8")
        self.spec = spec
        self.arithmetic = arithmetic_of(BYTES, target)
        self.lanes = target.lanes(self.arithmetic.unit_bytes)
        self.lines = lines_at_once(spec, target)
        self.step = self.lanes * self.arithmetic.group
        self.params = {name: self.word("params", i, "i64") for i, name in enumerate(PARAMS)}
        self.readers = [UnitPacker(self.b, self.arithmetic, i, self.lanes) for i in (0, 1)]

    def text(self) -> str:
        b, p = self.b, self.params
        buffers = {name: self.word("buffers", i, "ptr") for i, name in enumerate(BUFFERS)}
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        batch, start, stop = self.column_tile(loop.counter, p)
        bases = []
        for matrix, name in enumerate("abc"):
            offset = self.batch_offset(buffers["offsets"], batch, matrix)
            type_ = self.arithmetic.type_of(matrix)
            bases.append(b.pointer_offset(buffers[name], offset, type_))
        columns = b.begin_loop(start, stop, self.lines)
        left = b.sub(stop, columns.counter)
        lines = [
            self.at(bases[1], b.mul(place, p["b_column"]))
            for place in self.places(columns.counter, stop, self.lines)
        ]
        rows = b.begin_loop(self.count(0), p["m"], self.spec.rows)
        places = self.places(rows.counter, p["m"], self.spec.rows)
        totals = self.totals([self.at(bases[0], b.mul(r, p["a_row"])) for r in places], lines)
        for number, row in enumerate(places):
            index = b.add(b.mul(row, p["n"]), columns.counter)
            target = b.pointer_offset(bases[2], index, "i32")
            first = number * self.lines
            if self.lines == 1:
                b.store(b.extract(totals, first), target, 4)
                continue
            part = b.shuffle(totals, totals, range(first, first + self.lines))
            b.masked_store(part, target, lane_mask(b, left, self.lines), 4)
        b.end_loop(rows)
        b.end_loop(columns)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def places(self, first: Value, stop: Value, count: int) -> list[Value]:
        """So many places from the first on; beyond the edge the last one repeats."""
        b = self.b
        last = b.sub(stop, self.count(1))
        return [self.minimum(b.add(first, self.count(i)), last) for i in range(count)]

    def totals(self, rows: list[Value], lines: list[Value]) -> Value:
        """The sum of each row with each line, row by row."""
        b, p = self.b, self.params
        main = b.binary("and", p["k"], self.count(-self.step))
        sums = [b.const(0, "i32", self.lanes)] * (len(rows) * len(lines))
        for begin, end in ((self.count(0), main), (main, p["k"])):
            loop = b.begin_loop(begin, end, self.step, sums)
            left = None if end is main else b.sub(p["k"], loop.counter)
            factors = [self.units(0, self.at(row, loop.counter), left) for row in rows]
            read = [self.units(1, self.at(line, loop.counter), left) for line in lines]
            pairs = [(x, y) for x in factors for y in read]
            add = self.arithmetic.multiply_add
            sums = b.end_loop(
                loop, [add(b, x, y, held) for (x, y), held in zip(pairs, loop.values)]
            )
        return _added_crosswise(b, sums)

    def units(self, matrix: int, pointer: Value, left: Value | None) -> Value:
        read = self.readers[matrix].read(pointer, self.step, left)
        return self.arithmetic.unit_of_line(self.b, read, self.readers[matrix].stored)


def _added_crosswise(b: Emitter, sums: list[Value]) -> Value:
    """A vector of the sums of the lanes of each vector; as many as there are lanes."""
    width = 2 * sums[0].width
    while len(sums) > 1:
        sums = [
            b.add(b.shuffle(x, y, range(0, width, 2)), b.shuffle(x, y, range(1, width, 2)))
            for x, y in zip(sums[::2], sums[1::2])
        ]
    return sums[0]


def byte_rows_text(spec: ByteRowsSpec, target: Target) -> str:
    """The module of one kernel of this kind."""
    kernel = _Kernel(spec, target)
    text = kernel.text()
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(kernel.b.declarations)) + "\n\n" + text
