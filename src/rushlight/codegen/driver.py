"""What the drivers of register-tiled cores share: their arguments, and sizes and addresses.

A driver is a kernel around a core: it reads its words, walks blocks and panels, and calls the core.
Level 7.
"""

from __future__ import annotations

from rushlight.base.target import Target
from rushlight.codegen.emit import Emitter, Value


class Driver:
    """The text of one driver.  type: LLVM's name of its elements."""

    def __init__(self, target: Target, element: str) -> None:
        self.b = Emitter(target)
        self.type = element

    def word(self, array: str, position: int, type_: str) -> Value:
        """A word of a kernel's argument arrays, `buffers` or `params`."""
        b = self.b
        slot = b.pointer_offset(Value("%" + array, "ptr"), b.const(position, "i64"), "i64")
        return b.load(slot, type_, 1, 8)

    def count(self, number: int) -> Value:
        """A size that is known now."""
        return self.b.const(number, "i64")

    def minimum(self, x: Value, y: Value) -> Value:
        """The smaller of two sizes."""
        return self.b.select(self.b.compare("slt", x, y), x, y)

    def at(self, pointer: Value, *offsets: Value) -> Value:
        """The address so many elements further."""
        for offset in offsets:
            pointer = self.b.pointer_offset(pointer, offset, self.type)
        return pointer

    def batch_offset(self, offsets: Value, batch: Value, matrix: int) -> Value:
        """Where A (0), B (1) or C (2) of one product of a batch begins, in elements."""
        b = self.b
        index = b.add(b.mul(batch, self.count(3)), self.count(matrix))
        return b.load(b.pointer_offset(offsets, index, "i64"), "i64", 1, 8)

    def column_tile(self, number: Value, p: dict[str, Value]) -> tuple[Value, Value, Value]:
        """Of the tile of this number among those of all batches: the batch, and C's columns from
        the first to before the last.  p: `tiles`, `tile` and `n`."""
        b = self.b
        batch = b.binary("udiv", number, p["tiles"])
        start = b.mul(b.binary("urem", number, p["tiles"]), p["tile"])
        return batch, start, self.minimum(b.add(start, p["tile"]), p["n"])


class Rows:
    """Rows of a matrix: where one begins."""

    def __init__(self, driver: Driver, base: Value, stride: Value, first: Value) -> None:
        self.driver, self.base, self.stride, self.first = driver, base, stride, first

    def __call__(self, row: Value, *columns: Value) -> Value:
        b = self.driver.b
        start = b.mul(b.add(self.first, row), self.stride)
        return self.driver.at(self.base, start, *columns)
