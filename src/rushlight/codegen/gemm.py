"""Matrix products: the driver around the contraction cores, and the choice of its blocks.

C[batch] = A[batch] @ B[batch], row-major C, any strides of A and B.  Two kernels with the common
signature: ``<name>_pack`` copies B into panels, in parallel over panels; ``<name>`` computes, in
parallel over tiles of C.  An A whose rows run along k is read where it lies: packing it too was
measured and gains nothing (201 against 193 GFLOP/s at 1024^3, 210 against 211 at 64x784x512).  One
that is stored transposed, as in the gradient of a weight, is copied tile by tile to the stack: its
steps lie pages apart, and often in few sets of the cache (52 against 80 GFLOP/s at 1024x256x2048).
Whether something is packed changes speed only.  A product of one row or column has a kernel of its
own (row_product.py).

Buffers: A, B, C, offsets (three int64 a batch: of A, B, C, in elements), workspace, then those of
the epilogue.  Params: see PARAMS, then those of the epilogue.  The epilogue is a loop-nest
expression of ``acc``, ``row`` and ``column``; its loads index by them.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rushlight.base.errors import InternalError
from rushlight.base.target import Target
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.expressions import emit_epilogue
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.microkernel import (
    ALONG_K,
    ALONG_ROWS,
    ARGUMENT_TYPES,
    GATHERED,
    K_BLOCK,
    Epilogue,
    Tile,
    TileSet,
    core_function,
    largest_rows,
    tile_set,
)
from rushlight.codegen.packing import Packer
from rushlight.loopnest.ir import Buffer, Expr, Param, itemsize

BUFFERS = ("a", "b", "c", "offsets", "workspace")
PARAMS = ("m", "n", "k", "a_row", "a_column", "b_row", "b_column", "c_row", "tile_m", "tile_n",
          "tiles_m", "tiles_n")  # fmt: skip
B_DIRECT, B_LINES, B_ROWS, B_COLUMNS = "direct", "lines", "rows", "columns"
B_ANY = "any"
EDGE_NONE, EDGE_NARROW, EDGE_ANY = "none", "narrow", "any"
PACKED = (B_ROWS, B_COLUMNS)
# Up to here B is read in place: copying it costs more than its larger stride does.
DIRECT_ROWS = 96
# Work of one tile worth another thread's attention: about a microsecond of a wide vector unit.
TILE_FLOPS = 1 << 18
# Elements to pack worth another thread's attention, likewise.
PACK_ELEMENTS = 1 << 14
# Up to here a B that runs along k is transposed in registers, again for each core's rows.
LINE_ROWS = 8
GATHER_ROWS = 4
# Rows of a copied tile of A, a multiple of every core's rows and of every vector's lanes; and from
# how many steps of k and columns of C on the copy pays.
COPIED_ROWS = 48
COPIED_STEPS = 256
COPIED_COLUMNS = 128
# Rows of B that lie a multiple of so many bytes apart fall into few sets of the first-level cache;
# from so many rows of C on, copying them costs less.
ALIASING_BYTES = 1 << 9
ALIASED_ROWS = 256
_LLVM_TYPES = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class GemmSpec:
    """What the code of one GEMM depends on; sizes and strides are run-time arguments.

    ``b_mode``: direct and lines are read in place, the first with unit column stride, the second
    with unit row stride; rows and columns are packed, with those strides in the same order.  Any
    gathers B where it lies: slow, but one small module for all products, so that small products of
    many shapes need no other.
    ``core_rows`` is the number of rows of the largest core: few rows leave registers for columns.
    ``edge``: none if n is a multiple of the core's columns, narrow if n fits one vector, else any;
    cores that are not needed are not compiled.
    ``copies_a``: whether A, whose columns are contiguous, is copied tile by tile.
    """

    name: str
    dtype: str
    b_mode: str
    core_rows: int
    edge: str = EDGE_ANY
    copies_a: bool = False
    epilogue: Expr | None = None
    epilogue_buffers: tuple[Buffer, ...] = ()
    epilogue_params: tuple[Param, ...] = ()


class _Driver(Driver):
    def __init__(self, spec: GemmSpec, tiles: TileSet, target: Target) -> None:
        self.spec, self.tiles = spec, tiles
        super().__init__(target, _LLVM_TYPES[spec.dtype])
        self.size = itemsize(spec.dtype)
        self.buffers = {
            name: self.word("buffers", position, "ptr") for position, name in enumerate(BUFFERS)
        }
        self.params = {
            name: self.word("params", position, "i64") for position, name in enumerate(PARAMS)
        }

    def batch_offset(self, batch: Value, matrix: int) -> Value:
        b = self.b
        index = b.add(b.mul(batch, self.count(3)), self.count(matrix))
        return b.load(b.pointer_offset(self.buffers["offsets"], index, "i64"), "i64", 1, 8)

    def panels(self) -> Value:
        b, columns = self.b, self.tiles.columns
        padded = b.add(self.params["n"], self.count(columns - 1))
        return b.binary("udiv", padded, self.count(columns))

    def panel_pointer(self, batch: Value, panel: Value) -> Value:
        b = self.b
        length = b.mul(self.params["k"], self.count(self.tiles.columns))
        number = b.add(b.mul(batch, self.panels()), panel)
        return self.at(self.buffers["workspace"], b.mul(number, length))

    # --- packing B ---

    def pack(self) -> str:
        b, p, columns = self.b, self.params, self.tiles.columns
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        panels = self.panels()
        batch = b.binary("udiv", loop.counter, panels)
        panel = b.binary("urem", loop.counter, panels)
        column = b.mul(panel, self.count(columns))
        source = self.at(
            self.buffers["b"], self.batch_offset(batch, 1), b.mul(column, p["b_column"])
        )
        packer = Packer(b, self.type, self.tiles.lanes)
        by_rows = self.spec.b_mode == B_ROWS
        emit = packer.copy_panel if by_rows else packer.transpose_panel
        emit(
            source,
            p["b_row"] if by_rows else p["b_column"],
            self.minimum(self.count(columns), b.sub(p["n"], column)),
            p["k"],
            self.panel_pointer(batch, panel),
            self.count(columns),
            self.tiles.vectors,
        )
        b.end_loop(loop)
        return b.function(self.spec.name + "_pack", KERNEL_ARGUMENTS)

    # --- computing ---

    def compute(self) -> str:
        b, p = self.b, self.params
        copied = None
        if self.spec.copies_a:
            copied = b.alloca(self.type, COPIED_ROWS * K_BLOCK, 64)
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        tiles = b.mul(p["tiles_m"], p["tiles_n"])
        batch = b.binary("udiv", loop.counter, tiles)
        tile = b.binary("urem", loop.counter, tiles)
        i0 = b.mul(b.binary("urem", tile, p["tiles_m"]), p["tile_m"])
        j0 = b.mul(b.binary("udiv", tile, p["tiles_m"]), p["tile_n"])
        i1 = self.minimum(b.add(i0, p["tile_m"]), p["m"])
        j1 = self.minimum(b.add(j0, p["tile_n"]), p["n"])
        bases = [
            self.at(self.buffers[name], self.batch_offset(batch, number))
            for number, name in enumerate("abc")
        ]
        edges = self.row_edges(i0, i1)
        # An empty k still has to write zeros.
        one = self.count(1)
        stop = b.select(b.compare("slt", p["k"], one), one, p["k"])
        blocks = b.begin_loop(self.count(0), stop, K_BLOCK)
        k0 = blocks.counter
        left = b.sub(p["k"], k0)
        steps = self.minimum(left, self.count(K_BLOCK))
        source = self.at(bases[0], b.mul(k0, p["a_column"]))
        self.a_strides = p["a_row"], p["a_column"]
        if copied is not None:
            source = self.copy_a(self.at(source, i0), b.sub(i1, i0), steps, copied)
            # Rows are counted from the matrix's first.
            source = self.at(source, b.sub(self.count(0), i0))
            self.a_strides = self.count(1), self.count(COPIED_ROWS)
        self.columns(batch, bases, source, edges, (j0, j1), k0, steps)
        b.end_loop(blocks)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def copy_a(self, source: Value, rows: Value, steps: Value, target: Value) -> Value:
        """The rows of one tile and block of k, step after step; gives where they are now."""
        packer = Packer(self.b, self.type, self.tiles.lanes)
        width = self.count(COPIED_ROWS)
        vectors = COPIED_ROWS // self.tiles.lanes
        packer.copy_panel(
            source, self.params["a_column"], rows, steps, target, width, vectors
        )  # fmt: skip
        return target

    def row_edges(self, i0: Value, i1: Value) -> list[Value]:
        """Where the rows of each core begin; the last edge is where all rows end."""
        b = self.b
        edges = [i0]
        for rows in self.tiles.row_counts():
            left = b.sub(i1, edges[-1])
            count = b.binary("udiv", left, self.count(rows))
            edges.append(b.add(edges[-1], b.mul(count, self.count(rows))))
        return edges

    def columns(
        self,
        batch: Value,
        bases: list[Value],
        source: Value,
        edges: list[Value],
        span: tuple[Value, Value],
        k0: Value,
        steps: Value,
    ) -> None:
        """The panels of B; full ones, then the one at the right edge."""
        b, p, width = self.b, self.params, self.tiles.columns
        loop = b.begin_loop(span[0], span[1], width)
        column = loop.counter
        left = b.sub(span[1], column)
        if self.spec.b_mode not in PACKED:
            panel = self.at(bases[1], b.mul(k0, p["b_row"]), b.mul(column, p["b_column"]))
            between = p["b_column"] if self.spec.b_mode == B_LINES else p["b_row"]
            b_step = b.mul(between, self.count(self.size))
        else:
            number = b.binary("udiv", column, self.count(width))
            panel = self.at(self.panel_pointer(batch, number), b.mul(k0, self.count(width)))
            b_step = self.count(width * self.size)
        full = b.compare("sge", left, self.count(width))
        narrow = b.compare("sle", left, self.count(self.tiles.lanes))
        partial = b.binary("and", b.logic_not(full), b.logic_not(narrow))
        zero, one = self.count(0), self.count(1)
        shapes = _shapes(self.spec, self.tiles)
        for shape in shapes:
            if len(shapes) == 1:
                self.rows(shape, bases, source, edges, (panel, b_step), (column, left), k0, steps)
                break
            condition = full
            if shape.masked:
                condition = narrow if shape.vectors == 1 else partial
            branch = b.begin_loop(zero, b.select(condition, one, zero), 1)
            self.rows(shape, bases, source, edges, (panel, b_step), (column, left), k0, steps)
            b.end_loop(branch)
        b.end_loop(loop)

    def rows(
        self,
        shape: Tile,
        bases: list[Value],
        source: Value,
        edges: list[Value],
        panel: tuple[Value, Value],
        columns: tuple[Value, Value],
        k0: Value,
        steps: Value,
    ) -> None:
        b, p = self.b, self.params
        size = self.count(self.size)
        first = b.compare("eq", k0, self.count(0))
        last = b.compare("sge", b.add(k0, self.count(K_BLOCK)), p["k"])
        for segment, rows in enumerate(self.tiles.row_counts()):
            loop = b.begin_loop(edges[segment], edges[segment + 1], rows)
            row = loop.counter
            a = self.at(source, b.mul(row, self.a_strides[0]))
            a_row, a_step = (b.mul(stride, size) for stride in self.a_strides)
            c = self.at(bases[2], b.mul(row, p["c_row"]), columns[0])
            extra = [Value("%buffers", "ptr"), Value("%params", "ptr")]
            arguments = [a, a_row, a_step, *panel, c, b.mul(p["c_row"], size), steps, columns[1],
                         first, last, *extra, row, columns[0]]  # fmt: skip
            typed = [f"{t} {v.text}" for t, v in zip(ARGUMENT_TYPES, arguments)]
            name = Tile(rows, shape.vectors, shape.masked).name
            b.line(f"call void @{self.spec.name}_{name}({', '.join(typed)})")
            b.end_loop(loop)


def _epilogue_of(spec: GemmSpec) -> Epilogue | None:
    value = spec.epilogue
    if value is None:
        return None

    def epilogue(
        b: Emitter, sums: list[Value], row: Value, column: Value, masks: list[Value] | None
    ) -> list[Value]:
        return emit_epilogue(
            b, value, spec.epilogue_buffers, spec.epilogue_params,
            (len(BUFFERS), len(PARAMS)), sums, row, column, masks,
        )  # fmt: skip

    return epilogue


def _tiles(spec: GemmSpec, target: Target) -> TileSet:
    tiles = tile_set(target, itemsize(spec.dtype), spec.core_rows)
    if spec.b_mode == B_ANY:
        return TileSet(GATHER_ROWS, 1, tiles.lanes)
    if spec.b_mode != B_LINES:
        return tiles
    # One vector of columns: a transposed block of them fills half of 32 registers.
    return TileSet(min(tiles.rows, LINE_ROWS), 1, tiles.lanes)


def _shapes(spec: GemmSpec, tiles: TileSet) -> list[Tile]:
    """Column vectors and masks of the cores a GEMM needs; rows are filled in later."""
    full, narrow = Tile(0, tiles.vectors), Tile(0, 1, masked=True)
    if spec.edge == EDGE_NONE:
        return [full]
    if spec.edge == EDGE_NARROW or spec.b_mode == B_ANY:
        return [narrow]
    if tiles.vectors == 1:
        return [full, narrow]
    return [full, narrow, Tile(0, tiles.vectors, masked=True)]


def gemm_text(spec: GemmSpec, target: Target) -> str:
    """The module of one GEMM: its cores, ``<name>`` and, if B is packed, ``<name>_pack``."""
    tiles = _tiles(spec, target)
    type_ = _LLVM_TYPES[spec.dtype]
    functions, declarations = [], set()
    reading = {B_LINES: ALONG_K, B_ANY: GATHERED}.get(spec.b_mode, ALONG_ROWS)
    for rows in tiles.row_counts():
        for shape in _shapes(spec, tiles):
            tile = replace(shape, rows=rows)
            name = f"{spec.name}_{tile.name}"
            text, needed = core_function(
                tile, tiles.lanes, type_, target, _epilogue_of(spec), name=name,
                reading=reading,
            )  # fmt: skip
            functions.append(text)
            declarations |= needed
    driver = _Driver(spec, tiles, target)
    functions.append(driver.compute())
    declarations |= driver.b.declarations
    if spec.b_mode in PACKED:
        driver = _Driver(spec, tiles, target)
        functions.append(driver.pack())
        declarations |= driver.b.declarations
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join(functions)


def function_names(spec: GemmSpec) -> list[str]:
    """The kernels of a GEMM's module."""
    return [spec.name, spec.name + "_pack"] if spec.b_mode in PACKED else [spec.name]


# --- choices -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GemmBlocks:
    """Tiles of C handed out to workers, and the workspace of the packed B in elements."""

    tile_m: int
    tile_n: int
    tiles_m: int
    tiles_n: int
    panels: int
    workspace: int
    grain: int = 1  # least tiles, and least panels to pack, worth handing to another thread
    pack_grain: int = 1


def choose_core_rows(m: int, target: Target) -> int:
    """Rows of the largest core for a product of m rows."""
    largest = largest_rows(target)
    for rows in (1, 2, 4, 8):
        if m <= rows < largest:
            return rows
    return largest


def choose_edge(n: int, dtype: str, core_rows: int, b_mode: str, target: Target) -> str:
    """Which right edges n can meet; a column tile is always a multiple of the core's columns."""
    tiles = _tiles(GemmSpec("", dtype, b_mode, core_rows), target)
    if n % tiles.columns == 0:
        return EDGE_NONE
    return EDGE_NARROW if n <= tiles.lanes else EDGE_ANY


def choose_b_mode(m: int, k: int, b_row: int, b_column: int, dtype: str, target: Target) -> str:
    """How to read B of the given strides; direct where its panel is used too rarely to copy it.

    Raises: InternalError if neither stride is one; the caller copies such a matrix first.
    """
    if b_column == 1 or k * m == 0:
        panel = k * tile_set(target, itemsize(dtype)).columns * itemsize(dtype)
        # A panel that stays in the second-level cache is read in place as fast as packed.
        aliased = b_row * itemsize(dtype) % ALIASING_BYTES == 0 and m >= ALIASED_ROWS
        rarely = m <= DIRECT_ROWS or (panel <= target.l2_bytes // 4 and not aliased)
        return B_DIRECT if rarely else B_ROWS
    if b_row == 1:
        return B_LINES if m <= LINE_ROWS else B_COLUMNS
    raise InternalError(f"gemm: B has strides {b_row} and {b_column}, and neither is 1")


def choose_copies_a(m: int, n: int, k: int, a_row: int, a_column: int, b_mode: str) -> bool:
    """Whether to copy A: its columns are contiguous, and it is read often enough."""
    often = m > GATHER_ROWS and n >= COPIED_COLUMNS and k >= COPIED_STEPS
    return a_row == 1 < a_column and often and b_mode != B_ANY


def choose_blocks(
    m: int, n: int, k: int, batches: int, spec: GemmSpec, target: Target, threads: int
) -> GemmBlocks:
    """Tiles of C, cut until every thread has about four, so that a slow core is evened out.

    The rows of A that a tile reads again for each panel of B fill at most half of the
    second-level cache.
    """
    size = itemsize(spec.dtype)
    tiles = _tiles(spec, target)
    limit = max(tiles.rows, target.l2_bytes // 2 // (K_BLOCK * size))
    if spec.copies_a:
        limit = COPIED_ROWS
    tile_m = _even_tile(m, limit, tiles.rows)
    tile_n = _even_tile(n, n, tiles.columns)
    work = 2 * batches * m * n * k
    wanted = 1
    if threads > 1:
        wanted = min(4 * threads, work // TILE_FLOPS)
    while batches * _ceil(m, tile_m) * _ceil(n, tile_n) < wanted:
        wide = tile_n > 2 * tiles.columns
        if tile_m > 4 * tiles.rows and (tile_m >= tile_n // 2 or not wide):
            tile_m = _even_tile(m, tile_m // 2, tiles.rows)
        elif wide:
            tile_n = _even_tile(n, tile_n // 2, tiles.columns)
        elif tile_m > tiles.rows:
            tile_m = _even_tile(m, tile_m // 2, tiles.rows)
        elif tile_n > tiles.columns:
            tile_n = _even_tile(n, tile_n // 2, tiles.columns)
        else:
            break
    if m == 0 or n == 0 or batches == 0:  # nothing to hand out
        return GemmBlocks(tile_m, tile_n, 0, 0, 0, 0)
    panels = _ceil(n, tiles.columns)
    workspace = 0
    if spec.b_mode in PACKED:
        workspace = batches * panels * k * tiles.columns + tiles.columns
    tiles_m, tiles_n = _ceil(m, tile_m), _ceil(n, tile_n)
    # Below two tiles' worth of work everything stays on the calling thread.
    grain = max(1, batches * tiles_m * tiles_n * TILE_FLOPS // max(1, work))
    pack_grain = _ceil(PACK_ELEMENTS, max(1, k) * tiles.columns)
    return GemmBlocks(
        tile_m, tile_n, tiles_m, tiles_n, panels, workspace, grain, pack_grain
    )  # fmt: skip


def _ceil(x: int, y: int) -> int:
    return max(1, -(-x // y))


def _even_tile(extent: int, limit: int, unit: int) -> int:
    """The extent cut into equal pieces of at most ``limit``, rounded up to whole units."""
    pieces = _ceil(extent, max(limit, unit))
    return _ceil(_ceil(extent, pieces), unit) * unit
