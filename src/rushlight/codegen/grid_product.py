"""Matrix products over a grid of threads, on ordinary arithmetic units, with the bits of the CPU.

C[batch] = A[batch] @ B[batch], any strides, by tiles (`grid_tile.py`), in blocks of K_BLOCK steps.
A product of one row adds as `codegen/row_product.py` does.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Value
from rushlight.codegen.grid import DOWN, GridKernel, shuffled
from rushlight.codegen.grid_tile import SQUARE, THREADS, TYPES, Fetched, Grid, GridTile
from rushlight.codegen.row_product import PARTIALS
from rushlight.loopnest.ir import itemsize

ROW_THREADS = 128
PARAMS = ("m", "n", "k", "a_row", "a_column", "b_row", "b_column", "tiles_m", "tiles_n")
ROW_PARAMS = ("n", "k", "b_row", "b_column")


@dataclass(frozen=True)
class GridProduct:
    """What the code depends on: the dtype, whether lines of A and B run along k, and the edge of
    what a thread computes."""

    dtype: str
    a_along_k: bool
    b_along_k: bool
    square: int = SQUARE

    @property
    def name(self) -> str:
        """The kernel's name."""
        lines = "".join("k" if along else "r" for along in (self.a_along_k, self.b_along_k))
        large = "_large" if self.square != SQUARE else ""
        return f"product_{self.dtype}_{lines}{large}"


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


def _batch_base(grid: Grid, batch: Value, matrix: int, name: str, type_: str) -> Value:
    """Where a matrix of a batch begins."""
    b = grid.b
    index = b.add(b.mul(batch, grid.count(3)), grid.count(matrix))
    offset = b.load(b.pointer_offset(grid.buffers["offsets"], index, "i64"), "i64", 1, 8)
    return b.pointer_offset(grid.buffers[name], offset, type_)


class _Product(GridTile):
    def __init__(self, spec: GridProduct) -> None:
        super().__init__(("a", "b", "c", "offsets"), PARAMS, TYPES[spec.dtype], spec.square)
        self.spec = spec
        self.bases = [
            _batch_base(self, self.batch, i, name, self.type) for i, name in enumerate("abc")
        ]

    def text(self) -> str:
        p = self.params
        totals = self.sums_over(p["k"], self.fetch)
        self.store(totals, p["m"], p["n"], p["n"])
        return self.lines()

    def fetch(self, k0: Value) -> list[Fetched]:
        """A piece of A and one of B."""
        spec, p = self.spec, self.params
        found = self.lines_of(
            0, spec.a_along_k, (self.row, p["m"], p["k"]), (p["a_row"], p["a_column"]), k0,
            self.bases[0],
        )  # fmt: skip
        return found + self.lines_of(
            1, spec.b_along_k, (self.column, p["n"], p["k"]), (p["b_column"], p["b_row"]), k0,
            self.bases[1],
        )  # fmt: skip


def product_kernel(spec: GridProduct) -> GridKernel:
    """The kernel of products of two matrices."""
    product = _Product(spec)
    body = product.text()
    return GridKernel(
        spec.name, 4, 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(product.b.declarations)), True, product.shared_bytes, False,
    )  # fmt: skip


class _Row(Grid):
    def __init__(self, spec: GridRow) -> None:
        super().__init__(("a", "b", "c", "offsets"), ROW_PARAMS, TYPES[spec.dtype])
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
        x = _batch_base(self, batch, 0, "a", self.type)
        line = _batch_base(self, batch, 1, "b", self.stored_type)
        target = _batch_base(self, batch, 2, "c", self.type)
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
