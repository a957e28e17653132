"""The arena: where values live that are needed only while a plan runs.  Level 9.

Offsets come from lifetimes: a value may take the place of one whose last use lies before its first.
The bytes are one block shared by all plans, which run one at a time; it grows and is never handed
out.
"""

from __future__ import annotations

import numpy as np

ALIGNMENT = 64


class ArenaPlanner:
    """First fit over lifetimes, in order of first use."""

    def __init__(self) -> None:
        self.total = 0
        self._placed: list[tuple[int, int, int]] = []  # (offset, end, last use)

    def place(self, size: int, first_use: int, last_use: int) -> int:
        """The offset of a block that lives from `first_use` to `last_use`, both included."""
        size = max(-(-size // ALIGNMENT) * ALIGNMENT, ALIGNMENT)
        self._placed = [p for p in self._placed if p[2] >= first_use]
        self._placed.sort()
        offset = 0
        for start, end, _ in self._placed:
            if start - offset >= size:
                break
            offset = max(offset, end)
        self._placed.append((offset, offset + size, last_use))
        self.total = max(self.total, offset + size)
        return offset


class Arena:
    """The block itself."""

    def __init__(self) -> None:
        self._block = np.empty(0, np.uint8)

    def at_least(self, size: int) -> int:
        """The aligned address of `size` bytes, valid until the next call."""
        if self._block.nbytes < size + ALIGNMENT:
            self._block = np.empty(size + size // 2 + ALIGNMENT, np.uint8)
        address = self._block.ctypes.data
        return address + (-address % ALIGNMENT)

    def view(self, address: int, shape, dtype) -> np.ndarray:
        """The array at an address inside the block."""
        start = address - self._block.ctypes.data
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return self._block[start : start + size].view(dtype).reshape(shape)


ARENA = Arena()
