"""Convolutions over a grid of threads: products whose B is gathered from windows of x.

The matrix of windows is never stored: a block brings each piece of it into shared memory straight
from x, with zeros where a window lies beyond the edge.  Forms, words and tables are those of
`codegen/convolution.py`, and so is the order of each sum.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.codegen.convolution import BUFFERS, TRANSPOSED
from rushlight.codegen.convolution import PARAMS as _PARAMS
from rushlight.codegen.emit import Value
from rushlight.codegen.grid import GridKernel
from rushlight.codegen.grid_tile import STEPS, THREADS, TILE, TYPES, Fetched, GridTile

PARAMS = (*[name for name in _PARAMS if name != "panels"], "tiles_m", "tiles_n")
_LINE_WORDS, _BLOCK_WORDS = 4, 3
# Lines, or columns, that a thread brings of each piece.
_TURNS = TILE * STEPS // THREADS


@dataclass(frozen=True)
class GridWindows:
    """What the code depends on."""

    dtype: str
    form: str

    @property
    def name(self) -> str:
        """The kernel's name."""
        return f"windows_{self.dtype}_{self.form}"


class _Windows(GridTile):
    def __init__(self, spec: GridWindows) -> None:
        count = len(BUFFERS) if spec.form == TRANSPOSED else BUFFERS.index("blocks")
        super().__init__(BUFFERS[:count], PARAMS, TYPES[spec.dtype])
        b, p = self.b, self.params
        self.turn, group = self.split(self.batch, p["groups"])
        self.a = self.at(self.buffers["a"], b.mul(group, p["a_group"]))
        self.x = self.at(self.buffers["x"], b.mul(group, p["x_group"]))
        c = self.at(self.buffers["c"], b.mul(self.turn, p["c_batch"]), b.mul(group, p["c_group"]))
        self.bases = [self.a, self.x, c]

    def table(self, name: str, index: Value, words: int) -> list[Value]:
        """The words of one entry."""
        b = self.b
        first = b.mul(index, self.count(words))
        return [
            b.load(
                b.pointer_offset(self.buffers[name], b.add(first, self.count(i)), "i64"),
                "i64", 1, 8,
            )
            for i in range(words)
        ]  # fmt: skip

    def line(self, index: Value, inside: Value) -> list[Value]:
        """(offset, z, y, x) of a line; of the first one where there is none."""
        return self.table("lines", self.b.select(inside, index, self.count(0)), _LINE_WORDS)

    def position(self, index: Value) -> list[Value]:
        """(offset in x, z, y, x) of a position on the vector axis."""
        b, p = self.b, self.params
        line, across = self.split(index, p["v_width"])
        outer, row = self.split(line, p["v_rows"])
        plane, down = self.split(row, p["v_height"])
        place = [
            b.mul(index, p[f"{axis}_factor"]) for axis, index in zip("zyx", (plane, down, across))
        ]
        offset = b.mul(outer, p["v_outer"])
        for axis, at in zip("zyx", place):
            offset = b.add(offset, b.mul(at, p[f"{axis}_stride"]))
        return [offset, *place]

    def gathered(self, line: list[Value], position: list[Value], inside: Value) -> Value:
        """An element of x, zero beyond its edges."""
        b, p = self.b, self.params
        for at, distance, size in zip(position[1:], line[1:], ("depth", "height", "width")):
            reached = b.compare("ult", b.add(at, distance), p[size])
            inside = b.binary("and", inside, reached)
        return self.element(self.x, b.add(position[0], line[0]), inside)


class _Positions(_Windows):
    """Columns are positions; lines are the steps of k."""

    def text(self) -> str:
        b, p = self.b, self.params
        self.x = self.at(self.x, b.mul(self.turn, p["x_batch"]))
        # A thread brings elements of one column: (column, step) of the first of them.
        self.columns = []
        for at, k in self.elements(False):
            column = b.add(self.column, at)
            inside = b.compare("slt", column, p["n"])
            column = b.select(inside, column, self.count(0))
            self.columns.append((at, k, inside, self.position(column)))
        totals = self.sums_over(p["k"], self.fetch)
        self.store(totals, p["m"], p["n"], p["c_row"])
        return self.lines()

    def fetch(self, k0: Value) -> list[Fetched]:
        """Rows of the kernel, and positions along the lines of so many steps."""
        b, p = self.b, self.params
        bounds = (self.row, p["m"], p["k"])
        found = self.lines_of(0, True, bounds, (p["a_row"], p["a_step"]), k0, self.a)
        for at, k, inside, position in self.columns:
            step = b.add(k0, k)
            known = b.compare("slt", step, p["k"])
            value = self.gathered(self.line(step, known), position, b.binary("and", inside, known))
            found.append((1, at, k, value))
        return found


class _Transposed(_Windows):
    """Columns are lines; steps of k are positions, in given blocks."""

    def text(self) -> str:
        b, p = self.b, self.params
        # A thread brings one step of several columns.
        self.columns = []
        for at, k in self.elements(True):
            column = b.add(self.column, at)
            inside = b.compare("slt", column, p["n"])
            self.columns.append((at, k, inside, self.line(column, inside)))
        (start,) = self.table("chunks", self.turn, 1)
        (stop,) = self.table("chunks", b.add(self.turn, self.count(1)), 1)
        blocks = b.begin_loop(start, stop, 1, self.zeros())
        first, steps, offset = self.table("blocks", blocks.counter, _BLOCK_WORDS)
        lines = self.at(self.a, offset)
        sums = self.block_sums(steps, lambda step: self.fetch(lines, first, steps, step))
        is_first = b.compare("eq", blocks.counter, start)
        totals = b.end_loop(blocks, self.added(is_first, blocks.values, sums))
        self.store(totals, p["m"], p["n"], p["c_row"])
        return self.lines()

    def fetch(self, lines: Value, first: Value, steps: Value, k0: Value) -> list[Fetched]:
        """Elements of A's rows, and positions of each column's line, for so many steps."""
        b, p = self.b, self.params
        bounds = (self.row, p["m"], steps)
        found = self.lines_of(0, True, bounds, (p["a_row"], p["a_step"]), k0, lines)
        for at, k, inside, line in self.columns:
            step = b.add(k0, k)
            known = b.compare("slt", step, steps)
            position = self.position(b.add(first, b.select(known, step, self.count(0))))
            inside_of_both = b.binary("and", inside, known)
            found.append((1, at, k, self.gathered(line, position, inside_of_both)))
        return found


def windows_kernel(spec: GridWindows) -> GridKernel:
    """The kernel of one form of convolution, over (batch or chunk, group, tiles)."""
    form = (_Transposed if spec.form == TRANSPOSED else _Positions)(spec)
    body = form.text()
    return GridKernel(
        spec.name, len(form.buffers), 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(form.b.declarations)), True, form.shared_bytes, False,
    )  # fmt: skip
