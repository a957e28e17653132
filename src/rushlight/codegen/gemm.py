"""Matrix products: the driver around the contraction cores, and the choice of its blocks.

C[batch] = A[batch] @ B[batch], row-major C, any strides of A and B.  Two kernels with the common
signature: ``<name>_pack`` copies B into panels, in parallel over panels; ``<name>`` computes, in
parallel over tiles of C.  Whether A and B are packed changes speed only.

Buffers: A, B, C, offsets (three int64 a batch: of A, B, C, in elements), workspace, then those of
the epilogue.  Params: see PARAMS, then those of the epilogue.  The epilogue is a loop-nest
expression of ``acc``, ``row`` and ``column``; its loads index by them.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.llvm import KERNEL_ARGUMENTS, emit_epilogue
from rushlight.codegen.microkernel import (
    ARGUMENT_TYPES,
    K_BLOCK,
    Epilogue,
    Tile,
    TileSet,
    core_function,
    tile_set,
)
from rushlight.codegen.packing import Packer
from rushlight.loopnest.ir import Buffer, Expr, Param, itemsize

BUFFERS = ("a", "b", "c", "offsets", "workspace")
PARAMS = ("m", "n", "k", "a_row", "a_column", "b_row", "b_column", "c_row", "tile_m", "tile_n",
          "tiles_m", "tiles_n")  # fmt: skip
B_DIRECT, B_ROWS, B_COLUMNS = "direct", "rows", "columns"
_LLVM_TYPES = {"float32": "float", "float64": "double"}
# Rows of A packed at a time: bounds the stack of a worker.
MAX_TILE_ROWS = 192


@dataclass(frozen=True)
class GemmSpec:
    """What the code of one GEMM depends on; sizes and strides are run-time arguments.

    ``b_mode``: direct (unit column stride, read in place), rows (packed, unit column stride),
    columns (packed, unit row stride).  ``pack_a`` needs a unit column stride of A.
    """

    name: str
    dtype: str
    b_mode: str
    pack_a: bool
    epilogue: Expr | None = None
    epilogue_buffers: tuple[Buffer, ...] = ()
    epilogue_params: tuple[Param, ...] = ()


class _Driver:
    def __init__(self, spec: GemmSpec, tiles: TileSet, target: Target) -> None:
        self.spec, self.tiles = spec, tiles
        self.b = Emitter(target)
        self.type = _LLVM_TYPES[spec.dtype]
        self.size = itemsize(spec.dtype)
        self.buffers = {
            name: self.word("buffers", position, "ptr") for position, name in enumerate(BUFFERS)
        }
        self.params = {
            name: self.word("params", position, "i64") for position, name in enumerate(PARAMS)
        }

    def word(self, array: str, position: int, type_: str) -> Value:
        b = self.b
        slot = b.pointer_offset(Value("%" + array, "ptr"), b.const(position, "i64"), "i64")
        return b.load(slot, type_, 1, 8)

    def int(self, number: int) -> Value:
        return self.b.const(number, "i64")

    def minimum(self, x: Value, y: Value) -> Value:
        return self.b.select(self.b.compare("slt", x, y), x, y)

    def at(self, pointer: Value, *offsets: Value) -> Value:
        for offset in offsets:
            pointer = self.b.pointer_offset(pointer, offset, self.type)
        return pointer

    def batch_offset(self, batch: Value, matrix: int) -> Value:
        b = self.b
        index = b.add(b.mul(batch, self.int(3)), self.int(matrix))
        return b.load(b.pointer_offset(self.buffers["offsets"], index, "i64"), "i64", 1, 8)

    def panels(self) -> Value:
        b, columns = self.b, self.tiles.columns
        padded = b.add(self.params["n"], self.int(columns - 1))
        return b.binary("udiv", padded, self.int(columns))

    def panel_pointer(self, batch: Value, panel: Value) -> Value:
        b = self.b
        length = b.mul(self.params["k"], self.int(self.tiles.columns))
        number = b.add(b.mul(batch, self.panels()), panel)
        return self.at(self.buffers["workspace"], b.mul(number, length))

    # --- packing B ---

    def pack(self) -> str:
        b, p, columns = self.b, self.params, self.tiles.columns
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        panels = self.panels()
        batch = b.binary("udiv", loop.counter, panels)
        panel = b.binary("urem", loop.counter, panels)
        column = b.mul(panel, self.int(columns))
        source = self.at(
            self.buffers["b"], self.batch_offset(batch, 1), b.mul(column, p["b_column"])
        )
        packer = Packer(b, self.type, self.tiles.lanes)
        by_rows = self.spec.b_mode == B_ROWS
        emit = packer.copy_panel if by_rows else packer.transpose_panel
        emit(
            source,
            p["b_row"] if by_rows else p["b_column"],
            self.minimum(self.int(columns), b.sub(p["n"], column)),
            p["k"],
            self.panel_pointer(batch, panel),
            self.int(columns),
            self.tiles.vectors,
        )
        b.end_loop(loop)
        return b.function(self.spec.name + "_pack", KERNEL_ARGUMENTS)

    # --- computing ---

    def compute(self) -> str:
        b, p = self.b, self.params
        if self.spec.pack_a:
            rows = MAX_TILE_ROWS + self.tiles.rows
            self.panel_a = b.alloca(self.type, rows * K_BLOCK + self.tiles.lanes * 2, 64)
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
        one = self.int(1)
        stop = b.select(b.compare("slt", p["k"], one), one, p["k"])
        blocks = b.begin_loop(self.int(0), stop, K_BLOCK)
        k0 = blocks.counter
        left = b.sub(p["k"], k0)
        steps = self.minimum(left, self.int(K_BLOCK))
        source = self.at(bases[0], b.mul(k0, p["a_column"]))
        if self.spec.pack_a:
            self.pack_rows(source, edges, steps)
        self.columns(batch, bases, source, edges, (j0, j1), k0, steps)
        b.end_loop(blocks)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def row_edges(self, i0: Value, i1: Value) -> list[Value]:
        """Where the rows of each core begin; the last edge is where all rows end."""
        b = self.b
        edges = [i0]
        for rows in self.tiles.row_counts():
            left = b.sub(i1, edges[-1])
            count = b.binary("udiv", left, self.int(rows))
            edges.append(b.add(edges[-1], b.mul(count, self.int(rows))))
        return edges

    def local_panel(self, row: Value, first: Value) -> Value:
        return self.at(self.panel_a, self.b.mul(self.b.sub(row, first), self.int(K_BLOCK)))

    def pack_rows(self, source: Value, edges: list[Value], steps: Value) -> None:
        b, p, lanes = self.b, self.params, self.tiles.lanes
        packer = Packer(b, self.type, lanes)
        for segment, rows in enumerate(self.tiles.row_counts()):
            loop = b.begin_loop(edges[segment], edges[segment + 1], rows)
            packer.transpose_panel(
                self.at(source, b.mul(loop.counter, p["a_row"])),
                p["a_row"],
                self.int(rows),
                steps,
                self.local_panel(loop.counter, edges[0]),
                self.int(rows),
                -(-rows // lanes),
            )
            b.end_loop(loop)

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
        if self.spec.b_mode == B_DIRECT:
            panel = self.at(bases[1], b.mul(k0, p["b_row"]), column)
            b_step = b.mul(p["b_row"], self.int(self.size))
        else:
            number = b.binary("udiv", column, self.int(width))
            panel = self.at(self.panel_pointer(batch, number), b.mul(k0, self.int(width)))
            b_step = self.int(width * self.size)
        full = b.compare("sge", left, self.int(width))
        narrow = b.compare("sle", left, self.int(self.tiles.lanes))
        partial = b.binary("and", b.logic_not(full), b.logic_not(narrow))
        cases = [(full, Tile(0, self.tiles.vectors)), (narrow, Tile(0, 1, masked=True)),
                 (partial, Tile(0, self.tiles.vectors, masked=True))]  # fmt: skip
        zero, one = self.int(0), self.int(1)
        for condition, shape in cases:
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
        size = self.int(self.size)
        first = b.compare("eq", k0, self.int(0))
        last = b.compare("sge", b.add(k0, self.int(K_BLOCK)), p["k"])
        for segment, rows in enumerate(self.tiles.row_counts()):
            loop = b.begin_loop(edges[segment], edges[segment + 1], rows)
            row = loop.counter
            if self.spec.pack_a:
                a = self.local_panel(row, edges[0])
                a_row, a_step = size, self.int(rows * self.size)
            else:
                a = self.at(source, b.mul(row, p["a_row"]))
                a_row, a_step = b.mul(p["a_row"], size), b.mul(p["a_column"], size)
            c = self.at(bases[2], b.mul(row, p["c_row"]), columns[0])
            extra = [Value("%buffers", "ptr"), Value("%params", "ptr")]
            arguments = [a, a_row, a_step, *panel, c, b.mul(p["c_row"], size), steps, columns[1],
                         first, last, *extra, row, columns[0]]  # fmt: skip
            typed = [f"{t} {v.text}" for t, v in zip(ARGUMENT_TYPES, arguments)]
            name = Tile(rows, shape.vectors, shape.masked).name
            b.line(f"call void @{self.spec.name}_{name}({', '.join(typed)})")
            b.end_loop(loop)


def _epilogue_of(spec: GemmSpec) -> Epilogue | None:
    if spec.epilogue is None:
        return None

    def epilogue(
        b: Emitter, sums: list[Value], row: Value, column: Value, masks: list[Value] | None
    ) -> list[Value]:
        return emit_epilogue(
            b, spec.epilogue, spec.epilogue_buffers, spec.epilogue_params,
            (len(BUFFERS), len(PARAMS)), sums, row, column, masks,
        )  # fmt: skip

    return epilogue


def gemm_text(spec: GemmSpec, target: Target) -> str:
    """The module of one GEMM: its cores, ``<name>`` and, if B is packed, ``<name>_pack``."""
    tiles = tile_set(target, itemsize(spec.dtype))
    type_ = _LLVM_TYPES[spec.dtype]
    functions, declarations = [], set()
    shapes = [(tiles.vectors, False), (tiles.vectors, True), (1, True)]
    for rows in tiles.row_counts():
        for vectors, masked in shapes:
            tile = Tile(rows, vectors, masked)
            name = f"{spec.name}_{tile.name}"
            text, needed = core_function(
                tile, tiles.lanes, type_, target, _epilogue_of(spec), name=name
            )
            functions.append(text)
            declarations |= needed
    driver = _Driver(spec, tiles, target)
    functions.append(driver.compute())
    declarations |= driver.b.declarations
    if spec.b_mode != B_DIRECT:
        driver = _Driver(spec, tiles, target)
        functions.append(driver.pack())
        declarations |= driver.b.declarations
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(declarations)) + "\n\n" + "\n".join(functions)


def function_names(spec: GemmSpec) -> list[str]:
    """The kernels of a GEMM's module."""
    return [spec.name] if spec.b_mode == B_DIRECT else [spec.name, spec.name + "_pack"]


# --- blocks -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GemmBlocks:
    """Tiles of C handed out to workers, and the workspace of the packed B in elements."""

    tile_m: int
    tile_n: int
    tiles_m: int
    tiles_n: int
    panels: int
    workspace: int


def choose_blocks(
    m: int, n: int, k: int, batches: int, dtype: str, b_mode: str, target: Target, threads: int
) -> GemmBlocks:
    """Tiles that keep the packed rows of A in half of the second-level cache.

    They are cut further until every thread has about four, so that a slow core is evened out,
    but not below four cores' rows or columns.
    """
    size = itemsize(dtype)
    tiles = tile_set(target, size)
    by_cache = target.l2_bytes // 2 // (K_BLOCK * size)
    rows_limit = max(tiles.rows, min(MAX_TILE_ROWS, by_cache) // tiles.rows * tiles.rows)
    tile_m = _even_tile(m, rows_limit, tiles.rows)
    tile_n = _even_tile(n, max(tiles.columns, _ceil(n, 1)), tiles.columns)
    wanted = 4 * threads if threads > 1 else 1
    while batches * _ceil(m, tile_m) * _ceil(n, tile_n) < wanted:
        if tile_m > 4 * tiles.rows and tile_m >= tile_n // 2:
            tile_m = _even_tile(m, tile_m // 2, tiles.rows)
        elif tile_n > 4 * tiles.columns:
            tile_n = _even_tile(n, tile_n // 2, tiles.columns)
        elif tile_m > 2 * tiles.rows:
            tile_m = _even_tile(m, tile_m // 2, tiles.rows)
        elif tile_n > tiles.columns:
            tile_n = _even_tile(n, tile_n // 2, tiles.columns)
        else:
            break
    panels = _ceil(n, tiles.columns)
    workspace = 0 if b_mode == B_DIRECT else batches * panels * k * tiles.columns + tiles.columns
    return GemmBlocks(tile_m, tile_n, _ceil(m, tile_m), _ceil(n, tile_n), panels, workspace)


def _ceil(x: int, y: int) -> int:
    return max(1, -(-x // y))


def _even_tile(extent: int, limit: int, unit: int) -> int:
    """The extent cut into equal pieces of at most ``limit``, rounded up to whole units."""
    pieces = _ceil(extent, max(limit, unit))
    return _ceil(_ceil(extent, pieces), unit) * unit
