"""Sorting rows over a grid of threads: positions in ascending or descending order, stable.

A key and its position make a word (two words for keys of 64 bits), so no two are equal and any
network sorts them stably.  It is the bitonic one whose comparators all put the smaller word first:
each merge begins with mirrored partners, so what lies beyond the end of a row counts as larger than
everything and is left alone.  Pieces that fit are merged in shared memory, wider steps each by a
launch of their own.  Keys are those of `codegen/sorting.py`.  Level 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.codegen.emit import Value, bits_of
from rushlight.codegen.grid import SHARED, GridKernel
from rushlight.codegen.grid_tile import Grid
from rushlight.codegen.sorting import HALF_BITS, SortSpec, sort_key
from rushlight.loopnest.ir import itemsize

# Words of a piece, sorted by the threads of one block, each of which compares two pairs.
PIECE_BITS = 10
PIECE, THREADS = 1 << PIECE_BITS, 256
KEYS, PIECES, STEP, MERGE, ORDER = "keys", "pieces", "step", "merge", "order"
# groups: pieces, or groups of pairs, of each row.  step: log2 of the distance of partners;
# mirrored: 1 where a merge begins.
PARAMS = ("size", "inner", "groups", "step", "mirrored")


@dataclass(frozen=True)
class GridSort:
    """One act of a sort."""

    act: str
    dtype: str
    descending: bool

    @property
    def name(self) -> str:
        """The kernel's name: most acts depend on the number of words alone."""
        if self.act == KEYS:
            return f"sort_keys_{self.dtype}_{'descending' if self.descending else 'ascending'}"
        return f"sort_{self.act}_{self.words}"

    @property
    def words(self) -> int:
        """Words of an element: 1, or 2 for keys of 64 bits."""
        return 2 if 8 * itemsize(self.dtype) > HALF_BITS else 1

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of the pointers."""
        words = ("words", "positions")[: self.words]
        return {KEYS: ("x", *words), ORDER: ("order", *words)}.get(self.act, words)


class _Sort(Grid):
    def __init__(self, spec: GridSort) -> None:
        super().__init__(spec.buffers, PARAMS, "i64")
        self.size, self.spec = 8, spec
        self.row, self.group = self.split(self.place, self.params["groups"])
        start = self.b.mul(self.row, self.params["size"])
        self.words = [self.at(self.buffers[n], start) for n in ("words", "positions")[: spec.words]]

    def text(self) -> str:
        getattr(self, self.spec.act)()
        return self.lines()

    # ---- the acts --------------------------------------------------------------------------------

    def keys(self) -> None:
        """Words of elements."""
        b, (index, element, region) = self.b, self.flat()
        memory = f"i{8 * itemsize(self.spec.dtype)}"
        place = b.pointer_offset(self.buffers["x"], element, memory)
        spec = SortSpec("", self.spec.dtype, self.spec.descending, False)
        key = sort_key(b, spec, b.load(place, memory, 1, bits_of(memory) // 8))
        if self.spec.words == 2:
            self.write([key, index], index, self.words)
        else:
            high = b.binary("shl", b.convert("zext", key, "i64"), self.count(HALF_BITS))
            self.write([b.binary("or", high, index)], index, self.words)
        b.end_loop(region)

    def order(self) -> None:
        """Positions of sorted words."""
        b, (index, element, region) = self.b, self.flat()
        last = self.read(index, self.words)[-1]
        position = b.binary("and", last, self.count((1 << HALF_BITS) - 1))
        b.store(position, self.at(self.buffers["order"], element), 8)
        b.end_loop(region)

    def step(self) -> None:
        """One comparison of each pair of a row."""
        pair = self.b.add(self.b.mul(self.group, self.count(THREADS)), self.thread)
        mirrored = self.b.compare("ne", self.params["mirrored"], self.count(0))
        low, high = self.partners(pair, self.params["step"], mirrored)
        inside = self.b.compare("slt", high, self.params["size"])
        region = self.when(inside)
        self.compared(low, high, self.words)
        self.b.end_loop(region)

    def pieces(self) -> None:
        """Sorts each piece."""
        b, held = self.b, self.brought()
        merges = b.begin_loop(self.count(0), self.count(PIECE_BITS), 1)
        self.shared_step(merges.counter, b.const(True, "i1"), held)
        steps = b.begin_loop(self.count(0), merges.counter, 1)
        distance = b.sub(b.sub(merges.counter, self.count(1)), steps.counter)
        self.shared_step(distance, b.const(False, "i1"), held)
        b.end_loop(steps)
        b.end_loop(merges)
        self.left(held)

    def merge(self) -> None:
        """The steps of a merge that stay within pieces."""
        b, held = self.b, self.brought()
        steps = b.begin_loop(self.count(0), self.count(PIECE_BITS), 1)
        distance = b.sub(self.count(PIECE_BITS - 1), steps.counter)
        self.shared_step(distance, b.const(False, "i1"), held)
        b.end_loop(steps)
        self.left(held)

    # ---- parts -----------------------------------------------------------------------------------

    def flat(self):
        """(position in the row, place of the element, open region for those inside)."""
        b, p = self.b, self.params
        index = b.add(b.mul(self.group, self.count(THREADS)), self.thread)
        # Rows may lie beside each other: element i is `inner` away from element i - 1.
        outer, across = self.split(self.row, p["inner"])
        element = b.add(b.mul(b.mul(outer, p["inner"]), p["size"]), across)
        element = b.add(element, b.mul(index, p["inner"]))
        return index, element, self.when(b.compare("slt", index, p["size"]))

    def partners(self, pair: Value, step: Value, mirrored: Value) -> tuple[Value, Value]:
        """The two places that a pair compares."""
        b, one = self.b, self.count(1)
        distance = b.binary("shl", one, step)
        below = b.sub(distance, one)
        upper = b.binary("shl", b.binary("lshr", pair, step), b.add(step, one))
        low = b.binary("or", upper, b.binary("and", pair, below))
        mask = b.select(mirrored, b.binary("or", distance, below), distance)
        return low, b.binary("xor", low, mask)

    def read(self, index: Value, arrays: list[Value]) -> list[Value]:
        return [self.b.load(self.at(array, index), "i64", 1, 8) for array in arrays]

    def write(self, words: list[Value], index: Value, arrays: list[Value]) -> None:
        for word, array in zip(words, arrays):
            self.b.store(word, self.at(array, index), 8)

    def compared(self, low: Value, high: Value, arrays: list[Value]) -> None:
        """Exchanges two words that stand in the wrong order."""
        b = self.b
        first, second = self.read(low, arrays), self.read(high, arrays)
        wrong = b.compare("ugt", first[-1], second[-1])
        if self.spec.words == 2:
            equal = b.compare("eq", first[0], second[0])
            wrong = b.select(equal, wrong, b.compare("ugt", first[0], second[0]))
        self.write([b.select(wrong, y, x) for x, y in zip(first, second)], low, arrays)
        self.write([b.select(wrong, x, y) for x, y in zip(first, second)], high, arrays)

    def shared_step(self, step: Value, mirrored: Value, held: list[Value]) -> None:
        for turn in range(PIECE // 2 // THREADS):
            pair = self.b.add(self.thread, self.count(turn * THREADS))
            self.compared(*self.partners(pair, step, mirrored), held)
        self.meet()

    def brought(self) -> list[Value]:
        """The block's piece in shared memory; beyond the row's end stands what is largest."""
        b = self.b
        shared = Value(SHARED, "ptr")
        held = [self.at(shared, self.count(PIECE * word)) for word in range(self.spec.words)]
        for place, index in self.own():
            inside = b.compare("slt", index, self.params["size"])
            found = self.read(b.select(inside, index, self.count(0)), self.words)
            self.write([b.select(inside, w, self.count(-1)) for w in found], place, held)
        self.meet()
        return held

    def left(self, held: list[Value]) -> None:
        """The piece back into memory."""
        for place, index in self.own():
            region = self.when(self.b.compare("slt", index, self.params["size"]))
            self.write(self.read(place, held), index, self.words)
            self.b.end_loop(region)

    def own(self) -> list[tuple[Value, Value]]:
        """(place in the piece, place in the row) of what a thread brings."""
        start = self.b.mul(self.group, self.count(PIECE))
        places = [
            self.b.add(self.thread, self.count(turn * THREADS)) for turn in range(PIECE // THREADS)
        ]
        return [(place, self.b.add(start, place)) for place in places]


def sort_kernel(spec: GridSort) -> GridKernel:
    """The kernel of one act, over (row, group)."""
    sort = _Sort(spec)
    body = sort.text()
    within = spec.act in (PIECES, MERGE)
    return GridKernel(
        spec.name, len(spec.buffers), 0, (False,) * len(PARAMS), THREADS, 1, body,
        tuple(sorted(sort.b.declarations)), within, 8 * PIECE * spec.words * within, False,
    )  # fmt: skip
