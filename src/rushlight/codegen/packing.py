"""Copies panels of A and B into the order in which the contraction cores read them.

A panel of B is ``[k][columns]`` with the right edge filled by zeros; a panel of A is
``[k][rows]``.  Where the source runs along k, blocks of lanes x lanes are transposed in
registers; elements are copied, so packing never changes a result.  Level 7.
"""

from __future__ import annotations

from rushlight.codegen.emit import Emitter, Value, bits_of

# Steps of k ahead of what is copied that are asked for: each lies in another page, and processors
# foresee no reads across pages.  Without, products of weight gradients took a twentieth to a third
# longer on a busy Zen 3; of 2 to 24 steps none was the best every time.
_STEPS_AHEAD = 16
_SEGMENT_BYTES = 16  # x86 shuffles are cheap inside 128-bit segments and between whole ones


def transpose(b: Emitter, rows: list[Value]) -> list[Value]:
    """A square block held as row vectors: unpacks inside 128-bit segments, then whole segments.

    Each shuffle is one three-operand instruction without an index register, where plain rounds of
    interleaving become permutes that need one and overwrite an operand.
    """
    lanes = len(rows)
    if lanes == 1:
        return rows
    width = min(_SEGMENT_BYTES * 8 // bits_of(rows[0].type), lanes)
    current = list(rows)
    distance = 1
    while distance < width:
        for i in range(lanes):
            if i & distance == 0:
                pair = current[i], current[i + distance]
                current[i] = b.shuffle(*pair, _unpacked(lanes, width, distance, 0))
                current[i + distance] = b.shuffle(*pair, _unpacked(lanes, width, distance, 1))
        distance *= 2
    # Row i now holds, in segment s, one column of rows i - i % width to i - i % width + width - 1.
    order = [_reversed_bits(c, width) for c in range(width)]
    result: list[Value] = [rows[0]] * lanes
    for c in range(width):
        column = [current[base + order[c]] for base in range(0, lanes, width)]
        for segment, value in enumerate(_transpose_segments(b, column, width)):
            result[segment * width + c] = value
    return result


def _unpacked(lanes: int, width: int, distance: int, upper: int) -> list[int]:
    """Lanes of an unpack with units of ``distance`` elements inside segments of ``width``."""
    picked = []
    for segment in range(0, lanes, width):
        start = segment + upper * width // 2
        for unit in range(0, width // 2, distance):
            for source in (0, lanes):
                picked += [source + start + unit + x for x in range(distance)]
    return picked


def _reversed_bits(number: int, width: int) -> int:
    bits = width.bit_length() - 1
    return int(format(number, f"0{bits}b")[::-1], 2) if bits else 0


def _transpose_segments(b: Emitter, vectors: list[Value], width: int) -> list[Value]:
    """Segment s of every vector, gathered into the s-th result."""
    if len(vectors) == 1:
        return vectors
    lanes = vectors[0].width
    halves = []
    for parity in (0, 1):
        # The segments of one parity, of both vectors of a pair.
        starts = range(parity * width, 2 * lanes, 2 * width)
        picked = [start + x for start in starts for x in range(width)]
        pairs = zip(vectors[::2], vectors[1::2])
        chosen = [b.shuffle(first, second, picked) for first, second in pairs]
        halves.append(_transpose_segments(b, chosen, width))
    return [halves[s % 2][s // 2] for s in range(len(vectors))]


# Bytes that memory is asked for at once.
_LINE = 64


def lane_mask(b: Emitter, count: Value, lanes: int) -> Value:
    """The first ``count`` lanes; count may be negative or larger than lanes."""
    zero, bound = b.const(0, "i64"), b.const(lanes, "i64")
    count = b.select(b.compare("slt", count, bound), count, bound)
    count = b.select(b.compare("slt", count, zero), zero, count)
    narrow = b.convert("trunc", count, "i32")
    return b.compare("slt", b.vector_constant(range(lanes), "i32"), b.splat(narrow, lanes))


def _minimum(b: Emitter, x: Value, y: Value) -> Value:
    return b.select(b.compare("slt", x, y), x, y)


class Packer:
    """Emits packing loops for one element type and vector length."""

    def __init__(self, b: Emitter, type_: str, lanes: int) -> None:
        self.b, self.type, self.lanes = b, type_, lanes
        self.size = bits_of(type_) // 8

    def _at(self, pointer: Value, index: Value) -> Value:
        return self.b.pointer_offset(pointer, index, self.type)

    def copy_panel(
        self,
        source: Value,
        step: Value,
        width: Value,
        steps: Value,
        target: Value,
        target_step: Value,
        vectors: int,
    ) -> None:
        """``width`` contiguous elements for each step of k; vectors beyond are zero.

        Whole vectors are written: what they overwrite beyond target_step is written again by the
        next step, and the buffer ends with room for one vector more.
        """
        b = self.b
        loop = b.begin_loop(b.const(0, "i64"), steps, 1)
        row = self._at(source, b.mul(loop.counter, step))
        out = self._at(target, b.mul(loop.counter, target_step))
        for v in range(vectors):
            offset = b.const(v * self.lanes, "i64")
            mask = lane_mask(b, b.sub(width, offset), self.lanes)
            value = b.masked_load(self._at(row, offset), self.type, mask, self.size)
            b.store(value, self._at(out, offset), self.size)
        # What lies behind is the next panel's: processors foresee no reads across pages.
        wide = vectors * self.lanes * self.size
        for byte in (*range(wide, 2 * wide, _LINE), 2 * wide - 1):
            b.prefetch(b.pointer_offset(row, b.const(byte, "i64"), "i8"), soon=False)
        b.end_loop(loop)

    def copy_slivers(
        self,
        source: Value,
        step: Value,
        slivers: Value,
        steps: Value,
        target: Value,
        length: Value,
        rows: int,
    ) -> None:
        """Slivers of ``rows`` elements that lie side by side, for each step of k.

        Slivers are ``length`` elements apart, and end with room for a vector.
        """
        b, lanes = self.b, self.lanes
        masks = [
            lane_mask(b, b.const(rows - first, "i64"), lanes) for first in range(0, rows, lanes)
        ]
        loop = b.begin_loop(b.const(0, "i64"), steps, 1)
        row = self._at(source, b.mul(loop.counter, step))
        out = self._at(target, b.mul(loop.counter, b.const(rows, "i64")))
        ahead = b.mul(step, b.const(_STEPS_AHEAD, "i64"))
        inner = b.begin_loop(b.const(0, "i64"), slivers, 1, [row, out])
        row, out = inner.values
        b.prefetch(self._at(row, ahead), soon=False)
        for v, mask in enumerate(masks):
            offset = b.const(v * lanes, "i64")
            value = b.masked_load(self._at(row, offset), self.type, mask, self.size)
            b.store(value, self._at(out, offset), self.size)
        b.end_loop(inner, [self._at(row, b.const(rows, "i64")), self._at(out, length)])
        b.end_loop(loop)

    def transpose_panel(
        self,
        source: Value,
        line: Value,
        width: Value,
        steps: Value,
        target: Value,
        target_step: Value,
        vectors: int,
        padded: bool = False,
        roomy: bool = False,
    ) -> None:
        """``width`` lines contiguous along k, ``line`` elements apart, become steps of k.

        Lines beyond the width repeat the last one; the core's mask drops their products.
        ``padded``: source and target may be read and written up to a multiple of the lanes.
        ``roomy``: the target may, which saves a branch for each step of the last ones.
        """
        b, lanes = self.b, self.lanes
        lines = self._lines(source, line, width, vectors * lanes)
        if padded:
            steps = b.add(steps, b.const(lanes - 1, "i64"))
        main = b.binary("and", steps, b.const(-lanes, "i64"))
        full = b.begin_loop(b.const(0, "i64"), main, lanes)
        self._transpose_block(lines, full.counter, None, target, target_step, vectors)
        b.end_loop(full)
        if padded:
            return
        tail = b.begin_loop(main, steps, lanes)
        left = b.sub(steps, tail.counter)
        self._transpose_block(lines, tail.counter, left, target, target_step, vectors, roomy)
        b.end_loop(tail)

    def _lines(self, source: Value, line: Value, width: Value, count: int) -> list[Value]:
        """Where so many lines begin; beyond the width the last one repeats."""
        b = self.b
        last = b.sub(width, b.const(1, "i64"))
        indices = [_minimum(b, b.const(i, "i64"), last) for i in range(count)]
        return [self._at(source, b.mul(index, line)) for index in indices]

    def transpose_lines(
        self, source: Value, line: Value, width: Value, steps: Value, target: Value, step: Value
    ) -> None:
        """At most as many lines as a vector has lanes, as `transpose_panel` into roomy memory: all
        steps are loaded as the last ones are, which is a fourth of the code.
        """
        b, lanes = self.b, self.lanes
        lines = self._lines(source, line, width, lanes)
        loop = b.begin_loop(b.const(0, "i64"), steps, lanes)
        left = b.sub(steps, loop.counter)
        self._transpose_block(lines, loop.counter, left, target, step, 1, roomy=True)
        b.end_loop(loop)

    def _transpose_block(
        self,
        lines: list[Value],
        at: Value,
        left: Value | None,
        target: Value,
        target_step: Value,
        vectors: int,
        roomy: bool = False,
    ) -> None:
        b, lanes = self.b, self.lanes
        columns: list[list[Value]] = []
        for v in range(vectors):
            block = []
            for line in lines[v * lanes : (v + 1) * lanes]:
                pointer = self._at(line, at)
                if left is None:
                    block.append(b.load(pointer, self.type, lanes, self.size))
                else:
                    mask = lane_mask(b, left, lanes)
                    block.append(b.masked_load(pointer, self.type, mask, self.size))
            columns.append(transpose(b, block))
        pointer = self._at(target, b.mul(at, target_step))
        self._store_steps(columns, pointer, target_step, None if roomy else left)

    def _store_steps(
        self, columns: list[list[Value]], pointer: Value, target_step: Value, left: Value | None
    ) -> None:
        """A transposed block, step by step; with ``left``, only so many steps."""
        b, lanes = self.b, self.lanes
        if left is None:
            for step in range(lanes):
                self._store_step([column[step] for column in columns], pointer)
                pointer = self._at(pointer, target_step)
            return
        # Each step of the tail stands in a loop that runs once or not at all.
        zero, one = b.const(0, "i64"), b.const(1, "i64")
        for step in range(lanes):
            exists = b.compare("slt", b.const(step, "i64"), left)
            branch = b.begin_loop(zero, b.select(exists, one, zero), 1)
            self._store_step([column[step] for column in columns], pointer)
            b.end_loop(branch)
            pointer = self._at(pointer, target_step)

    def _store_step(self, values: list[Value], pointer: Value) -> None:
        for v, value in enumerate(values):
            offset = self.b.const(v * self.lanes, "i64")
            self.b.store(value, self._at(pointer, offset), self.size)
