"""Products of tiles in which every thread of a warp knows which elements are its own.

A warp has 16 rows.  Of 8 columns a thread keeps four elements, as tensor cores lay them out: of the
row of its group of four threads, and eight rows further, the two columns of its place in the group.
What keeps to this can be multiplied again without going through memory.  Two ways to multiply:
`Units`, ordinary arithmetic in float32, and `TensorCores`, in bfloat16 and float16.  A tile is what
all warps of a block read; its rows come from memory, zeros beyond the edge.  Level 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.codegen import scalar_ops
from rushlight.codegen.emit import Value
from rushlight.codegen.grid import ACROSS, SHARED, WARP_BARRIER, collective, shuffled
from rushlight.codegen.grid_tensor import KINDS, fragment
from rushlight.codegen.grid_tile import Grid

# Of a warp's piece: rows, and columns of a multiplication.
ROWS, COLUMNS = 16, 8
# Elements of one, of each thread.
OWN = 4
_ALIGNMENT = 16


@dataclass(frozen=True)
class Tile:
    """Shared memory of so many rows, each `width` elements; plain, turned: where they lie as they
    are, and with rows and columns exchanged; None where nobody reads them so."""

    rows: int
    width: int
    plain: Value | None
    turned: Value | None


@dataclass(frozen=True)
class Rows:
    """The rows of a warp, `width` elements each: in shared memory, or as words of threads."""

    width: int
    lines: Value | None
    words: tuple[tuple[Value, ...], ...] = ()


class Multiplier:
    """What both ways share.  grid: whose code is written; warps: of a block."""

    # Rows of a tile that one multiplication of what threads keep takes.
    step = COLUMNS

    def __init__(self, grid: Grid, dtype: str, warps: int) -> None:
        self.grid = grid
        self.b = grid.b
        self.dtype = dtype
        self.stored = scalar_ops.memory_type(dtype)
        self.warps = warps
        self.taken = 0
        warp, lane = grid.split(grid.thread, 32)
        self.group, self.in_group = grid.split(lane, 4)
        self.row = self.b.add(self.b.mul(warp, grid.count(ROWS)), self.group)
        self.column = self.b.mul(self.in_group, grid.count(2))

    @property
    def threads(self) -> int:
        """Of a block."""
        return 32 * self.warps

    def take(self, nbytes: int) -> Value:
        """Shared memory of the block."""
        place = self.grid.count(self.taken)
        self.taken += -(-nbytes // _ALIGNMENT) * _ALIGNMENT
        return self.b.pointer_offset(Value(SHARED, "ptr"), place, "i8")

    def zeros(self, columns: int) -> list[Value]:
        """Elements of a thread in so many columns, before anything is added."""
        return [self.b.const(0.0, "float")] * (OWN * -(-columns // COLUMNS))

    def offset(self, pointer: Value, *indices: Value, type_: str | None = None) -> Value:
        """The address so many elements further."""
        for index in indices:
            pointer = self.b.pointer_offset(pointer, index, type_ or self.stored)
        return pointer

    def over_four(self, values: Sequence[Value], combine) -> Value:
        """Values of a row, combined over the threads that share it."""
        (found, *rest) = values
        for value in rest:
            found = combine(found, value)
        for distance in (1, 2):
            found = combine(found, shuffled(self.b, found, ACROSS, distance))
        return found

    def rows_of(self, pointer: Value, start: Value, bound: Value, width: int) -> Rows:
        """The rows of each warp of a matrix in memory, from `start` on, zeros from `bound` on."""
        raise NotImplementedError

    def tile(self, rows: int, width: int, *, plain: bool, turned: bool) -> Tile:
        """Shared memory of a tile; plain: `products` read it, turned: `added` does."""
        raise NotImplementedError

    def bring(self, tile: Tile, pointer: Value, start: Value, bound: Value) -> None:
        """Fill a tile with rows of a matrix in memory."""
        raise NotImplementedError

    def products(self, rows: Rows, tile: Tile) -> list[Value]:
        """Of the rows of a warp with all rows of a tile."""
        raise NotImplementedError

    def added(self, sums: list[Value], factors: list[Value], tile: Tile) -> list[Value]:
        """Sums and the product of what threads keep, of as many columns as the tile has rows, with
        the tile."""
        raise NotImplementedError


class Units(Multiplier):
    """Products in float32 on ordinary arithmetic units; every factor goes through shared memory."""

    def __init__(self, grid: Grid, dtype: str, warps: int, rows: int) -> None:
        super().__init__(grid, dtype, warps)
        # Where threads of a warp show each other what they keep, of tiles with so many rows.
        self._pitch = rows + 4
        self._shown = self.take(4 * ROWS * warps * self._pitch)

    @staticmethod
    def _padded(width: int) -> int:
        return -(-width // 4) * 4

    def _line(self, width: int) -> int:
        return self._padded(width) + 4

    def rows_of(self, pointer: Value, start: Value, bound: Value, width: int) -> Rows:
        """They lie in shared memory."""
        count = ROWS * self.warps
        lines = self.take(4 * count * self._line(width))
        self._bring(lines, count, width, pointer, start, bound)
        return Rows(width, lines)

    def tile(self, rows: int, width: int, *, plain: bool, turned: bool) -> Tile:
        """One place serves both."""
        place = self.take(4 * rows * self._line(width))
        return Tile(rows, width, place, place)

    def bring(self, tile: Tile, pointer: Value, start: Value, bound: Value) -> None:
        """Converted to float32."""
        assert tile.plain is not None
        self._bring(tile.plain, tile.rows, tile.width, pointer, start, bound)

    def _bring(
        self, lines: Value, rows: int, width: int, pointer: Value, start: Value, bound: Value
    ) -> None:
        b, count = self.b, self.grid.count
        each = 4 if width % 4 == 0 else 1
        pieces = self._padded(width) // each
        loop = b.begin_loop(self.grid.thread, count(rows * pieces), self.threads)
        line, piece = self.grid.split(loop.counter, pieces)
        own, at = b.add(start, line), b.mul(piece, count(each))
        inside = b.compare("slt", own, bound)
        if self._padded(width) != width:
            inside = b.binary("and", inside, b.compare("slt", at, count(width)))
        index = b.select(inside, b.add(b.mul(own, count(width)), at), count(0))
        bytes_ = 4 if self.stored == "float" else 2
        raw = b.load(self.offset(pointer, index), self.stored, each, bytes_ * each)
        value = scalar_ops.cast(b, raw, self.dtype, "float32")
        value = b.select(inside, value, b.const(0.0, "float", each))
        place = b.add(b.mul(line, count(self._line(width))), at)
        b.store(value, self.offset(lines, place, type_="float"), 4 * each)
        b.end_loop(loop)

    def products(self, rows: Rows, tile: Tile) -> list[Value]:
        """Four steps of the inner axis at a time."""
        b, count = self.b, self.grid.count
        assert rows.lines is not None and tile.plain is not None
        pitch = count(self._line(tile.width))
        zeros = self.zeros(tile.rows)
        loop = b.begin_loop(count(0), count(self._padded(tile.width)), 4, zeros)
        sums = list(loop.values)
        sides = []
        for lines, first, steps in (
            (rows.lines, self.row, [0, 8]),
            (tile.plain, self.column, [8 * (n // 2) + n % 2 for n in range(tile.rows // 4)]),
        ):
            vectors = []
            for step in steps:
                place = b.add(b.mul(b.add(first, count(step)), pitch), loop.counter)
                vector = b.load(self.offset(lines, place, type_="float"), "float", 4, 16)
                vectors.append([b.extract(vector, lane) for lane in range(4)])
            sides.append(vectors)
        for n in range(len(sums)):
            x, y = sides[0][n % OWN // 2], sides[1][2 * (n // OWN) + n % 2]
            for one, other in zip(x, y):
                sums[n] = b.fma(one, other, sums[n])
        return b.end_loop(loop, sums)

    def added(self, sums: list[Value], factors: list[Value], tile: Tile) -> list[Value]:
        """The factors are shown to the warp first."""
        b, count = self.b, self.grid.count
        assert tile.turned is not None
        pitch = count(self._pitch)
        for place, value in enumerate(factors):
            row = b.add(self.row, count(8 * (place % OWN // 2)))
            column = b.add(self.column, count(8 * (place // OWN) + place % 2))
            where = b.add(b.mul(row, pitch), column)
            b.store(value, self.offset(self._shown, where, type_="float"), 4)
        collective(b, "", WARP_BARRIER)
        line = count(self._line(tile.width))
        loop = b.begin_loop(count(0), count(tile.rows), 1, sums)
        x = []
        for down in (0, 8):
            where = b.add(b.mul(b.add(self.row, count(down)), pitch), loop.counter)
            x.append(b.load(self.offset(self._shown, where, type_="float"), "float", 1, 4))
        found = []
        start = b.add(b.mul(loop.counter, line), self.column)
        for piece in range(len(sums) // OWN):
            where = b.add(start, count(COLUMNS * piece))
            pair = b.load(self.offset(tile.turned, where, type_="float"), "float", 2, 8)
            y = [b.extract(pair, lane) for lane in range(2)]
            for place in range(OWN):
                at = piece * OWN + place
                found.append(b.fma(x[place // 2], y[place % 2], loop.values[at]))
        found = b.end_loop(loop, found)
        collective(b, "", WARP_BARRIER)
        return found


class TensorCores(Multiplier):
    """Products by `mma.sync`; rows of a warp, and what threads keep, stay in their registers."""

    # Steps of the inner axis of one instruction.
    step = 16

    def _padded(self, width: int) -> int:
        return -(-width // self.step) * self.step

    def rows_of(self, pointer: Value, start: Value, bound: Value, width: int) -> Rows:
        """Four words for each step: of two rows, each of two pairs of neighbors."""
        b, count = self.b, self.grid.count
        words = []
        for step in range(0, width, self.step):
            found = []
            for half in (0, 8):
                for down in (0, 8):
                    if step + half >= width:
                        found.append(b.const(0, "i32"))
                        continue
                    own = b.add(b.add(start, self.row), count(down))
                    inside = b.compare("slt", own, bound)
                    index = b.add(b.mul(own, count(width)), b.add(self.column, count(step + half)))
                    index = b.select(inside, index, count(0))
                    word = b.load(self.offset(pointer, index), "i32", 1, 4)
                    found.append(b.select(inside, word, b.const(0, "i32")))
            words.append(tuple(found))
        return Rows(width, None, tuple(words))

    def tile(self, rows: int, width: int, *, plain: bool, turned: bool) -> Tile:
        """Lines that begin in different banks."""
        padded = self._padded(width)
        return Tile(
            rows, width,
            self.take(2 * rows * (padded + 8)) if plain else None,
            self.take(2 * padded * (rows + 8)) if turned else None,
        )  # fmt: skip

    def bring(self, tile: Tile, pointer: Value, start: Value, bound: Value) -> None:
        """Pieces of 16 bytes."""
        b, count = self.b, self.grid.count
        padded = self._padded(tile.width)
        pieces = padded // 8
        loop = b.begin_loop(self.grid.thread, count(tile.rows * pieces), self.threads)
        if tile.turned is None:
            line, piece = self.grid.split(loop.counter, pieces)
        else:  # neighbors store neighbors
            piece, line = self.grid.split(loop.counter, tile.rows)
        own, at = b.add(start, line), b.mul(piece, count(8))
        inside = b.compare("slt", own, bound)
        if padded != tile.width:
            inside = b.binary("and", inside, b.compare("slt", at, count(tile.width)))
        index = b.select(inside, b.add(b.mul(own, count(tile.width)), at), count(0))
        words = b.load(self.offset(pointer, index), "i32", 4, 16)
        words = b.select(inside, words, b.const(0, "i32", 4))
        if tile.plain is not None:
            place = b.add(b.mul(line, count(padded + 8)), at)
            b.store(words, self.offset(tile.plain, place), 16)
        if tile.turned is not None:
            for lane in range(8):
                word = b.extract(words, lane // 2)
                if lane % 2:
                    word = b.binary("lshr", word, b.const(16, "i32"))
                row = b.mul(b.add(at, count(lane)), count(tile.rows + 8))
                half = b.convert("trunc", word, "i16")
                b.store(half, self.offset(tile.turned, b.add(row, line)), 2)
        b.end_loop(loop)

    def _pair(self, lines: Value, pitch: int, line: int, step: int) -> list[Value]:
        """A thread's two words of the line of its group, of one step."""
        b, count = self.b, self.grid.count
        start = b.mul(b.add(self.group, count(line)), count(pitch))
        start = b.add(b.add(start, self.column), count(step))
        return [
            b.load(self.offset(lines, b.add(start, count(half))), "i32", 1, 4) for half in (0, 8)
        ]

    def products(self, rows: Rows, tile: Tile) -> list[Value]:
        """All steps of the inner axis, written out."""
        assert tile.plain is not None
        pitch = self._padded(tile.width) + 8
        sums = self.zeros(tile.rows)
        for number, words in enumerate(rows.words):
            for piece in range(tile.rows // COLUMNS):
                own = slice(OWN * piece, OWN * (piece + 1))
                pair = self._pair(tile.plain, pitch, COLUMNS * piece, self.step * number)
                sums[own] = fragment(self.b, KINDS[self.dtype], [*words, *pair], sums[own])
        return sums

    def added(self, sums: list[Value], factors: list[Value], tile: Tile) -> list[Value]:
        """The factors are rounded to the operands' dtype."""
        b = self.b
        assert tile.turned is not None
        sums = list(sums)
        for step in range(0, tile.rows, self.step):
            words = []
            for piece in (step // COLUMNS, step // COLUMNS + 1):
                for down in (0, 2):
                    at = OWN * piece + down
                    words.append(self.packed(factors[at], factors[at + 1]))
            for piece in range(len(sums) // OWN):
                own = slice(OWN * piece, OWN * (piece + 1))
                pair = self._pair(tile.turned, tile.rows + 8, COLUMNS * piece, step)
                sums[own] = fragment(b, KINDS[self.dtype], [*words, *pair], sums[own])
        return sums

    def packed(self, low: Value, high: Value) -> Value:
        """Two numbers of 16 bits in a word."""
        b = self.b
        halves = [
            b.convert("zext", scalar_ops.cast(b, x, "float32", self.dtype), "i32")
            for x in (low, high)
        ]
        return b.binary("or", halves[0], b.binary("shl", halves[1], b.const(16, "i32")))
