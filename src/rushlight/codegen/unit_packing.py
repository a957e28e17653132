"""Packs narrow operands into panels of units (see arithmetic.py): joined or widened on the way.

A panel is ``[units of k][columns]`` or ``[units of k][rows]``.  Steps of k beyond the end of a last
unit are zero in both operands.  Level 7.
"""

from __future__ import annotations

from rushlight.codegen.arithmetic import Arithmetic
from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.codegen.packing import Packer, lane_mask, transpose


class UnitPacker(Packer):
    """Emits packing loops for one of a product's operands, A (0) or B (1)."""

    def __init__(self, b: Emitter, arithmetic: Arithmetic, matrix: int, lanes: int) -> None:
        super().__init__(b, arithmetic.unit, lanes)
        self.arithmetic, self.stored = arithmetic, arithmetic.stored[matrix]
        self.element = arithmetic.type_of(matrix)
        self.element_bytes = bits_of(self.element) // 8
        self.group = arithmetic.group
        self.nothing = None
        if not b.target.masked_memory:
            self.nothing = b.alloca(self.element, 1, self.element_bytes)
            b.store(b.const(0, self.element), self.nothing, self.element_bytes)

    def _element_at(self, pointer: Value, index: Value) -> Value:
        return self.b.pointer_offset(pointer, index, self.element)

    def read(self, pointer: Value, count: int, left: Value | None) -> Value:
        """``count`` elements; with ``left``, zeros from that one on, which is not read."""
        b = self.b
        if left is None:
            return b.load(pointer, self.element, count, self.element_bytes)
        if self.nothing is None:
            mask = lane_mask(b, left, count)
            return b.masked_load(pointer, self.element, mask, self.element_bytes)
        read = Value("zeroinitializer", self.element, count)
        for lane in range(count):
            place = b.const(lane, "i64")
            here = self._element_at(pointer, place)
            here = b.select(b.compare("slt", place, left), here, self.nothing)
            one = b.load(here, self.element, 1, self.element_bytes)
            text = f"insertelement {read.typed}, {one.typed}, i64 {lane}"
            read = b.pure(text, [read, one], self.element, count)
        return read

    def _units(self, steps: Value) -> Value:
        """Units that hold so many steps."""
        b = self.b
        more = b.add(steps, b.const(self.group - 1, "i64"))
        return b.binary("udiv", more, b.const(self.group, "i64"))

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
        """``width`` contiguous elements for each step of k; vectors beyond are zero."""
        b = self.b
        zero = b.const(0, "i64")
        main = b.binary("udiv", steps, b.const(self.group, "i64"))
        columns = b.const(vectors * self.lanes, "i64")
        is_whole = b.compare("sge", width, columns)
        for condition, limit in ((is_whole, None), (b.logic_not(is_whole), width)):
            stop = b.select(condition, main, zero)
            loop = b.begin_loop(zero, stop, 1)
            limits = [limit] * self.group
            self._copy_unit(source, step, loop.counter, limits, (target, target_step), vectors)
            b.end_loop(loop)
        if self.group == 1:
            return
        loop = b.begin_loop(main, self._units(steps), 1)
        limits = []
        for number in range(self.group):
            first = b.mul(loop.counter, b.const(self.group, "i64"))
            exists = b.compare("slt", b.add(first, b.const(number, "i64")), steps)
            limits.append(b.select(exists, width, zero))
        self._copy_unit(source, step, loop.counter, limits, (target, target_step), vectors)
        b.end_loop(loop)

    def _copy_unit(
        self,
        source: Value,
        step: Value,
        unit: Value,
        limits: list,
        to: tuple[Value, Value],
        vectors: int,
    ) -> None:
        """limits: of each step, elements that count; None for all."""
        b = self.b
        target, target_step = to
        out = self._at(target, b.mul(unit, target_step))
        first = b.mul(unit, b.const(self.group, "i64"))
        for v in range(vectors):
            offset = b.const(v * self.lanes, "i64")
            read = []
            for number, limit in enumerate(limits):
                place = b.mul(b.add(first, b.const(number, "i64")), step)
                pointer = self._element_at(self._element_at(source, place), offset)
                left = None if limit is None else b.sub(limit, offset)
                read.append(self.read(pointer, self.lanes, left))
            value = self.arithmetic.unit_of_steps(b, read, self.stored)
            b.store(value, self._at(out, offset), self.size)

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
        """``width`` lines contiguous along k, ``line`` elements apart, become units of k."""
        b, lanes = self.b, self.lanes
        last = b.sub(width, b.const(1, "i64"))
        # A loop over vectors instead of one block after the other: the half of the code.
        across = b.begin_loop(b.const(0, "i64"), b.const(vectors * lanes, "i64"), lanes)
        lines = []
        for i in range(lanes):
            index = b.add(across.counter, b.const(i, "i64"))
            index = b.select(b.compare("slt", index, last), index, last)
            lines.append(self._element_at(source, b.mul(index, line)))
        target = self._at(target, across.counter)
        whole = b.binary("udiv", steps, b.const(self.group, "i64"))
        main = b.binary("and", whole, b.const(-lanes, "i64"))
        full = b.begin_loop(b.const(0, "i64"), main, lanes)
        self._transpose_units(lines, full.counter, (target, target_step))
        b.end_loop(full)
        units = self._units(steps)
        tail = b.begin_loop(main, units, lanes)
        left = b.sub(steps, b.mul(tail.counter, b.const(self.group, "i64")))
        units_left = None if roomy else b.sub(units, tail.counter)
        self._transpose_units(lines, tail.counter, (target, target_step), left, units_left)
        b.end_loop(tail)
        b.end_loop(across)

    def _transpose_units(
        self,
        lines: list[Value],
        at: Value,
        to: tuple[Value, Value],
        left: Value | None = None,
        units_left: Value | None = None,
    ) -> None:
        """``lanes`` units of every line from unit ``at`` on.

        left: elements of a line that count; units_left: units that may be written; None for all.
        """
        b, lanes, group = self.b, self.lanes, self.group
        target, target_step = to
        first = b.mul(at, b.const(group, "i64"))
        block = []
        for line in lines:
            read = self.read(self._element_at(line, first), lanes * group, left)
            block.append(self.arithmetic.unit_of_line(b, read, self.stored))
        pointer = self._at(target, b.mul(at, target_step))
        self._store_steps([transpose(b, block)], pointer, target_step, units_left)
