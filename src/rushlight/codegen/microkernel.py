"""Register-tiled contraction cores: C tile (+)= A panel times B panel, as LLVM IR.

A core holds rows x vectors accumulators in registers and adds one outer product for each step of
k: one broadcast from A for each row, one vector load from B for each column vector.  A and B are
read through run-time strides, so one core serves packed panels and matrices where they lie.

The order of additions is part of the contract (results depend on shapes alone): k is cut into
blocks of K_BLOCK; inside a block, products are added in ascending order by fused multiply-add,
starting from zero; block results are added in ascending order.  Level 7.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.base.target import Target
from rushlight.codegen.arithmetic import Arithmetic, plain
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.codegen.packing import lane_mask, transpose
from rushlight.codegen.scalar_ops import register_type

# The same on every machine, because it fixes the order of additions.  512 steps amortize the
# read and write of C, and an AVX-512 panel of A (12 x 512 floats) fits every first-level cache.
K_BLOCK = 512

ARGUMENTS = (
    "ptr %a, i64 %a_row, i64 %a_step, ptr %b, i64 %b_step, ptr %c, i64 %c_row, i64 %steps, "
    "i64 %left, i1 %first, i1 %last, ptr %params"
)
ARGUMENT_TYPES = (
    "ptr", "i64", "i64", "ptr", "i64", "ptr", "i64", "i64", "i64", "i1", "i1", "ptr",
)  # fmt: skip
# What a core takes besides where C is narrower than the sums: where it writes them when finished.
ROUNDED_ARGUMENTS = ", ptr %out, i64 %out_row"
ROUNDED_TYPES = ("ptr", "i64")
_ROWS_A_POINTER_SERVES = 3  # base, base + stride, base + 2 * stride are x86 addressing modes

# How B is read: vectors along its rows; its lines along k, transposed in registers; or elements
# gathered from wherever they lie.
ALONG_ROWS, ALONG_K, GATHERED = "along rows", "along k", "gathered"
# The parameter word that holds the distance between columns of B.
_COLUMN_STRIDE_WORD = 6

# Steps of k between two tests for the end, where strides are known: the addresses of all are then
# constants away from two pointers.  Also the steps for each piece that is asked of a stream.
UNROLLED = 4
_FETCHED_LINE = 64
# Sums of a core from which on it asks for the next panel of B.
_ENOUGH_SUMS = 16


@dataclass(frozen=True)
class Tile:
    """Shape of a core: rows, column vectors, and whether the right edge is masked."""

    rows: int
    vectors: int
    masked: bool = False

    @property
    def name(self) -> str:
        return f"core_{self.rows}x{self.vectors}{'m' if self.masked else ''}"


@dataclass(frozen=True)
class Packed:
    """Strides that packed operands have, in elements; None where they come at run time.

    rows: of a packed A, whose steps of k are so far apart; columns: of a packed B, likewise.
    """

    rows: int | None = None
    columns: int | None = None

    @property
    def whole(self) -> bool:
        """Whether both operands are packed."""
        return self.rows is not None and self.columns is not None


@dataclass(frozen=True)
class TileSet:
    """The cores of one GEMM for one machine and dtype."""

    rows: int  # of the largest core
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    def row_counts(self) -> list[int]:
        """Rows of the cores that cover any remainder; each core costs some 5 ms to compile."""
        return [self.rows] + [rows for rows in (4, 1) if rows < self.rows]


def largest_rows(target: Target) -> int:
    """Rows of the largest core.

    32 registers: 12 x 2 accumulators, 2 of B, broadcasts, and some left for the scheduler.
    16 registers: 6 x 2, 2 of B, 2 of broadcasts.  NEON has lane operands, so 8 x 3.
    """
    if target.vector_registers < 32:
        return 6
    return 8 if target.vector_bytes == 16 else 12


@functools.cache
def tile_set(target: Target, element_bytes: int, rows: int | None = None) -> TileSet:
    """Cores of at most ``rows`` rows; with fewer rows the accumulators go to more columns."""
    lanes = target.lanes(element_bytes)
    largest = largest_rows(target)
    if rows is None or rows >= largest:
        vectors = 3 if target.vector_bytes == 16 else 2
        return TileSet(largest, vectors, lanes)
    # Two adds a cycle of latency four keep eight chains busy; more columns only lengthen edges.
    vectors = max(2, 8 // rows)
    if target.vector_registers >= 32:
        vectors = {1: 8, 2: 4, 4: 4, 8: 3}[rows]
    return TileSet(rows, vectors, lanes)


def _byte_offset(b: Emitter, pointer: Value, offset: Value) -> Value:
    return b.pointer_offset(pointer, offset, "i8")


class _Core:
    def __init__(
        self, tile: Tile, lanes: int, arithmetic: Arithmetic, target: Target, packed: Packed,
        streams: int = 0, asks: int = 0,
    ) -> None:  # fmt: skip
        self.b = Emitter(target)
        self.streams, self.asks = streams, asks
        self.tile, self.lanes, self.packed, self.arithmetic = tile, lanes, packed, arithmetic
        self.type, self.size = arithmetic.unit, arithmetic.unit_bytes
        # Of the sums, which C holds unless it is narrower.
        self.sum_type = register_type(arithmetic.total)
        self.masks = self.column_masks()

    def argument(self, name: str, type_: str) -> Value:
        return Value("%" + name, type_)

    def stride(self, name: str) -> Value:
        """The bytes between two elements: a constant where the operand is packed."""
        known = {
            "a_row": None if self.packed.rows is None else 1,
            "a_step": self.packed.rows,
            "b_step": self.packed.columns,
        }[name]
        if known is None:
            return self.argument(name, "i64")
        return self.b.const(known * self.size, "i64")

    def column_masks(self) -> list[Value] | None:
        """Lanes of each column vector that exist; None for a full tile."""
        if not self.tile.masked:
            return None
        b = self.b
        masks = []
        for v in range(self.tile.vectors):
            left = b.sub(self.argument("left", "i64"), b.const(v * self.lanes, "i64"))
            # More columns than fit i32 may be left; beyond the tile they are all the same.
            bound = b.const(self.tile.vectors * self.lanes, "i64")
            left = b.select(b.compare("slt", left, bound), left, bound)
            left = b.convert("trunc", left, "i32")
            lanes = b.vector_constant(range(self.lanes), "i32")
            masks.append(b.compare("slt", lanes, b.splat(left, self.lanes)))
        return masks

    def load_row(self, pointer: Value, type_: str, masks: list[Value] | None) -> list[Value]:
        b, align = self.b, bits_of(type_) // 8
        row = []
        for v in range(self.tile.vectors):
            at = b.pointer_offset(pointer, b.const(v * self.lanes, "i64"), type_)
            if masks is None:
                row.append(b.load(at, type_, self.lanes, align))
            else:
                row.append(b.masked_load(at, type_, masks[v], align))
        return row

    def load_columns(self, pointer: Value) -> list[Value]:
        """One row of B's panel; a packed one is filled up."""
        return self.load_row(pointer, self.type, None if self.packed.columns else self.masks)

    def store_row(self, values: Sequence[Value], pointer: Value) -> None:
        b, type_ = self.b, values[0].type
        align = bits_of(type_) // 8
        for v, value in enumerate(values):
            at = b.pointer_offset(pointer, b.const(v * self.lanes, "i64"), type_)
            if self.masks is None:
                b.store(value, at, align)
            else:
                b.masked_store(value, at, self.masks[v], align)

    def fetch_result(self) -> None:
        """Asks for the lines of C, which are needed when the loop over k ends."""
        b, tile = self.b, self.tile
        name = "out" if self.arithmetic.is_rounded else "c"
        pointer = self.argument(name, "ptr")
        wide = tile.vectors * self.lanes * bits_of(self.arithmetic.type_of(2)) // 8
        for _ in range(tile.rows):
            for byte in range(0, wide, _FETCHED_LINE):
                b.prefetch(_byte_offset(b, pointer, b.const(byte, "i64")))
            pointer = _byte_offset(b, pointer, self.argument(name + "_row", "i64"))

    def products(self) -> list[Value]:
        """The loop over k; accumulators row by row."""
        b, tile = self.b, self.tile
        pointers = [self.argument("a", "ptr")]
        if self.packed.rows is None:
            group = b.mul(self.stride("a_row"), b.const(_ROWS_A_POINTER_SERVES, "i64"))
            while len(pointers) * _ROWS_A_POINTER_SERVES < tile.rows:
                pointers.append(_byte_offset(b, pointers[-1], group))
        pointers.append(self.argument("b", "ptr"))
        pointers += [self.argument(f"soon{i}", "ptr") for i in range(self.streams)]
        sums = [b.const(0.0, self.sum_type, self.lanes)] * (tile.rows * tile.vectors)
        steps, start = self.argument("steps", "i64"), b.const(0, "i64")
        carried = [*sums, *pointers]
        whole = self.packed.whole and not tile.masked and tile.rows == self.packed.rows
        if whole or self.streams:
            main = b.binary("and", steps, b.const(-UNROLLED, "i64"))
            if self.asks:
                asked = b.const(self.asks * UNROLLED, "i64")
                asked = b.select(b.compare("slt", main, asked), main, asked)
                carried = self.steps_of_k((start, asked), UNROLLED, carried)
                start = asked
            carried = self.steps_of_k((start, main), UNROLLED, carried, not self.asks)
            start = main
        return self.steps_of_k((start, steps), 1, carried)[: len(sums)]

    def steps_of_k(
        self, span: tuple[Value, Value], at_once: int, carried: list[Value], asks: bool = True
    ) -> list[Value]:
        """A loop over steps of k; carried: accumulators, pointers into A, the one into B, those
        into streams.  asks: whether streams are asked for.
        """
        b, tile = self.b, self.tile
        count = tile.rows * tile.vectors
        loop = b.begin_loop(*span, at_once, carried)
        sums, pointers = loop.values[:count], loop.values[count:]
        read = len(pointers) - self.streams
        pointers, asked = pointers[:read], pointers[read:]
        if at_once == UNROLLED and asks:
            asked = [self.ask(i, pointer) for i, pointer in enumerate(asked)]
        moves = [*[self.stride("a_step")] * (len(pointers) - 1), self.stride("b_step")]
        for _ in range(at_once):
            sums = self.step_of_k(pointers[:-1], pointers[-1], sums)
            pointers = [_byte_offset(b, p, move) for p, move in zip(pointers, moves)]
        return b.end_loop(loop, [*sums, *pointers, *asked])

    def ask(self, number: int, pointer: Value) -> Value:
        """Asks for so many bytes of a stream as a row of the tile has; where the next ones are."""
        b = self.b
        for byte in range(0, self.tile.vectors * self.lanes * self.size, _FETCHED_LINE):
            b.prefetch(_byte_offset(b, pointer, b.const(byte, "i64")), soon=False)
        last = self.argument(f"soon{number}_last", "ptr")
        after = _byte_offset(b, pointer, self.argument(f"soon{number}_step", "i64"))
        return b.select(b.compare("ult", after, last), after, last)

    @property
    def asks_ahead(self) -> bool:
        """Whether to ask for the next panel of B.

        A row of B that lies where it is continues with it.  Processors foresee no reads across
        pages, so each would wait for memory; cores of few rows would spend more on asking.
        """
        many = self.tile.rows * self.tile.vectors >= _ENOUGH_SUMS
        return many and self.packed.columns is None and not self.tile.masked

    @property
    def asks_for_rows(self) -> bool:
        """Whether to ask for the next rows of A, whose elements lie beside these where A is
        transposed."""
        return self.asks_ahead and self.packed.rows is None

    def ask_beside(self, b_pointer: Value) -> None:
        """Asks for what lies behind a row of the panel, which may begin inside of a line."""
        b, wide = self.b, self.tile.vectors * self.lanes * self.size
        for byte in (*range(wide, 2 * wide, _FETCHED_LINE), 2 * wide - 1):
            b.prefetch(_byte_offset(b, b_pointer, b.const(byte, "i64")), soon=False)

    def step_of_k(self, groups: list[Value], b_pointer: Value, held: list[Value]) -> list[Value]:
        b, tile = self.b, self.tile
        columns = self.load_columns(b_pointer)
        if self.asks_ahead:
            self.ask_beside(b_pointer)
        if self.asks_for_rows:
            after = (2 * tile.rows - 1) * self.size
            b.prefetch(_byte_offset(b, groups[0], b.const(after, "i64")), soon=False)
        row_stride = self.stride("a_row")
        offsets = [b.const(0, "i64"), row_stride, b.add(row_stride, row_stride)]
        updated = []
        for i in range(tile.rows):
            if self.packed.rows is not None:
                pointer = _byte_offset(b, groups[0], b.const(i * self.size, "i64"))
            else:
                pointer = groups[i // _ROWS_A_POINTER_SERVES]
                if i % _ROWS_A_POINTER_SERVES:
                    pointer = _byte_offset(b, pointer, offsets[i % _ROWS_A_POINTER_SERVES])
            broadcast = b.splat(b.load(pointer, self.type, 1, self.size), self.lanes)
            for v in range(tile.vectors):
                total = held[i * tile.vectors + v]
                updated.append(self.arithmetic.multiply_add(b, broadcast, columns[v], total))
        return updated

    def finish(self, sums: list[Value]) -> None:
        """Adds what earlier blocks of k left in C, and stores."""
        b, tile = self.b, self.tile
        first = self.argument("first", "i1")
        rows = []
        pointer = self.argument("c", "ptr")
        for i in range(tile.rows):
            sum_row = sums[i * tile.vectors : (i + 1) * tile.vectors]
            # The memory of C is ours even before it is written: what is read then is dropped.
            old = self.load_row(pointer, self.sum_type, self.masks)
            total = [b.select(first, s, b.add(o, s)) for o, s in zip(old, sum_row)]
            rows.append((pointer, total))
            pointer = _byte_offset(b, pointer, self.argument("c_row", "i64"))
        for pointer, total in rows:
            self.store_row(total, pointer)

    def finish_rounded(self, sums: list[Value]) -> None:
        """The same where C is narrower than the sums: they lie in `c` until they are finished."""
        b, tile = self.b, self.tile
        first, last = self.argument("first", "i1"), self.argument("last", "i1")
        zero, one = b.const(0, "i64"), b.const(1, "i64")
        # Nothing is there to be read before the first block is done, and often no memory.
        later = b.begin_loop(zero, b.select(first, zero, one), 1, sums)
        pointer, added = self.argument("c", "ptr"), []
        for i in range(tile.rows):
            old = self.load_row(pointer, self.sum_type, self.masks)
            row = later.values[i * tile.vectors : (i + 1) * tile.vectors]
            added += [b.add(o, s) for o, s in zip(old, row)]
            pointer = _byte_offset(b, pointer, self.argument("c_row", "i64"))
        totals = b.end_loop(later, added)
        for condition, name in ((b.logic_not(last), "c"), (last, "out")):
            branch = b.begin_loop(zero, b.select(condition, one, zero), 1)
            pointer = self.argument(name, "ptr")
            for i in range(tile.rows):
                values = totals[i * tile.vectors : (i + 1) * tile.vectors]
                if name == "out":
                    values = [self.arithmetic.finished(b, value) for value in values]
                self.store_row(values, pointer)
                pointer = _byte_offset(b, pointer, self.argument(name + "_row", "i64"))
            b.end_loop(branch)


class _LineCore(_Core):
    """A core for few rows that reads B along k: its lines are transposed in registers.

    ``b_step`` is the distance between lines, which are columns of the product.  For a few rows
    copying B into panels would cost more than multiplying by it.
    """

    def products(self) -> list[Value]:
        b, tile, lanes = self.b, self.tile, self.lanes
        steps = self.argument("steps", "i64")
        main = b.binary("and", steps, b.const(-lanes, "i64"))
        offsets = self.line_offsets()
        zero = b.const(0.0, self.type, lanes)
        sums = [zero] * (tile.rows * tile.vectors)
        loop = b.begin_loop(b.const(0, "i64"), main, lanes, sums)
        updated = self.block(loop.counter, offsets, loop.values, None)
        sums = b.end_loop(loop, updated)
        loop = b.begin_loop(main, steps, lanes, sums)
        updated = self.block(loop.counter, offsets, loop.values, b.sub(steps, loop.counter))
        return b.end_loop(loop, updated)

    def line_offsets(self) -> list[Value]:
        """Byte offsets of the lines; beyond the right edge the last one repeats."""
        b = self.b
        last = b.sub(self.argument("left", "i64"), b.const(1, "i64"))
        offsets = []
        for i in range(self.tile.vectors * self.lanes):
            index = b.const(i, "i64")
            if self.tile.masked:
                index = b.select(b.compare("slt", index, last), index, last)
            offsets.append(b.mul(index, self.argument("b_step", "i64")))
        return offsets

    def block(
        self, at: Value, offsets: list[Value], sums: list[Value], left: Value | None
    ) -> list[Value]:
        """``lanes`` steps of k; with ``left``, only so many of them count."""
        b, tile, lanes = self.b, self.tile, self.lanes
        start = b.pointer_offset(self.argument("b", "ptr"), at, self.type)
        mask = None if left is None else lane_mask(b, left, lanes)
        columns = []
        for v in range(tile.vectors):
            lines = []
            for offset in offsets[v * lanes : (v + 1) * lanes]:
                pointer = _byte_offset(b, start, offset)
                if mask is None:
                    lines.append(b.load(pointer, self.type, lanes, self.size))
                else:
                    lines.append(b.masked_load(pointer, self.type, mask, self.size))
            columns.append(transpose(b, lines))
        a_step, a_row = self.stride("a_step"), self.stride("a_row")
        pointer = _byte_offset(b, self.argument("a", "ptr"), b.mul(at, a_step))
        for step in range(lanes):
            counts = None
            here = pointer
            if left is not None:
                counts = b.compare("slt", b.const(step, "i64"), left)
                # Steps that do not count read the first element instead of beyond the end.
                here = b.select(counts, pointer, self.argument("a", "ptr"))
            updated = []
            for i in range(tile.rows):
                broadcast = b.splat(b.load(here, self.type, 1, self.size), lanes)
                here = _byte_offset(b, here, a_row)
                for v in range(tile.vectors):
                    held = sums[i * tile.vectors + v]
                    new = b.fma(broadcast, columns[v][step], held)
                    updated.append(new if counts is None else b.select(counts, new, held))
            sums = updated
            pointer = _byte_offset(b, pointer, a_step)
        return sums


class _GatherCore(_Core):
    """A core that reads B with any distance between its columns."""

    def load_columns(self, pointer: Value) -> list[Value]:
        b, width = self.b, self.lanes
        word = b.pointer_offset(
            self.argument("params", "ptr"), b.const(_COLUMN_STRIDE_WORD, "i64"), "i64"
        )
        stride = b.splat(b.load(word, "i64", 1, 8), width)
        row = []
        for v in range(self.tile.vectors):
            columns = b.vector_constant(range(v * width, (v + 1) * width), "i64")
            pointers = b.pointer_offset(pointer, b.mul(columns, stride), self.type)
            mask = b.const(True, "i1", width) if self.masks is None else self.masks[v]
            row.append(b.gather(pointers, self.type, mask, self.size))
        return row


_CORES = {ALONG_ROWS: _Core, ALONG_K: _LineCore, GATHERED: _GatherCore}


def core_function(
    tile: Tile,
    lanes: int,
    type_: str,
    target: Target,
    name: str | None = None,
    reading: str = ALONG_ROWS,
    packed: Packed = Packed(),
    arithmetic: Arithmetic | None = None,
    streams: int = 0,
    asks: int = 0,
) -> tuple[str, set[str]]:
    """One core as an internal function, and the declarations it needs.

    arithmetic: how it multiplies, if not by fused multiply-adds of ``type_``; streams: parts of
    memory that are met after the core, for which it asks as it goes on, row by row of the tile;
    asks: how often for each, if not until the end.
    """
    arithmetic = arithmetic or plain(type_)
    core = _CORES[reading](tile, lanes, arithmetic, target, packed, streams, asks)
    core.fetch_result()
    arguments = ARGUMENTS + "".join(
        f", ptr %soon{i}, i64 %soon{i}_step, ptr %soon{i}_last" for i in range(streams)
    )
    if arithmetic.is_rounded:
        core.finish_rounded(core.products())
        arguments += ROUNDED_ARGUMENTS
    else:
        core.finish(core.products())
    return core.b.function(name or tile.name, arguments, "internal"), core.b.declarations
