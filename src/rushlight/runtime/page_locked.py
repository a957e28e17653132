"""Memory of the host that a device reads by itself: page-locked, kept when it is free.

In: a driver, which allocates it slowly.  Out: arrays, and the answer whether an array lies in such
memory: copies of it to a device run while the program goes on.  Level 8.
"""

from __future__ import annotations

import bisect
from sys import is_finalizing
from typing import Any

import numpy as np

# Sizes are powers of two from here on, so that the next batch finds the last one's memory.
_SMALLEST = 1 << 9


class _Block:
    """Some of that memory; it goes back to the pool with its last array."""

    def __init__(self, pool: HostPool, address: int, nbytes: int) -> None:
        self.pool = pool
        self.address = address
        self.nbytes = nbytes
        self.__array_interface__ = {
            "shape": (nbytes,), "typestr": "|u1", "data": (address, False), "version": 3,
        }  # fmt: skip

    def __del__(self) -> None:
        if not is_finalizing():
            self.pool.give_back(self.address, self.nbytes)


class OrdinaryHostMemory:
    """For drivers that lock no pages: the host's part of theirs, as arrays of ordinary memory."""

    def __init__(self) -> None:
        self._host: dict[int, np.ndarray] = {}

    def host_allocate(self, nbytes: int) -> int:
        """Address of such memory."""
        block = np.empty(nbytes, np.uint8)
        self._host[block.ctypes.data] = block
        return block.ctypes.data

    def host_free(self, address: int) -> None:
        """The end of such memory."""
        del self._host[address]


class HostPool:
    """The page-locked memory of one driver.

    allocated, reserved: bytes that arrays hold, and those that are kept for them.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.allocated = self.reserved = self.peak = 0
        self._free: dict[int, list[int]] = {}
        self._sizes: dict[int, int] = {}
        self._starts: list[int] = []

    def like(self, array: np.ndarray) -> np.ndarray:
        """A row-major copy of an array in page-locked memory.

        Raises: MemoryError if the driver has none left.
        """
        size = max(_SMALLEST, 1 << max(array.nbytes - 1, 0).bit_length())
        kept = self._free.get(size)
        address = kept.pop() if kept else self._more(size)
        self.allocated += size
        self.peak = max(self.peak, self.allocated)
        block = np.asarray(_Block(self, address, size))
        made = block[: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(made, array)
        return made

    def _more(self, size: int) -> int:
        address = self.driver.host_allocate(size)
        if not address:
            raise MemoryError(f"pin_memory: the driver has no {size} bytes of page-locked memory")
        self.reserved += size
        self._sizes[address] = size
        bisect.insort(self._starts, address)
        return address

    def give_back(self, address: int, nbytes: int) -> None:
        """The end of an array's use of some memory."""
        self.allocated -= nbytes
        self._free.setdefault(nbytes, []).append(address)

    def holds(self, array: np.ndarray) -> bool:
        """Whether an array lies in this memory."""
        if not self._starts:
            return False
        address = array.ctypes.data
        place = bisect.bisect_right(self._starts, address) - 1
        start = self._starts[place]
        return place >= 0 and address + array.nbytes <= start + self._sizes[start]

    def trim(self) -> None:
        """Give what no array uses back to the system."""
        for size, addresses in self._free.items():
            for address in addresses:
                self.driver.host_free(address)
                self._starts.remove(address)
                del self._sizes[address]
                self.reserved -= size
        self._free.clear()
