"""Copies panels of A and B into the order in which the contraction cores read them.

A panel of B is ``[k][columns]`` with the right edge filled by zeros; a panel of A is
``[k][rows]``.  Where the source runs along k, blocks of lanes x lanes are transposed in
registers; elements are copied, so packing never changes a result.  Level 7.
"""

from __future__ import annotations

from rushlight.codegen.emit import Emitter, Value


def transpose(b: Emitter, rows: list[Value]) -> list[Value]:
    """A square block held as row vectors, transposed by log2(lanes) rounds of interleaving."""
    lanes = len(rows)
    half = lanes // 2
    low = [x for i in range(half) for x in (i, lanes + i)]
    high = [x for i in range(half, lanes) for x in (i, lanes + i)]
    current = rows
    rounds = lanes.bit_length() - 1
    for _ in range(rounds):
        mixed = []
        for i in range(half):
            first, second = current[i], current[i + half]
            mixed.append(b.shuffle(first, second, low))
            mixed.append(b.shuffle(first, second, high))
        current = mixed
    return current


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
        self.size = 4 if type_ == "float" else 8

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
    ) -> None:
        """``width`` lines contiguous along k, ``line`` elements apart, become steps of k.

        Lines beyond the width repeat the last one; the core's mask drops their products.
        """
        b, lanes = self.b, self.lanes
        last = b.sub(width, b.const(1, "i64"))
        lines = []
        for i in range(vectors * lanes):
            index = _minimum(b, b.const(i, "i64"), last)
            lines.append(self._at(source, b.mul(index, line)))
        main = b.binary("and", steps, b.const(-lanes, "i64"))
        full = b.begin_loop(b.const(0, "i64"), main, lanes)
        self._transpose_block(lines, full.counter, None, target, target_step, vectors)
        b.end_loop(full)
        tail = b.begin_loop(main, steps, lanes)
        left = b.sub(steps, tail.counter)
        self._transpose_block(lines, tail.counter, left, target, target_step, vectors)
        b.end_loop(tail)

    def _transpose_block(
        self,
        lines: list[Value],
        at: Value,
        left: Value | None,
        target: Value,
        target_step: Value,
        vectors: int,
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
