"""Matrix products over a grid of threads, on ordinary arithmetic units, with the bits of the CPU.

C[batch] = A[batch] @ B[batch], any strides.  A block computes a tile of C: it brings pieces of A
and B into shared memory, and each thread keeps a square of sums.  The order of additions is that
of `codegen/microkernel.py`: k in blocks of K_BLOCK, in each by fused multiply-add from zero.  A
product of one row adds as `codegen/row_product.py` does.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.grid import (
    BLOCK_BARRIER,
    DOWN,
    PLACE,
    SHARED,
    THREAD,
    VECTOR_TARGET,
    GridKernel,
    collective,
    shuffled,
)
from rushlight.codegen.microkernel import K_BLOCK
from rushlight.codegen.row_product import PARTIALS
from rushlight.loopnest.ir import itemsize

# 64 x 64 of C in 4 x 4 for each of 256 threads; 16 steps of k at a time.
TILE, STEPS, SQUARE, THREADS = 64, 16, 4, 256
# Rows of shared memory that lie apart fall into different banks.
PITCH = TILE + 4
ROW_THREADS = 128
PARAMS = ("m", "n", "k", "a_row", "a_column", "b_row", "b_column", "tiles_m", "tiles_n")
ROW_PARAMS = ("n", "k", "b_row", "b_column")
_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class GridProduct:
    """What the code depends on: the dtype, and whether lines of A and B run along k."""

    dtype: str
    a_along_k: bool
    b_along_k: bool

    @property
    def name(self) -> str:
        """The kernel's name."""
        lines = "".join("k" if along else "r" for along in (self.a_along_k, self.b_along_k))
        return f"product_{self.dtype}_{lines}"


@dataclass(frozen=True)
class GridRow:
    """The same of a product of one row; stored: dtype of B, if that is a 16-bit float."""

    dtype: str
    along_k: bool
    stored: str = ""

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"row_product_{self.stored or self.dtype}_{'k' if self.along_k else 'r'}"


class _Grid:
    """An emitter with the arguments of the kernel under their names."""

    def __init__(self, buffers: tuple[str, ...], params: tuple[str, ...], type_: str) -> None:
        self.b = Emitter(VECTOR_TARGET)
        self.type = type_
        self.size = 4 if type_ == "float" else 8
        self.buffers = {name: Value(f"%b{k}", "ptr") for k, name in enumerate(buffers)}
        self.params = {name: Value(f"%p{k}", "i64") for k, name in enumerate(params)}
        self.thread = self.b.convert("zext", Value(THREAD, "i32"), "i64")
        self.place = self.b.convert("zext", Value(PLACE, "i32"), "i64")

    def count(self, number: int) -> Value:
        return self.b.const(number, "i64")

    def split(self, x: Value, by: Value | int) -> tuple[Value, Value]:
        """(x // by, x % by) of numbers that are not negative."""
        divisor = self.count(by) if isinstance(by, int) else by
        return self.b.binary("udiv", x, divisor), self.b.binary("urem", x, divisor)

    def batch_base(self, batch: Value, matrix: int, name: str, type_: str) -> Value:
        b = self.b
        index = b.add(b.mul(batch, self.count(3)), self.count(matrix))
        offset = b.load(b.pointer_offset(self.buffers["offsets"], index, "i64"), "i64", 1, 8)
        return b.pointer_offset(self.buffers[name], offset, type_)

    def when(self, condition: Value):
        """Opens a region that runs once or not at all; close it with `end_loop`."""
        zero, one = self.count(0), self.count(1)
        return self.b.begin_loop(zero, self.b.select(condition, one, zero), 1)

    def lines(self) -> str:
        return "\n".join(self.b.regions[0].lines)


class _Product(_Grid):
    def __init__(self, spec: GridProduct) -> None:
        super().__init__(("a", "b", "c", "offsets"), PARAMS, _TYPES[spec.dtype])
        self.spec = spec
        b, p = self.b, self.params
        tile, column = self.split(self.place, p["tiles_n"])
        batch, row = self.split(tile, p["tiles_m"])
        self.row = b.mul(row, self.count(TILE))
        self.column = b.mul(column, self.count(TILE))
        self.bases = [self.batch_base(batch, i, name, self.type) for i, name in enumerate("abc")]
        self.down, self.across = self.split(self.thread, TILE // SQUARE)
        shared = Value(SHARED, "ptr")
        self.shared = (shared, b.pointer_offset(shared, self.count(STEPS * PITCH), self.type))

    def text(self) -> str:
        b, p = self.b, self.params
        zeros = [b.const(0.0, self.type)] * (SQUARE * SQUARE)
        blocks = b.begin_loop(self.count(0), p["k"], K_BLOCK, zeros)
        left = b.sub(p["k"], blocks.counter)
        full = b.compare("slt", left, self.count(K_BLOCK))
        steps = b.select(full, left, self.count(K_BLOCK))
        whole = b.binary("and", steps, self.count(-STEPS))
        pieces = b.begin_loop(self.count(0), whole, STEPS, zeros)
        self.bring(b.add(blocks.counter, pieces.counter))
        sums = list(pieces.values)
        for step in range(STEPS):
            sums = self.multiplied(self.count(step), sums)
        sums = b.end_loop(pieces, sums)
        # The rest of a block has fewer steps than a piece: it is brought once, and taken in turn.
        rest = b.begin_loop(whole, steps, STEPS, sums)
        self.bring(b.add(blocks.counter, rest.counter))
        each = b.begin_loop(self.count(0), b.sub(steps, rest.counter), 1, list(rest.values))
        sums = b.end_loop(each, self.multiplied(each.counter, list(each.values)))
        sums = b.end_loop(rest, sums)
        first = b.compare("eq", blocks.counter, self.count(0))
        totals = [b.select(first, new, b.add(old, new)) for old, new in zip(blocks.values, sums)]
        self.store(b.end_loop(blocks, totals))
        return self.lines()

    def bring(self, k0: Value) -> None:
        """A piece of A and one of B into shared memory, zeros beyond their edges."""
        collective(self.b, "", BLOCK_BARRIER)
        spec, p = self.spec, self.params
        self.bring_one(0, spec.a_along_k, self.row, p["m"], p["a_row"], p["a_column"], k0)
        self.bring_one(1, spec.b_along_k, self.column, p["n"], p["b_column"], p["b_row"], k0)
        collective(self.b, "", BLOCK_BARRIER)

    def bring_one(
        self, which: int, along_k: bool, start: Value, stop: Value, line: Value, step: Value,
        k0: Value,
    ) -> None:  # fmt: skip
        """line, step: distances in memory of neighbors along the tile, and along k."""
        b = self.b
        for turn in range(TILE * STEPS // THREADS):
            element = b.add(self.thread, self.count(turn * THREADS))
            if along_k:
                at, k = self.split(element, STEPS)
            else:
                k, at = self.split(element, TILE)
            own, own_k = b.add(start, at), b.add(k0, k)
            inside = b.binary(
                "and", b.compare("slt", own, stop), b.compare("slt", own_k, self.params["k"])
            )
            index = b.add(b.mul(own, line), b.mul(own_k, step))
            # Beyond the edge the first element is read and dropped.
            index = b.select(inside, index, self.count(0))
            pointer = b.pointer_offset(self.bases[which], index, self.type)
            value = b.load(pointer, self.type, 1, self.size)
            value = b.select(inside, value, b.const(0.0, self.type))
            place = b.add(b.mul(k, self.count(PITCH)), at)
            b.store(value, b.pointer_offset(self.shared[which], place, self.type), self.size)

    def multiplied(self, step: Value, sums: list[Value]) -> list[Value]:
        """One step of k for the thread's square."""
        b = self.b
        row = b.mul(step, self.count(PITCH))
        sides = []
        for which, first in ((0, self.down), (1, self.across)):
            start = b.add(row, b.mul(first, self.count(SQUARE)))
            sides.append([
                b.load(
                    b.pointer_offset(self.shared[which], b.add(start, self.count(i)), self.type),
                    self.type, 1, self.size,
                )
                for i in range(SQUARE)
            ])  # fmt: skip
        return [
            b.fma(x, y, sums[i * SQUARE + j])
            for i, x in enumerate(sides[0])
            for j, y in enumerate(sides[1])
        ]

    def store(self, totals: list[Value]) -> None:
        b, p = self.b, self.params
        for i in range(SQUARE):
            row = b.add(self.row, b.add(b.mul(self.down, self.count(SQUARE)), self.count(i)))
            for j in range(SQUARE):
                column = b.add(
                    self.column, b.add(b.mul(self.across, self.count(SQUARE)), self.count(j))
                )
                inside = b.binary(
                    "and", b.compare("slt", row, p["m"]), b.compare("slt", column, p["n"])
                )
                region = self.when(inside)
                index = b.add(b.mul(row, p["n"]), column)
                pointer = b.pointer_offset(self.bases[2], index, self.type)
                b.store(totals[i * SQUARE + j], pointer, self.size)
                b.end_loop(region)


def product_kernel(spec: GridProduct) -> GridKernel:
    """The kernel of products of two matrices."""
    product = _Product(spec)
    body = product.text()
    shared = 2 * STEPS * PITCH * product.size
    return GridKernel(
        spec.name, 4, 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(product.b.declarations)), True, shared, False,
    )  # fmt: skip


class _Row(_Grid):
    def __init__(self, spec: GridRow) -> None:
        super().__init__(("a", "b", "c", "offsets"), ROW_PARAMS, _TYPES[spec.dtype])
        self.spec = spec
        self.stored = spec.stored or spec.dtype
        self.stored_type = scalar_ops.register_type(self.stored)

    def text(self) -> str:
        b, p = self.b, self.params
        # Where lines run along k, neighboring threads take neighboring elements of one.
        together = PARTIALS if self.spec.along_k else 1
        per_block = ROW_THREADS // together
        own, lane = self.split(self.thread, together)
        column = b.add(b.mul(self.place, self.count(per_block)), own)
        inside = b.compare("slt", column, Value("%extent", "i64"))
        # All threads of a warp shuffle: those beyond the edge compute the first column.
        chosen = b.select(inside, column, self.count(0))
        batch, n = self.split(chosen, p["n"])
        x = self.batch_base(batch, 0, "a", self.type)
        line = self.batch_base(batch, 1, "b", self.stored_type)
        target = self.batch_base(batch, 2, "c", self.type)
        line = b.pointer_offset(line, b.mul(n, p["b_column"]), self.stored_type)
        zero = b.const(0.0, self.type)
        if together == 1:
            partials = []
            for start in range(PARTIALS):
                partials.append(self.partial(x, line, self.count(start), zero))
            while len(partials) > 1:
                half = len(partials) // 2
                partials = [b.add(u, v) for u, v in zip(partials[:half], partials[half:])]
            total = partials[0]
            writes = inside
        else:
            total = self.partial(x, line, lane, zero)
            distance = PARTIALS // 2
            while distance:
                total = b.add(total, shuffled(b, total, DOWN, distance))
                distance //= 2
            writes = b.binary("and", inside, b.compare("eq", lane, self.count(0)))
        region = self.when(writes)
        b.store(total, b.pointer_offset(target, n, self.type), self.size)
        b.end_loop(region)
        return self.lines()

    def partial(self, x: Value, line: Value, start: Value, zero: Value) -> Value:
        """The sum of every eighth step of k, in ascending order."""
        b, p = self.b, self.params
        loop = b.begin_loop(start, p["k"], PARTIALS, [zero])
        factor = b.load(b.pointer_offset(x, loop.counter, self.type), self.type, 1, self.size)
        place = b.pointer_offset(line, b.mul(loop.counter, p["b_row"]), self.stored_type)
        raw = b.load(place, self.stored_type, 1, itemsize(self.stored))
        value = scalar_ops.cast(b, raw, self.stored, self.spec.dtype)
        return b.end_loop(loop, [b.fma(factor, value, loop.values[0])])[0]


def row_kernel(spec: GridRow) -> GridKernel:
    """The kernel of products of one row, over the columns of all batches."""
    row = _Row(spec)
    body = row.text()
    together = PARTIALS if spec.along_k else 1
    return GridKernel(
        spec.name, 4, 0, (False,) * len(ROW_PARAMS), ROW_THREADS, ROW_THREADS // together, body,
        tuple(sorted(row.b.declarations)), together > 1, 0, False,
    )  # fmt: skip
