"""Values in the memory of a device, as nodes keep them where the CPU's keep arrays.

In: an owner of memory, which knows how to read it.  Out: what has a shape, a dtype, an address, and
a copy on the host when somebody reads it.  Level 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from rushlight.base.shapes import numel


class Memory(Protocol):
    """Bytes of one device, given back when nobody refers to them.

    address: of the first one.
    """

    address: int

    @property
    def device(self) -> Any:
        """Where they are."""

    def read(self, address: int, target: np.ndarray) -> None:
        """Copy to the host; waits until what writes there is done."""


class DeviceArray:
    """A row-major array in storage form on a device; nobody else writes to it."""

    __slots__ = ("memory", "address", "shape", "dtype")

    def __init__(
        self, memory: Memory, shape: Sequence[int], dtype: np.dtype, offset: int = 0
    ) -> None:
        """offset: of the first element, in bytes."""
        self.memory = memory
        self.address = memory.address + offset
        self.shape = tuple(shape)
        self.dtype = dtype

    @property
    def device(self) -> Any:
        """Where it lies."""
        return self.memory.device

    @property
    def size(self) -> int:
        """Number of elements."""
        return numel(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    def reshape(self, *shape: Any) -> DeviceArray:
        """The same memory under another shape."""
        sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if -1 in sizes:
            known = -numel(sizes)
            sizes = tuple([self.size // max(known, 1) if n == -1 else n for n in sizes])
        return DeviceArray(self.memory, sizes, self.dtype, self.address - self.memory.address)

    def view(self, dtype: np.dtype) -> DeviceArray:
        """The same bytes as a flat array of another dtype."""
        count = self.nbytes // dtype.itemsize
        return DeviceArray(self.memory, (count,), dtype, self.address - self.memory.address)

    def to_host(self) -> np.ndarray:
        """A copy in the host's memory, which waits for what computes the values."""
        array = np.empty(self.shape, self.dtype)
        if array.nbytes:
            self.memory.read(self.address, array)
        return array
