"""Memory of plans: the arena for values of one run, and a pool for values that are kept.  Level 9.

Offsets come from lifetimes: a value may take the place of one whose last use lies before its first.
The bytes are one block shared by all plans, which run one at a time; it grows and is never handed
out.  Large kept values come from a pool, since the system takes back and clears large blocks at
each release (measured: 36 against 3 ms for a step that keeps 16 MB).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from heapq import heappop, heappush
from typing import Any

import numpy as np

from rushlight.base.errors import InternalError
from rushlight.base.forks import lock_known_to_forks
from rushlight.base.hot import hot
from rushlight.base.references import owners
from rushlight.base.shapes import numel

ALIGNMENT = 64


class ArenaPlanner:
    """First fit over lifetimes, in order of first use.

    The gaps are kept rather than the values between them: a loop's unrolled turns keep thousands of
    values for its backward, in very few gaps.
    """

    def __init__(self) -> None:
        self.total = 0
        # Gaps between the values that live, from the lowest; none touches another, the last is
        # all that lies above the highest value.
        self._starts: list[int] = [0]
        self._ends: list[float] = [math.inf]
        # Values that live: offset -> (end, last use), and what ends next.  A value that was taken
        # over is in the queue with the last use of what it was, too, which then is passed by.
        self._living: dict[int, tuple[int, int]] = {}
        self._ending: list[tuple[int, int]] = []  # heap of (last use, offset)

    def place(self, size: int, first_use: int, last_use: int) -> int:
        """The offset of a block that lives from `first_use` to `last_use`, both included."""
        size = max(-(-size // ALIGNMENT) * ALIGNMENT, ALIGNMENT)
        self._free_before(first_use)
        gap = 0
        while self._ends[gap] - self._starts[gap] < size:
            gap += 1
        offset = self._starts[gap]
        end = offset + size
        if end == self._ends[gap]:
            del self._starts[gap], self._ends[gap]
        else:
            self._starts[gap] = end
        self._living[offset] = (end, last_use)
        heappush(self._ending, (last_use, offset))
        self.total = max(self.total, end)
        return offset

    def take_over(self, offset: int, time: int, last_use: int) -> int:
        """The same for a value that is written over the one at `offset`, which ends at `time`."""
        end, last = self._living.get(offset, (0, None))
        if last != time:
            raise InternalError(f"no value that lies at {offset} of the arena ends at step {time}")
        self._living[offset] = (end, last_use)
        heappush(self._ending, (last_use, offset))
        return offset

    def _free_before(self, time: int) -> None:
        """Make gaps of the values whose last use lies before a time."""
        while self._ending and self._ending[0][0] < time:
            last, offset = heappop(self._ending)
            end, last_use = self._living.get(offset, (0, None))
            if last_use == last:
                del self._living[offset]
                self._add_gap(offset, end)

    def _add_gap(self, start: int, end: int) -> None:
        starts, ends = self._starts, self._ends
        # There is a gap above every value: the last one.
        above = bisect_left(starts, end)
        if above and ends[above - 1] == start:
            if starts[above] == end:
                ends[above - 1] = ends[above]
                del starts[above], ends[above]
            else:
                ends[above - 1] = end
        elif starts[above] == end:
            starts[above] = start
        else:
            starts.insert(above, start)
            ends.insert(above, end)


class Arena:
    """The block itself."""

    def __init__(self) -> None:
        # The block, its bytes and its aligned address: together, since an interrupt may come
        # between two assignments.
        self._held = (np.empty(0, np.uint8), 0, 0)

    @property
    def capacity(self) -> int:
        """Bytes of the block."""
        return self._held[1]

    @hot
    def at_least(self, size: int) -> int:
        """The aligned address of `size` bytes, valid until the next call."""
        _, held, address = self._held
        if held < size + ALIGNMENT:
            block = np.empty(size + ALIGNMENT, np.uint8)
            address = block.ctypes.data
            address += -address % ALIGNMENT
            self._held = (block, block.nbytes, address)
        return address

    def view(self, address: int, shape, dtype) -> np.ndarray:
        """The array at an address inside the block."""
        block = self._held[0]
        start = address - block.ctypes.data
        size = numel(shape) * dtype.itemsize
        return block[start : start + size].view(dtype).reshape(shape)


class BufferPool:
    """Blocks for large arrays; a block is free once no array shows it.

    Reference counts say so: the arrays are views, and each holds its block.
    """

    # Below this the allocator keeps freed memory itself.
    SMALLEST = 1 << 18
    # Free blocks of one size that are kept for later.
    MOST_FREE = 2
    # Sizes are rounded up so far, that programs whose sizes vary find blocks too.
    STEPS_OF_DOUBLING = 8
    # Blocks of a size that was not asked for among so many are given back.
    LONGEST_UNUSED = 1 << 11

    def __init__(self) -> None:
        self._blocks: dict[int, list[np.ndarray]] = {}
        self._asked: dict[int, int] = {}
        self._count = 0
        self._lock = lock_known_to_forks("memory")

    def array(self, shape, dtype) -> np.ndarray:
        """An array with unspecified values."""
        size = numel(shape) * dtype.itemsize
        if size < self.SMALLEST:
            return np.empty(shape, dtype)
        with self._lock:
            return self._take(size)[:size].view(dtype).reshape(shape)

    def _take(self, size: int) -> np.ndarray:
        step = (1 << (size - 1).bit_length()) // (2 * self.STEPS_OF_DOUBLING)
        size = -(-size // step) * step
        self._count += 1
        self._asked[size] = self._count
        if self._count % self.LONGEST_UNUSED == 0:
            for other, asked in list(self._asked.items()):
                if self._count - asked > self.LONGEST_UNUSED:
                    self._give_back(other)
        blocks = self._blocks.setdefault(size, [])
        free = [place for place, count in enumerate(owners(blocks)) if count == 0]
        for surplus in reversed(free[self.MOST_FREE :]):
            del blocks[surplus]
        if free:
            return blocks[free[0]]
        block = np.empty(size, np.uint8)
        blocks.append(block)
        return block

    def are_alone(self, values: list[Any]) -> list[bool]:
        """Which values are arrays whose memory only one owner besides the list shows."""
        counts = owners(values)
        blocks = [value.base if isinstance(value, np.ndarray) else None for value in values]
        # An array is one owner of its block.
        blocks_counts = owners(blocks)
        alone = []
        for value, count, block, block_count in zip(values, counts, blocks, blocks_counts):
            if not isinstance(value, np.ndarray) or count > 1 or not value.flags.writeable:
                alone.append(False)
            elif block is None:
                alone.append(value.flags.owndata)
            else:
                alone.append(block_count <= 2 and self._is_own(block))
        return alone

    def _is_own(self, block: Any) -> bool:
        with self._lock:
            known = self._blocks.get(getattr(block, "nbytes", -1), [])
            return any(block is one for one in known)

    def trim(self) -> None:
        """Give every free block back to the system."""
        with self._lock:
            for size in list(self._blocks):
                self._give_back(size)

    def _give_back(self, size: int) -> None:
        blocks = self._blocks.get(size, [])
        busy = [block for block, count in zip(blocks, owners(blocks)) if count > 0]
        if busy:
            self._blocks[size] = busy
        else:
            self._blocks.pop(size, None)
            self._asked.pop(size, None)


ARENA = Arena()
POOL = BufferPool()
