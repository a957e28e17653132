"""Convolutions around the contraction cores: B is gathered from windows of x, panel by panel.

The matrix of all windows is never stored.  A panel of it, at most K_BLOCK steps of k, is packed on
the stack of the thread that multiplies by it.  Along one axis of the matrix, the vector axis,
neighbors lie in rows of x and are copied as vectors; along the other one stand lines, each with its
distance in x.  What lies outside of x is zero.

Two forms.  POSITIONS: the columns of the product are the vector axis (output positions) and the
lines are the steps of k.  TRANSPOSED: the steps of k are the vector axis and the lines are columns;
packed lines are transposed in registers, and k is cut into the given blocks, in chunks which give
one partial product each.

Every kernel has the common signature and runs over (batch or chunk, group, panel).  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rushlight.base.target import Target
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.microkernel import (
    ARGUMENT_TYPES,
    K_BLOCK,
    Tile,
    TileSet,
    core_function,
    tile_set,
)
from rushlight.codegen.packing import Packer
from rushlight.loopnest.ir import itemsize

POSITIONS, TRANSPOSED = "positions", "transposed"
# lines: (offset in x, z, y, x) of each; TRANSPOSED has blocks: (first position, steps, offset in
# A), and chunks: the first block of each and the end.
BUFFERS = ("a", "x", "c", "lines", "blocks", "chunks")
PARAMS = (
    "m", "n", "k", "panels", "groups",
    "a_group", "a_row", "a_step", "x_batch", "x_group", "c_batch", "c_group", "c_row",
    # The vector axis: rows of `v_width` positions, `v_height` rows to a plane, `v_rows` rows to
    # an outer step of x; a position is multiplied by (z, y, x)_factor to be one of x.
    "v_width", "v_height", "v_rows", "v_outer", "z_factor", "y_factor", "x_factor",
    "z_stride", "y_stride", "x_stride", "depth", "height", "width",
)  # fmt: skip
_LLVM_TYPES = {"float32": "float", "float64": "double"}
_LINE_WORDS, _BLOCK_WORDS = 4, 3
# Column vectors of a core: what is packed for them lies on the stack, 272 kB at most, and some
# systems give a thread 512 kB.
_MOST_VECTORS = 4


@dataclass(frozen=True)
class ConvolutionSpec:
    """What the code depends on; sizes and strides are run-time arguments.

    rows: sizes of the cores, the largest first; vectors: column vectors of a core.
    axes: spatial axes.
    step: distance in memory of neighbors on the vector axis: 1, 2, or 0 for any other.
    """

    name: str
    dtype: str
    form: str
    rows: tuple[int, ...]
    vectors: int
    masked: tuple[str, ...]
    axes: int
    step: int


FULL, NARROW, PARTIAL = "full", "narrow", "partial"


def choose_tiles(m: int, n: int, dtype: str, core_rows: int, target: Target) -> TileSet:
    """The cores for a product of m rows and n columns."""
    tiles = tile_set(target, itemsize(dtype), core_rows)
    needed = -(-n // tiles.lanes)
    return replace(tiles, vectors=max(1, min(tiles.vectors, needed, _MOST_VECTORS)))


def needed_rows(m: int, tiles: TileSet) -> tuple[int, ...]:
    """Rows of the cores that m rows meet."""
    found = []
    for rows in tiles.row_counts():
        if m >= rows:
            found.append(rows)
        m %= rows
    return tuple(found)


def needed_edges(n: int, tiles: TileSet) -> tuple[str, ...]:
    """Kinds of column panels that n columns meet."""
    found = [FULL] if n >= tiles.columns else []
    rest = n % tiles.columns
    if rest:
        found.append(NARROW if rest <= tiles.lanes else PARTIAL)
    return tuple(found)


class _Driver(Driver):
    def __init__(self, spec: ConvolutionSpec, target: Target) -> None:
        self.spec = spec
        super().__init__(target, _LLVM_TYPES[spec.dtype])
        self.size = itemsize(spec.dtype)
        self.lanes = target.lanes(self.size)
        self.columns = self.lanes * spec.vectors
        count = len(BUFFERS) if spec.form == TRANSPOSED else BUFFERS.index("blocks")
        self.buffers = {name: self.word("buffers", i, "ptr")
                        for i, name in enumerate(BUFFERS[:count])}  # fmt: skip
        self.params = {name: self.word("params", i, "i64") for i, name in enumerate(PARAMS)}

    def maximum(self, x: Value, y: Value) -> Value:
        return self.b.select(self.b.compare("slt", x, y), y, x)

    def times(self, x: Value, name: str) -> Value:
        return self.b.mul(x, self.params[name])

    def table(self, name: str, index: Value, words: int) -> list[Value]:
        """The words of one entry."""
        b = self.b
        first = b.mul(index, self.count(words))
        pointer = b.pointer_offset(self.buffers[name], first, "i64")
        return [
            b.load(b.pointer_offset(pointer, self.count(i), "i64"), "i64", 1, 8)
            for i in range(words)
        ]

    # --- the kernel ---

    def run(self) -> str:
        b, p = self.b, self.params
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        panel = b.binary("urem", loop.counter, p["panels"])
        rest = b.binary("udiv", loop.counter, p["panels"])
        group = b.binary("urem", rest, p["groups"])
        batch = b.binary("udiv", rest, p["groups"])
        column = b.mul(panel, self.count(self.columns))
        left = self.minimum(self.count(self.columns), b.sub(p["n"], column))
        a = self.at(self.buffers["a"], self.times(group, "a_group"))
        x = self.at(self.buffers["x"], self.times(group, "x_group"))
        c = self.at(
            self.buffers["c"], self.times(batch, "c_batch"), self.times(group, "c_group"), column
        )
        if self.spec.form == POSITIONS:
            x = self.at(x, self.times(batch, "x_batch"))
            self.positions(a, x, c, column, left)
        else:
            self.transposed(a, x, c, batch, column, left)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def positions(self, a: Value, x: Value, c: Value, column: Value, left: Value) -> None:
        b, p = self.b, self.params
        # A vector that begins inside of the panel may end beyond it.
        stride = self.columns + self.lanes
        panel = b.alloca(self.type, K_BLOCK * stride, 64)
        blocks = b.begin_loop(self.count(0), p["k"], K_BLOCK)
        k0 = blocks.counter
        steps = self.minimum(b.sub(p["k"], k0), self.count(K_BLOCK))
        self.pack_lines(x, (column, b.add(column, left)), (k0, b.add(k0, steps)), panel, stride)
        first = b.compare("eq", k0, self.count(0))
        a = self.at(a, self.times(k0, "a_step"))
        self.multiply(a, (panel, stride), c, left, steps, first)
        b.end_loop(blocks)

    def transposed(
        self, a: Value, x: Value, c: Value, chunk: Value, column: Value, left: Value
    ) -> None:
        b = self.b
        stride = K_BLOCK + self.lanes
        lines = b.alloca(self.type, self.columns * stride, 64)
        panel = b.alloca(self.type, stride * self.columns, 64)
        packer = Packer(b, self.type, self.lanes)
        (start,) = self.table("chunks", chunk, 1)
        (stop,) = self.table("chunks", b.add(chunk, self.count(1)), 1)
        blocks = b.begin_loop(start, stop, 1)
        position, steps, offset = self.table("blocks", blocks.counter, _BLOCK_WORDS)
        span = (position, b.add(position, steps))
        self.pack_lines(x, span, (column, b.add(column, left)), lines, stride)
        packer.transpose_panel(
            lines, self.count(stride), left, steps, panel, self.count(self.columns),
            self.spec.vectors, padded=True,
        )  # fmt: skip
        first = b.compare("eq", blocks.counter, start)
        self.multiply(self.at(a, offset), (panel, self.columns), c, left, steps, first)
        b.end_loop(blocks)

    # --- packing ---

    def pack_lines(
        self,
        x: Value,
        span: tuple[Value, Value],
        lines: tuple[Value, Value],
        target: Value,
        stride: int,
    ) -> None:
        """Positions of ``span`` along each line, lines ``stride`` apart in the target.

        Positions of one row of x are copied by vectors; what a vector writes beyond its row is
        written again by the next one.
        """
        b, p = self.b, self.params
        one = self.count(1)
        first_row = b.binary("udiv", span[0], p["v_width"])
        last_row = b.binary("udiv", b.sub(span[1], one), p["v_width"])
        rows = b.begin_loop(first_row, b.add(last_row, one), 1)
        begins = self.times(rows.counter, "v_width")
        start = self.maximum(span[0], begins)
        stop = self.minimum(span[1], b.add(begins, p["v_width"]))
        outer = b.binary("udiv", rows.counter, p["v_rows"])
        row = b.binary("urem", rows.counter, p["v_rows"])
        z = self.times(b.binary("udiv", row, p["v_height"]), "z_factor")
        y = self.times(b.binary("urem", row, p["v_height"]), "y_factor")
        source = self.at(
            x, self.times(outer, "v_outer"), self.times(z, "z_stride"), self.times(y, "y_stride")
        )
        pieces = b.begin_loop(start, stop, self.lanes)
        position = self.times(b.sub(pieces.counter, begins), "x_factor")
        source = self.at(source, self.times(position, "x_stride"))
        out = self.at(target, b.sub(pieces.counter, span[0]))
        line = b.begin_loop(lines[0], lines[1], 1)
        value = self.line_vector(line.counter, source, (z, y, position))
        place = b.mul(b.sub(line.counter, lines[0]), self.count(stride))
        b.store(value, self.at(out, place), self.size)
        b.end_loop(line)
        b.end_loop(pieces)
        b.end_loop(rows)

    def line_vector(self, line: Value, source: Value, at: tuple[Value, Value, Value]) -> Value:
        """Neighbors along one line, zero outside of x."""
        b, p, lanes = self.b, self.params, self.lanes
        offset, *distances = self.table("lines", line, _LINE_WORDS)
        limit = p["width"]
        sizes = (p["depth"], p["height"])
        for axis in range(3 - self.spec.axes, 2):
            inside = b.compare("ult", b.add(at[axis], distances[axis]), sizes[axis])
            limit = b.select(inside, limit, self.count(0))
        start = b.convert("trunc", b.add(at[2], distances[2]), "i32")
        factor = b.convert("trunc", p["x_factor"], "i32")
        limits = b.splat(b.convert("trunc", limit, "i32"), lanes)
        pointer = self.at(source, offset)
        if self.spec.step == 2:
            return self.every_second(pointer, start, limits)
        steps = b.mul(b.splat(factor, lanes), b.vector_constant(range(lanes), "i32"))
        mask = b.compare("ult", b.add(b.splat(start, lanes), steps), limits)
        if self.spec.step == 1:
            return b.masked_load(pointer, self.type, mask, self.size)
        distance = b.mul(p["x_factor"], p["x_stride"])
        indices = b.mul(b.splat(distance, lanes), b.vector_constant(range(lanes), "i64"))
        return b.gather(self.at(pointer, indices), self.type, mask, self.size)

    def every_second(self, pointer: Value, start: Value, limits: Value) -> Value:
        """Two vectors side by side, of which every second element is kept."""
        b, lanes = self.b, self.lanes
        halves = []
        for half in (0, lanes):
            lane = b.vector_constant(range(half, half + lanes), "i32")
            mask = b.compare("ult", b.add(b.splat(start, lanes), lane), limits)
            here = self.at(pointer, self.count(half))
            halves.append(b.masked_load(here, self.type, mask, self.size))
        return b.shuffle(halves[0], halves[1], range(0, 2 * lanes, 2))

    # --- multiplying ---

    def multiply(
        self,
        a: Value,
        panel: tuple[Value, int],
        c: Value,
        left: Value,
        steps: Value,
        first: Value,
    ) -> None:
        """All rows of A times a packed panel whose steps are so many elements apart."""
        b = self.b
        full = b.compare("sge", left, self.count(self.columns))
        narrow = b.compare("sle", left, self.count(self.lanes))
        both = b.binary("or", full, narrow)
        conditions = {
            FULL: full,
            NARROW: b.binary("and", narrow, b.logic_not(full)),
            PARTIAL: b.logic_not(both),
        }
        zero, one = self.count(0), self.count(1)
        for edge in self.spec.masked:
            branch = b.begin_loop(zero, b.select(conditions[edge], one, zero), 1)
            self.rows(edge, a, panel, c, left, steps, first)
            b.end_loop(branch)

    def rows(
        self,
        edge: str,
        a: Value,
        panel: tuple[Value, int],
        c: Value,
        left: Value,
        steps: Value,
        first: Value,
    ) -> None:
        b, p = self.b, self.params
        size = self.count(self.size)
        start = self.count(0)
        yes = b.const(True, "i1")
        params = Value("%params", "ptr")
        for rows in self.spec.rows:
            whole = b.binary("udiv", b.sub(p["m"], start), self.count(rows))
            stop = b.add(start, b.mul(whole, self.count(rows)))
            loop = b.begin_loop(start, stop, rows)
            row = loop.counter
            arguments = [
                self.at(a, self.times(row, "a_row")),
                b.mul(p["a_row"], size), b.mul(p["a_step"], size),
                panel[0], self.count(panel[1] * self.size),
                self.at(c, self.times(row, "c_row")), b.mul(p["c_row"], size),
                steps, left, first, yes, params,
            ]  # fmt: skip
            typed = [f"{t} {v.text}" for t, v in zip(ARGUMENT_TYPES, arguments)]
            name = _tile(rows, edge, self.spec.vectors).name
            b.line(f"call void @{self.spec.name}_{name}({', '.join(typed)})")
            b.end_loop(loop)
            start = stop


def _tile(rows: int, edge: str, vectors: int) -> Tile:
    return Tile(rows, 1 if edge == NARROW else vectors, masked=edge != FULL)


def convolution_text(spec: ConvolutionSpec, target: Target) -> str:
    """The module of one convolution: its cores and ``<name>``."""
    functions, declarations = [], set()
    lanes = target.lanes(itemsize(spec.dtype))
    for tile in {_tile(rows, edge, spec.vectors) for rows in spec.rows for edge in spec.masked}:
        name = f"{spec.name}_{tile.name}"
        text, needed = core_function(tile, lanes, _LLVM_TYPES[spec.dtype], target, name=name)
        functions.append(text)
        declarations |= needed
    driver = _Driver(spec, target)
    functions.append(driver.run())
    declarations |= driver.b.declarations
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join(sorted(functions))
