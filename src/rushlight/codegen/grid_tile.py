"""What products over a grid of threads share: their arguments, and the tile of a block.

A block computes a tile of C: it brings pieces of A and B into shared memory, and each thread keeps
a square of sums.  The order of additions is that of `codegen/microkernel.py`: k in blocks, in each
by fused multiply-add from zero.  What A and B are, a subclass says.  Level 7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rushlight.codegen.emit import Emitter, LoopHandle, Value
from rushlight.codegen.grid import (
    BLOCK_BARRIER,
    PLACE,
    SHARED,
    THREAD,
    VECTOR_TARGET,
    collective,
)
from rushlight.codegen.microkernel import K_BLOCK

# 64 x 64 of C in 4 x 4 for each of 256 threads, or twice as much both ways; 16 steps of k a time.
TILE, STEPS, SQUARE, THREADS = 64, 16, 4, 256
# Threads along an edge of a tile, and neighbors that one of them has there: 16 bytes of float32.
_EDGE, _NEAR = 16, 4
# Rows of shared memory that lie apart fall into different banks.
_APART = 4
TYPES = {"float32": "float", "float64": "double"}


class Grid:
    """An emitter with the arguments of the kernel under their names.  type: of elements."""

    def __init__(self, buffers: Sequence[str], params: Sequence[str], type_: str) -> None:
        self.b = Emitter(VECTOR_TARGET)
        self.type = type_
        self.size = 4 if type_ == "float" else 8
        self.buffers = {name: Value(f"%b{k}", "ptr") for k, name in enumerate(buffers)}
        self.params = {name: Value(f"%p{k}", "i64") for k, name in enumerate(params)}
        self.thread = self.b.convert("zext", Value(THREAD, "i32"), "i64")
        self.place = self.b.convert("zext", Value(PLACE, "i32"), "i64")

    def count(self, number: int) -> Value:
        """A size that is known now."""
        return self.b.const(number, "i64")

    def split(self, x: Value, by: Value | int) -> tuple[Value, Value]:
        """(x // by, x % by) of numbers that are not negative."""
        divisor = self.count(by) if isinstance(by, int) else by
        return self.b.binary("udiv", x, divisor), self.b.binary("urem", x, divisor)

    def at(self, pointer: Value, *offsets: Value) -> Value:
        """The address so many elements further."""
        for offset in offsets:
            pointer = self.b.pointer_offset(pointer, offset, self.type)
        return pointer

    def when(self, condition: Value) -> LoopHandle:
        """Opens a region that runs once or not at all; close it with `end_loop`."""
        zero, one = self.count(0), self.count(1)
        return self.b.begin_loop(zero, self.b.select(condition, one, zero), 1)

    def meet(self) -> None:
        """The threads of a block wait for one another."""
        collective(self.b, "", BLOCK_BARRIER)

    def lines(self) -> str:
        """The text of the kernel's body."""
        return "\n".join(self.b.regions[0].lines)


# An element on its way to shared memory: of A (0) or B (1), its line, its step of k, and its value.
Fetched = tuple[int, Value, Value, Value]


class GridTile(Grid):
    """A tile of C.  row, column: where it begins; rows, columns: how many C has.

    bases: of A, B and C, set by the subclass.  square: edge of what a thread computes.
    """

    bases: list[Value]

    def __init__(
        self, buffers: Sequence[str], params: Sequence[str], type_: str, square: int = SQUARE
    ) -> None:
        super().__init__(buffers, params, type_)
        self.square, self.tile = square, _EDGE * square
        self.pitch = self.tile + _APART
        b, p = self.b, self.params
        tile, column = self.split(self.place, p["tiles_n"])
        self.batch, row = self.split(tile, p["tiles_m"])
        self.row = b.mul(row, self.count(self.tile))
        self.column = b.mul(column, self.count(self.tile))
        self.down, self.across = self.split(self.thread, _EDGE)
        shared = Value(SHARED, "ptr")
        self.shared = (shared, self.at(shared, self.count(STEPS * self.pitch)))

    @property
    def shared_bytes(self) -> int:
        """Shared memory that a block takes."""
        return 2 * STEPS * self.pitch * self.size

    def zeros(self) -> list[Value]:
        """Sums before the first step."""
        return [self.b.const(0.0, self.type)] * (self.square * self.square)

    def sums_over(self, k: Value, fetch: Callable[[Value], list[Fetched]]) -> list[Value]:
        """The sums over all steps of k, block by block.

        fetch: gives the pieces of A and B that begin at a step.
        """
        b = self.b
        blocks = b.begin_loop(self.count(0), k, K_BLOCK, self.zeros())
        left = b.sub(k, blocks.counter)
        full = b.compare("slt", left, self.count(K_BLOCK))
        steps = b.select(full, left, self.count(K_BLOCK))
        sums = self.block_sums(steps, lambda step: fetch(b.add(blocks.counter, step)))
        first = b.compare("eq", blocks.counter, self.count(0))
        return b.end_loop(blocks, self.added(first, blocks.values, sums))

    def block_sums(self, steps: Value, fetch: Callable[[Value], list[Fetched]]) -> list[Value]:
        """The sums of one block of k, from zero.

        fetch: gives the pieces of A and B that begin at a step of the block.  While one is
        multiplied, the next is on its way.
        """
        b, zeros = self.b, self.zeros()
        whole = b.binary("and", steps, self.count(-STEPS))
        fetched = fetch(self.count(0))
        places = [(which, at, k) for which, at, k, _ in fetched]
        pieces = b.begin_loop(
            self.count(0), whole, STEPS, [*zeros, *[value for *_, value in fetched]]
        )
        sums = list(pieces.values[: len(zeros)])
        self._kept(places, pieces.values[len(zeros) :])
        following = fetch(b.add(pieces.counter, self.count(STEPS)))
        for step in range(STEPS):
            sums = self._multiplied(self.count(step), sums)
        ended = b.end_loop(pieces, [*sums, *[value for *_, value in following]])
        # The rest of a block has fewer steps than a piece: they are taken in turn.
        rest = b.begin_loop(whole, steps, STEPS, ended[: len(zeros)])
        self._kept(places, ended[len(zeros) :])
        each = b.begin_loop(self.count(0), b.sub(steps, rest.counter), 1, list(rest.values))
        sums = b.end_loop(each, self._multiplied(each.counter, list(each.values)))
        return b.end_loop(rest, sums)

    def _kept(self, places: list[tuple[int, Value, Value]], values: Sequence[Value]) -> None:
        """Pieces into shared memory, once all threads are done with those before."""
        self.meet()
        for (which, at, k), value in zip(places, values):
            place = self.b.add(self.b.mul(k, self.count(self.pitch)), at)
            self.b.store(value, self.at(self.shared[which], place), self.size)
        self.meet()

    def added(self, is_first: Value, before: list[Value], sums: list[Value]) -> list[Value]:
        """The sums of all blocks so far."""
        b = self.b
        return [b.select(is_first, new, b.add(old, new)) for old, new in zip(before, sums)]

    def lines_of(
        self, which: int, along_k: bool, bounds: tuple[Value, Value, Value],
        strides: tuple[Value, Value], k0: Value, base: Value,
    ) -> list[Fetched]:  # fmt: skip
        """A piece of a matrix, zeros beyond its edges.

        bounds: where the tile begins, where lines end, and k; strides: distances in memory of
        neighbors along the tile, and along k.
        """
        b = self.b
        start, stop, steps = bounds
        found: list[Fetched] = []
        for at, k in self.elements(along_k):
            own, own_k = b.add(start, at), b.add(k0, k)
            inside = b.binary("and", b.compare("slt", own, stop), b.compare("slt", own_k, steps))
            index = b.add(b.mul(own, strides[0]), b.mul(own_k, strides[1]))
            found.append((which, at, k, self.element(base, index, inside)))
        return found

    def elements(self, along_k: bool) -> list[tuple[Value, Value]]:
        """(line, step of k) of the elements that a thread brings; neighbors' are neighbors."""
        found = []
        for turn in range(self.tile * STEPS // THREADS):
            element = self.b.add(self.thread, self.count(turn * THREADS))
            at, k = self.split(element, STEPS if along_k else self.tile)
            found.append((at, k) if along_k else (k, at))
        return found

    def element(self, base: Value, index: Value, inside: Value) -> Value:
        """An element, zero outside; there the first one is read and dropped."""
        b = self.b
        pointer = self.at(base, b.select(inside, index, self.count(0)))
        value = b.load(pointer, self.type, 1, self.size)
        return b.select(inside, value, b.const(0.0, self.type))

    def own(self, first: Value, number: int) -> Value:
        """The place in the tile of a row or column of this thread: a few neighbors, and as many
        again half a tile further, so that threads read shared memory side by side."""
        far, near = divmod(number, _NEAR)
        start = self.b.mul(first, self.count(_NEAR))
        return self.b.add(start, self.count(far * _NEAR * _EDGE + near))

    def _multiplied(self, step: Value, sums: list[Value]) -> list[Value]:
        """One step of k for the thread's square."""
        b = self.b
        row = b.mul(step, self.count(self.pitch))
        sides = []
        for which, first in ((0, self.down), (1, self.across)):
            # The first of neighbors lies at whole 16 bytes, and they are read together.
            sides.append([
                b.load(
                    self.at(self.shared[which], b.add(row, self.own(first, i))),
                    self.type, 1, self.size if i % _NEAR else 16,
                )
                for i in range(self.square)
            ])  # fmt: skip
        return [
            b.fma(x, y, sums[i * self.square + j])
            for i, x in enumerate(sides[0])
            for j, y in enumerate(sides[1])
        ]

    def store(self, totals: list[Value], rows: Value, columns: Value, line: Value) -> None:
        """The sums into C, whose rows are `line` elements apart."""
        b = self.b
        for i in range(self.square):
            row = b.add(self.row, self.own(self.down, i))
            for j in range(self.square):
                column = b.add(self.column, self.own(self.across, j))
                inside = b.binary(
                    "and", b.compare("slt", row, rows), b.compare("slt", column, columns)
                )
                region = self.when(inside)
                pointer = self.at(self.bases[2], b.add(b.mul(row, line), column))
                b.store(totals[i * self.square + j], pointer, self.size)
                b.end_loop(region)
