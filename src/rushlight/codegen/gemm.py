"""Matrix products: the driver around the contraction cores.

C[batch] = A[batch] @ B[batch], row-major C, any strides of A and B.  Two kernels with the common
signature: ``<name>_pack`` copies B into panels, in parallel over panels; ``<name>`` computes, in
parallel over tiles of C.  A tile may pack its rows of A, one block of k at a time, and panels of B,
one at a time, to the stack: there they stay in the second-level cache, and are read in one go with
constant strides.  Whether something is packed changes speed only; gemm_choices.py decides.  A
product of one row or column has a kernel of its own (row_product.py).

Buffers: A, B, C, offsets (three int64 a batch: of A, B, C, in elements), workspace.  Params: see
PARAMS.  Level 7.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from rushlight.base.target import Target
from rushlight.codegen.arithmetic import arithmetic_of
from rushlight.codegen.driver import Driver
from rushlight.codegen.emit import Value, bits_of
from rushlight.codegen.llvm import KERNEL_ARGUMENTS
from rushlight.codegen.microkernel import (
    ALONG_K,
    ALONG_ROWS,
    ARGUMENT_TYPES,
    GATHERED,
    K_BLOCK,
    ROUNDED_TYPES,
    Packed,
    Tile,
    TileSet,
    core_function,
    tile_set,
)
from rushlight.codegen.packing import Packer
from rushlight.codegen.unit_packing import UnitPacker

BUFFERS = ("a", "b", "c", "offsets", "workspace")
PARAMS = ("m", "n", "k", "a_row", "a_column", "b_row", "b_column", "c_row", "tile_m", "tile_n",
          "tiles_m", "tiles_n", "group")  # fmt: skip
B_DIRECT, B_LINES, B_ROWS, B_COLUMNS = "direct", "lines", "rows", "columns"
B_ANY = "any"
# As rows and columns, but by each tile for itself, panel by panel, to its stack.
B_LOCAL_ROWS, B_LOCAL_COLUMNS = "local_rows", "local_columns"
LOCAL = (B_LOCAL_ROWS, B_LOCAL_COLUMNS)
A_DIRECT, A_LINES, A_COLUMNS = "direct", "lines", "columns"
EDGE_NONE, EDGE_NARROW, EDGE_ANY = "none", "narrow", "any"
PACKED = (B_ROWS, B_COLUMNS)
# Up to here a B that runs along k is transposed in registers, again for each core's rows.
LINE_ROWS = 8
GATHER_ROWS = 4
# What a tile packs of A lies on the stack, and some systems give a thread 512 kB.
A_STACK_BYTES = 192 << 10


@dataclass(frozen=True)
class GemmSpec:
    """What the code of one GEMM depends on; sizes and strides are run-time arguments.

    ``b_mode``: direct and lines are read in place, the first with unit column stride, the second
    with unit row stride; rows and columns are packed, with those strides in the same order, by a
    kernel before or by each tile for itself (local).  Any gathers B where it lies: slow, but one
    small module for all products, so that small products of many shapes need no other.
    ``core_rows`` is the number of rows of the largest core: few rows leave registers for columns.
    ``edge``: none if n is a multiple of the core's columns, narrow if n fits one vector, else any;
    cores that are not needed are not compiled.
    ``a_mode``: direct is read in place; lines, which run along k, and columns are packed.
    """

    name: str
    dtype: str
    b_mode: str
    core_rows: int
    edge: str = EDGE_ANY
    a_mode: str = A_DIRECT


@dataclass(frozen=True)
class _Block:
    """One block of k of one tile: where A, B and C begin, its first row, its cores' counts."""

    batch: Value
    bases: list[Value]
    i0: Value
    slivers: list[Value]
    k0: Value
    elements: Value  # steps of k
    steps: Value  # the units that hold them


class _Driver(Driver):
    def __init__(self, spec: GemmSpec, tiles: TileSet, target: Target) -> None:
        self.spec, self.tiles = spec, tiles
        self.arithmetic = arithmetic_of(spec.dtype, target)
        super().__init__(target, self.arithmetic.unit)
        self.size = self.arithmetic.unit_bytes
        self.buffers = {
            name: self.word("buffers", position, "ptr") for position, name in enumerate(BUFFERS)
        }
        self.params = {
            name: self.word("params", position, "i64") for position, name in enumerate(PARAMS)
        }

    def element_at(self, pointer: Value, matrix: int, *offsets: Value) -> Value:
        """The address so many elements of A, B or C further."""
        for offset in offsets:
            pointer = self.b.pointer_offset(pointer, offset, self.arithmetic.type_of(matrix))
        return pointer

    def units(self, steps: Value) -> Value:
        """Units that hold so many steps of k."""
        b, group = self.b, self.arithmetic.group
        if group == 1:
            return steps
        return b.binary("udiv", b.add(steps, self.count(group - 1)), self.count(group))

    def packer(self, matrix: int) -> Packer:
        """What packs A or B."""
        if self.arithmetic.is_packed:
            return UnitPacker(self.b, self.arithmetic, matrix, self.tiles.lanes)
        return Packer(self.b, self.type, self.tiles.lanes)

    def panels(self) -> Value:
        b, columns = self.b, self.tiles.columns
        padded = b.add(self.params["n"], self.count(columns - 1))
        return b.binary("udiv", padded, self.count(columns))

    def block_pointer(self, batch: Value, column: Value, k0: Value, steps: Value) -> Value:
        """Where the steps from k0 of the panel that begins at a column are packed.

        Panels of one block of k lie beside each other, so that they are read in one go.
        """
        b = self.b
        padded = b.mul(self.panels(), self.count(self.tiles.columns))
        start = self.batch_workspace(batch, padded)
        before = self.units(k0)
        start = b.add(start, b.add(b.mul(before, padded), b.mul(column, steps)))
        return self.at(self.buffers["workspace"], start)

    def batch_workspace(self, batch: Value, padded: Value) -> Value:
        """Where a batch's panels begin, in units; after them stand its sums, if C is too narrow."""
        b, p = self.b, self.params
        size = b.mul(padded, self.units(p["k"]))
        if self.arithmetic.is_rounded:
            size = b.add(size, self.sums_kept())
        return b.mul(batch, size)

    def sums_kept(self) -> Value:
        """Sums of one batch that wait for the next block of k."""
        b, p = self.b, self.params
        long = b.compare("sgt", p["k"], self.count(K_BLOCK))
        return b.select(long, b.mul(p["m"], p["n"]), self.count(0))

    def sums_pointer(self, block: _Block, row: Value, column: Value) -> Value:
        """Where the sums of a row stand until they are finished, if C is too narrow."""
        b, p = self.b, self.params
        if self.spec.b_mode in PACKED:
            padded = b.mul(self.panels(), self.count(self.tiles.columns))
            start = self.batch_workspace(block.batch, padded)
            start = b.add(start, b.mul(padded, self.units(p["k"])))
        else:
            start = b.mul(block.batch, self.sums_kept())
        start = b.add(start, b.add(b.mul(row, p["n"]), column))
        return self.at(self.buffers["workspace"], start)

    # --- packing B ---

    def pack(self) -> str:
        b, p, columns = self.b, self.params, self.tiles.columns
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        panels = self.panels()
        batch = b.binary("udiv", loop.counter, panels)
        panel = b.binary("urem", loop.counter, panels)
        column = b.mul(panel, self.count(columns))
        source = self.element_at(
            self.buffers["b"],
            1,
            self.batch_offset(self.buffers["offsets"], batch, 1),
            b.mul(column, p["b_column"]),
        )
        blocks = b.begin_loop(self.count(0), p["k"], K_BLOCK)
        k0 = blocks.counter
        steps = self.minimum(b.sub(p["k"], k0), self.count(K_BLOCK))
        target = self.block_pointer(batch, column, k0, self.units(steps))
        source = self.element_at(source, 1, b.mul(k0, p["b_row"]))
        self.pack_panel(source, b.sub(p["n"], column), steps, target)
        b.end_loop(blocks)
        b.end_loop(loop)
        return b.function(self.spec.name + "_pack", KERNEL_ARGUMENTS)

    def pack_panel(self, source: Value, left: Value, steps: Value, target: Value) -> None:
        """One panel of B, for one block of k."""
        p, columns = self.params, self.count(self.tiles.columns)
        packer = self.packer(1)
        by_rows = self.spec.b_mode in (B_ROWS, B_LOCAL_ROWS)
        width, vectors = self.minimum(columns, left), self.tiles.vectors
        if by_rows:
            packer.copy_panel(source, p["b_row"], width, steps, target, columns, vectors)
            return
        # Panels of the workspace lie side by side and are packed by several threads.
        packer.transpose_panel(
            source, p["b_column"], width, steps, target, columns, vectors,
            roomy=self.spec.b_mode in LOCAL,
        )  # fmt: skip

    # --- computing ---

    def compute(self) -> str:
        b, p = self.b, self.params
        spec = self.spec
        if spec.a_mode != A_DIRECT:
            # What is transposed ends with as many steps as a vector has lanes.
            held = packed_rows(self.tiles, self.arithmetic.step_bytes)
            room = (held // self.tiles.rows + self.tiles.rows) * self.tiles.lanes
            held = held * K_BLOCK // self.arithmetic.group
            self.a_panels = b.alloca(self.type, held + room, 64)
        if spec.b_mode in LOCAL:
            room = K_BLOCK // self.arithmetic.group + self.tiles.lanes
            self.b_panel = b.alloca(self.type, room * self.tiles.columns, 64)
        loop = b.begin_loop(Value("%begin", "i64"), Value("%end", "i64"), 1)
        tiles = b.mul(p["tiles_m"], p["tiles_n"])
        batch = b.binary("udiv", loop.counter, tiles)
        tile = b.binary("urem", loop.counter, tiles)
        i0 = b.mul(b.binary("urem", tile, p["tiles_m"]), p["tile_m"])
        j0 = b.mul(b.binary("udiv", tile, p["tiles_m"]), p["tile_n"])
        i1 = self.minimum(b.add(i0, p["tile_m"]), p["m"])
        j1 = self.minimum(b.add(j0, p["tile_n"]), p["n"])
        bases = [
            self.element_at(
                self.buffers[name],
                number,
                self.batch_offset(self.buffers["offsets"], batch, number),
            )
            for number, name in enumerate("abc")
        ]
        zero = self.count(0)
        block = _Block(batch, bases, i0, self.slivers(i0, i1), zero, zero, zero)
        # An empty k still has to write zeros.
        one = self.count(1)
        stop = b.select(b.compare("slt", p["k"], one), one, p["k"])
        blocks = b.begin_loop(self.count(0), stop, K_BLOCK)
        k0 = blocks.counter
        left = b.sub(p["k"], k0)
        steps = self.minimum(left, self.count(K_BLOCK))
        block = replace(block, k0=k0, elements=steps, steps=self.units(steps))
        if spec.a_mode != A_DIRECT:
            self.pack_a(block, (i0, i1))
        self.groups(block, j0, j1)
        b.end_loop(blocks)
        b.end_loop(loop)
        return b.function(self.spec.name, KERNEL_ARGUMENTS)

    def pack_a(self, block: _Block, rows: tuple[Value, Value]) -> None:
        """The rows of one tile for one block of k, sliver after sliver of a core's rows each."""
        b, p, tiles, steps = self.b, self.params, self.tiles, block.elements
        source = self.element_at(block.bases[0], 0, b.mul(block.k0, p["a_column"]))
        packer = self.packer(0)
        start, step = rows[0], self.count(tiles.rows)
        if self.spec.a_mode == A_COLUMNS and not self.arithmetic.is_packed:
            # Steps lie far apart, often in one set of a cache: each is read once, in one go.
            whole = b.binary("udiv", b.sub(rows[1], start), step)
            columns = self.element_at(source, 0, b.mul(start, p["a_row"]))
            packer.copy_slivers(
                columns, p["a_column"], whole, steps, self.a_panels, self.sliver_length(block),
                tiles.rows,
            )  # fmt: skip
            start = b.add(start, b.mul(whole, step))
        loop = b.begin_loop(start, rows[1], tiles.rows)
        width = self.minimum(step, b.sub(rows[1], loop.counter))
        vectors = -(-tiles.rows // tiles.lanes)
        sliver = self.element_at(source, 0, b.mul(loop.counter, p["a_row"]))
        number = b.binary("udiv", b.sub(loop.counter, rows[0]), step)
        target = self.at(self.a_panels, b.mul(number, self.sliver_length(block)))
        if self.spec.a_mode == A_COLUMNS:
            packer.copy_panel(sliver, p["a_column"], width, steps, target, step, vectors)
        else:
            # What is written beyond a sliver is written again by the next one.
            packer.transpose_panel(
                sliver, p["a_row"], width, steps, target, step, vectors, roomy=True
            )
        b.end_loop(loop)

    def sliver_length(self, block: _Block) -> Value:
        """Elements between two packed slivers; what is written beyond a step has room."""
        tiles = self.tiles
        return self.b.add(self.b.mul(block.steps, self.count(tiles.rows)), self.count(tiles.lanes))

    def a_pointer(self, block: _Block, row: Value) -> Value:
        """Where a core begins to read A."""
        b, p, rows = self.b, self.params, self.count(self.tiles.rows)
        if self.spec.a_mode == A_DIRECT:
            steps_before, rows_before = b.mul(block.k0, p["a_column"]), b.mul(row, p["a_row"])
            return self.at(block.bases[0], steps_before, rows_before)
        distance = b.sub(row, block.i0)
        within = b.binary("urem", distance, rows)
        number = b.binary("udiv", distance, rows)
        return self.at(self.a_panels, b.mul(number, self.sliver_length(block)), within)

    def b_pointer(self, block: _Block, column: Value) -> Value:
        """Where a core begins to read B."""
        b, p = self.b, self.params
        if self.spec.b_mode in PACKED:
            return self.block_pointer(block.batch, column, block.k0, block.steps)
        if self.spec.b_mode in LOCAL:
            return self.b_panel
        return self.at(block.bases[1], b.mul(block.k0, p["b_row"]), b.mul(column, p["b_column"]))

    def b_step(self) -> Value:
        """Elements of B between two steps of k; of lines, between two columns."""
        if self.spec.b_mode in PACKED + LOCAL:
            return self.count(self.tiles.columns)
        return self.params["b_column" if self.spec.b_mode == B_LINES else "b_row"]

    def slivers(self, i0: Value, i1: Value) -> list[Value]:
        """How many cores of each number of rows cover the rows of a tile."""
        b = self.b
        left, counts = b.sub(i1, i0), []
        for rows in self.tiles.row_counts():
            counts.append(b.binary("udiv", left, self.count(rows)))
            left = b.binary("urem", left, self.count(rows))
        return counts

    def groups(self, block: _Block, start: Value, stop: Value) -> None:
        """Groups of panels of B that stay at hand while the rows of the tile pass by.

        In a group, a core's rows meet all panels in turn: they stay in the first-level cache, and
        C is written along its rows.
        """
        b, p, width = self.b, self.params, self.count(self.tiles.columns)
        group = width if self.spec.b_mode in LOCAL else p["group"]
        count = b.binary("udiv", b.add(b.sub(stop, start), b.sub(group, self.count(1))), group)
        loop = b.begin_loop(self.count(0), count, 1)
        first = b.add(start, b.mul(loop.counter, group))
        end = self.minimum(b.add(first, group), stop)
        if self.spec.b_mode in LOCAL:
            source = self.element_at(
                block.bases[1], 1, b.mul(block.k0, p["b_row"]), b.mul(first, p["b_column"])
            )
            self.pack_panel(source, b.sub(end, first), block.elements, self.b_panel)
        self.rows(block, first, end)
        b.end_loop(loop)

    def rows(self, block: _Block, first: Value, end: Value) -> None:
        """The rows of the tile times the panels between two columns.

        There is one call, of a core that is chosen as it runs: a call for each core would make
        most of the module's code, and of the time to compile it.
        """
        b, p, width = self.b, self.params, self.tiles.columns
        size = self.count(self.size)
        begins = b.compare("eq", block.k0, self.count(0))
        ends = b.compare("sge", b.add(block.k0, self.count(K_BLOCK)), p["k"])
        total = block.slivers[0]
        for count in block.slivers[1:]:
            total = b.add(total, count)
        loop = b.begin_loop(self.count(0), total, 1)
        row, cores = self.sliver(block, loop.counter)
        panels = b.begin_loop(first, end, width)
        column = panels.counter
        result = self.element_at(block.bases[2], 2, b.mul(row, p["c_row"]), column)
        wide = self.count(bits_of(self.arithmetic.type_of(2)) // 8)
        sums, extra = (result, b.mul(p["c_row"], wide)), []
        if self.arithmetic.is_rounded:
            extra = list(sums)
            sums = self.sums_pointer(block, row, column), b.mul(p["n"], size)
        arguments = [
            self.a_pointer(block, row), b.mul(p["a_row"], size), b.mul(p["a_column"], size),
            self.b_pointer(block, column), b.mul(self.b_step(), size),
            *sums, block.steps, b.sub(end, column), begins, ends,
            Value("%params", "ptr"), *extra,
        ]  # fmt: skip
        types = ARGUMENT_TYPES + ROUNDED_TYPES
        typed = [f"{t} {v.text}" for t, v in zip(types, arguments)]
        core = self.core_of_columns(cores, b.sub(end, column))
        b.line(f"call void {core.text}({', '.join(typed)})")
        b.end_loop(panels)
        b.end_loop(loop)

    def sliver(self, block: _Block, number: Value) -> tuple[Value, list[Value]]:
        """The first row of a sliver, and the cores of so many rows, one for each shape."""
        b, shapes = self.b, _shapes(self.spec, self.tiles)
        row, start = block.i0, block.i0
        before = self.count(0)
        cores: list[Value] = []
        for rows, count in zip(self.tiles.row_counts(), block.slivers):
            here = b.sub(number, before)
            reached = b.compare("sge", here, self.count(0))
            row = b.select(reached, b.add(start, b.mul(here, self.count(rows))), row)
            names = [Tile(rows, s.vectors, s.masked).name for s in shapes]
            found = [Value(f"@{self.spec.name}_{name}", "ptr") for name in names]
            cores = [b.select(reached, x, y) for x, y in zip(found, cores)] if cores else found
            start = b.add(start, b.mul(count, self.count(rows)))
            before = b.add(before, count)
        return row, cores

    def core_of_columns(self, cores: list[Value], left: Value) -> Value:
        """Of the cores of each shape the one for a panel with so many columns left."""
        b = self.b
        if len(cores) == 1:
            return cores[0]
        full, narrow, *partial = cores
        core = narrow
        if partial:
            is_narrow = b.compare("sle", left, self.count(self.tiles.lanes))
            core = b.select(is_narrow, narrow, partial[0])
        return b.select(b.compare("sge", left, self.count(self.tiles.columns)), full, core)


def packed_rows(tiles: TileSet, step_bytes: int) -> int:
    """Rows of A that a tile packs at most, of so many bytes to a step of k."""
    return A_STACK_BYTES // (K_BLOCK * step_bytes) // tiles.rows * tiles.rows


def tiles_of(spec: GemmSpec, target: Target) -> TileSet:
    """The cores of a GEMM."""
    return tiles_named(spec.dtype, spec.b_mode, spec.core_rows, target)


@functools.cache
def tiles_named(dtype: str, b_mode: str, core_rows: int, target: Target) -> TileSet:
    """The same for what they depend on."""
    tiles = tile_set(target, arithmetic_of(dtype, target).unit_bytes, core_rows)
    if b_mode == B_ANY:
        return TileSet(GATHER_ROWS, 1, tiles.lanes)
    if b_mode != B_LINES:
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
    tiles = tiles_of(spec, target)
    arithmetic = arithmetic_of(spec.dtype, target)
    functions, declarations = [], set()
    reading = {B_LINES: ALONG_K, B_ANY: GATHERED}.get(spec.b_mode, ALONG_ROWS)
    packed = Packed(
        tiles.rows if spec.a_mode != A_DIRECT else None,
        tiles.columns if spec.b_mode in PACKED + LOCAL else None,
    )
    for rows in tiles.row_counts():
        for shape in _shapes(spec, tiles):
            tile = replace(shape, rows=rows)
            name = f"{spec.name}_{tile.name}"
            text, needed = core_function(
                tile, tiles.lanes, arithmetic.unit, target, name=name,
                reading=reading, packed=packed, arithmetic=arithmetic,
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
