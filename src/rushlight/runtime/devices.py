"""What a driver of devices offers: memory, copies, code, launches.

Two drivers keep to it: that of CUDA cards (`cuda_driver.py`) and the emulator (`emulator.py`),
which runs the same kernels on the CPU for tests.  Everything above is the same for both.  Level 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sys import is_finalizing
from typing import Any, Protocol

import numpy as np

from rushlight.base.device import device
from rushlight.base.errors import OutOfMemoryError
from rushlight.tape.device_array import DeviceArray


@dataclass(frozen=True)
class Facts:
    """One device: its name and what kernels depend on.

    capability: version of the instruction set; multiprocessors: how many run blocks at once;
    threads: that each of them holds; shared_bytes: memory that the threads of a block share.
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    threads: int
    shared_bytes: int
    total_bytes: int
    clock_khz: int = 0
    warp: int = 32


class OutOfDeviceMemory(Exception):
    """A driver has no memory left; the request alone failed."""


class Driver(Protocol):
    """The devices of one kind, by number.  Work on a device runs in the order of the calls."""

    emulated: bool

    def device_count(self) -> int:
        """How many there are."""

    def facts(self, index: int) -> Facts:
        """What one of them is."""

    def allocate(self, index: int, nbytes: int) -> int:
        """Address of new memory.  Raises: OutOfDeviceMemory."""

    def free(self, index: int, address: int) -> None:
        """Give memory back; what was asked for before still finds it."""

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""

    def trim(self, index: int) -> None:
        """Give unused memory that the process keeps back to the system."""

    def copy_in(self, index: int, address: int, source: np.ndarray) -> None:
        """Copy from the host; the source may change afterwards."""

    def copy_out(self, index: int, target: np.ndarray, address: int) -> None:
        """Copy to the host, after all work on the device."""

    def clear(self, index: int, address: int, nbytes: int) -> None:
        """Set bytes to zero."""

    def load(self, index: int, kernel: Any) -> Any:
        """The function of a kernel (`codegen.grid.GridKernel`), ready to be launched."""

    def launch(
        self, index: int, function: Any, blocks: int, addresses: Sequence[int], words: Sequence[int]
    ) -> None:
        """Run a function.  words: 8 bytes each, the bits of a float64 for floats."""

    def synchronize(self, index: int) -> None:
        """Wait for all work on a device.  Raises: RuntimeError if some of it failed."""

    def mark(self, index: int) -> Any:
        """A mark behind the work asked for so far."""

    def reached(self, mark: Any) -> bool:
        """Whether the work before a mark is done."""

    def wait(self, mark: Any) -> None:
        """Wait for the work before a mark."""

    def milliseconds(self, start: Any, end: Any) -> float:
        """Time between two marks that were reached."""


def _size(nbytes: int) -> str:
    if nbytes >= 1 << 30:
        return f"{nbytes / (1 << 30):.2f} GiB"
    return f"{nbytes / (1 << 20):.2f} MiB"


class DeviceMemory:
    """Bytes of a device; given back when nobody refers to them."""

    __slots__ = ("allocator", "address", "nbytes")

    def __init__(self, allocator: Allocator, address: int, nbytes: int) -> None:
        self.allocator = allocator
        self.address = address
        self.nbytes = nbytes

    @property
    def device(self) -> device:
        """Where they are."""
        return self.allocator.device

    def read(self, address: int, target: np.ndarray) -> None:
        """Copy to the host."""
        self.allocator.driver.copy_out(self.allocator.index, target, address)

    def __del__(self) -> None:
        if is_finalizing():
            return  # the process ends, and its memory with it
        self.allocator.give_back(self.address, self.nbytes)


class Allocator:
    """The memory of one device, with the counts that `torch.cuda.memory_allocated` answers by."""

    # Blocks are rounded up as PyTorch's are.
    GRANULE = 512

    def __init__(self, driver: Driver, index: int, place: device) -> None:
        self.driver = driver
        self.index = index
        self.device = place
        self.allocated = self.peak = self.reserved = self.reserved_peak = 0
        self.count = 0
        self.out_of_memory = 0
        self.limit: int | None = None

    def allocate(self, nbytes: int) -> DeviceMemory:
        """New memory with unspecified content.  Raises: OutOfMemoryError, with the figures."""
        size = max(-(-nbytes // self.GRANULE) * self.GRANULE, self.GRANULE)
        try:
            if self.limit is not None and self.allocated + size > self.limit:
                raise OutOfDeviceMemory
            try:
                address = self.driver.allocate(self.index, size)
            except OutOfDeviceMemory:
                # What waits in the driver's pool may suffice.
                self.driver.synchronize(self.index)
                self.driver.trim(self.index)
                address = self.driver.allocate(self.index, size)
        except OutOfDeviceMemory:
            self.out_of_memory += 1
            raise OutOfMemoryError(self._exhausted(size)) from None
        self.allocated += size
        self.count += 1
        self.peak = max(self.peak, self.allocated)
        self.reserved = max(self.reserved, self.allocated)
        self.reserved_peak = max(self.reserved_peak, self.reserved)
        return DeviceMemory(self, address, size)

    def _exhausted(self, size: int) -> str:
        free, total = self.driver.memory_info(self.index)
        limit = "" if self.limit is None else f"; this process may use {_size(self.limit)}"
        return (
            f"CUDA out of memory. Tried to allocate {_size(size)}. GPU {self.index} has a total "
            f"capacity of {_size(total)} of which {_size(free)} is free{limit}. Tensors hold "
            f"{_size(self.allocated)}, {_size(self.peak)} at most so far. Nothing is lost: use a "
            "smaller batch, or delete tensors and read the value again"
        )

    def give_back(self, address: int, nbytes: int) -> None:
        """The end of some memory."""
        self.allocated -= nbytes
        self.driver.free(self.index, address)

    def empty(self, shape: Sequence[int], dtype: np.dtype) -> DeviceArray:
        """An array with unspecified values."""
        nbytes = int(np.prod(tuple(shape), dtype=np.int64)) * dtype.itemsize
        return DeviceArray(self.allocate(nbytes), shape, dtype)

    def from_host(self, array: np.ndarray) -> DeviceArray:
        """A copy of an array in storage form."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        made = self.empty(array.shape, array.dtype)
        if array.nbytes:
            self.driver.copy_in(self.index, made.address, array)
        return made

    def trim(self) -> None:
        """Give unused memory back to the system."""
        self.driver.trim(self.index)
        self.reserved = self.allocated
