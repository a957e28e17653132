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
