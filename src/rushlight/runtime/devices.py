"""What a driver of devices offers: memory, copies, code, launches.

Several drivers keep to it: that of CUDA cards (`cuda_driver.py`), of OpenCL and Metal, and the
emulator (`emulator.py`), which runs the same kernels on the CPU for tests.  Everything above is the
same for all.  Level 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from sys import is_finalizing
from typing import Any, Protocol

import numpy as np

from rushlight.base.device import device
from rushlight.base.errors import OutOfMemoryError
from rushlight.runtime.device_streams import Chosen, DeviceStream, stream_behind, where_it_works
from rushlight.runtime.page_locked import HostPool
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
    """The devices of one kind, by number.

    Work is given to a stream of a device, 0 for the one it starts with, and runs in the order of
    the calls there.  graphs: whether it makes graphs of launches, chains.  joins: whether kernels
    find pointers in memory, so that one launch does the work of many (`codegen/grid_joined.py`).
    pooled: whether memory that a stream gave back may serve its further work without being asked
    for again.
    """

    emulated: bool
    graphs: bool
    joins: bool
    pooled: bool

    def device_count(self) -> int:
        """How many there are."""

    def facts(self, index: int) -> Facts:
        """What one of them is."""

    def allocate(self, index: int, nbytes: int, stream: int = 0) -> int:
        """Address of new memory, for the stream's further work.  Raises: OutOfDeviceMemory."""

    def free(self, index: int, address: int, stream: int = 0) -> None:
        """Give memory back; what the stream was asked for before still finds it."""

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""

    def trim(self, index: int) -> None:
        """Give unused memory that the process keeps back to the system."""

    def copy_in(
        self, index: int, address: int, source: np.ndarray, stream: int = 0, locked: bool = False
    ) -> None:
        """Copy from the host.  The source may change afterwards, unless its memory is page-locked:
        the driver keeps it until it was read, and nobody may write to it before."""

    def copy_out(self, index: int, target: np.ndarray, address: int, stream: int = 0) -> None:
        """Copy to the host, after all work of the stream."""

    def copy_over(
        self, index: int, address: int, origin: int, source: int, nbytes: int, stream: int = 0
    ) -> None:
        """Copy from the memory of the device `origin`; the stream is of the one copied to."""

    def clear(self, index: int, address: int, nbytes: int, stream: int = 0) -> None:
        """Set bytes to zero."""

    def host_allocate(self, nbytes: int) -> int:
        """Address of memory of the host that devices read by themselves; 0: there is no such."""

    def host_free(self, address: int) -> None:
        """The end of such memory."""

    def reaches(self, index: int, other: int) -> bool:
        """Whether one device reads another's memory without the host."""

    def load(self, index: int, kernel: Any) -> Any:
        """The function of a kernel (`codegen.grid.GridKernel`), ready to be launched."""

    def launch(
        self, index: int, function: Any, blocks: int, addresses: Sequence[int],
        words: Sequence[int], stream: int = 0,
    ) -> None:  # fmt: skip
        """Run a function.  words: 8 bytes each, the bits of a float64 for floats; of a joined
        kernel, its whole table, and no addresses."""

    def chain(self, index: int, launches: Sequence[tuple[Any, int, int]], stream: int = 0) -> Any:
        """Launches that always follow each other: (function, blocks, how many words)."""

    def run_chain(self, index: int, chain: Any, table: np.ndarray, stream: int = 0) -> None:
        """Run a chain on these words: addresses and numbers of each launch in turn."""

    def free_chain(self, index: int, chain: Any, stream: int = 0) -> None:
        """The end of a chain, once its work is done."""

    def synchronize(self, index: int, stream: int | None = None) -> None:
        """Wait for all work of a stream, or of a device.  Raises: RuntimeError if some failed."""

    def new_stream(self, index: int, priority: int = 0) -> int:
        """Another stream."""

    def free_stream(self, index: int, stream: int) -> None:
        """The end of a stream, once its work is done."""

    def mark(self, index: int, stream: int = 0) -> Any:
        """A mark behind the work that a stream was given."""

    def follow(self, index: int, stream: int, mark: Any) -> None:
        """Further work of a stream waits for a mark, of any device."""

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


class _Memory:
    """Bytes of a device.

    stream: whose work made what is there; made: its last piece; readers: other streams that used
    it, with the last piece of each.
    """

    __slots__ = ("allocator", "address", "nbytes", "stream", "made", "readers")

    def __init__(self, allocator: Allocator, address: int, nbytes: int) -> None:
        self.allocator = allocator
        self.address = address
        self.nbytes = nbytes
        self.stream = allocator.stream
        self.made = self.stream.work
        self.readers: dict[DeviceStream, int] | None = None

    @property
    def device(self) -> device:
        """Where they are."""
        return self.allocator.device

    def read(self, address: int, target: np.ndarray) -> None:
        """Copy to the host."""
        allocator = self.allocator
        stream = allocator.stream
        stream.reads(self)
        stream.begin()
        allocator.driver.copy_out(allocator.index, target, address, stream.handle)


class ForeignMemory(_Memory):
    """Bytes of a device that another library owns; owner: what keeps them."""

    __slots__ = ("owner",)

    def __init__(self, allocator: Allocator, address: int, nbytes: int, owner: Any) -> None:
        super().__init__(allocator, address, nbytes)
        self.owner = owner


class DeviceMemory(_Memory):
    """Bytes of a device; given back when nobody refers to them."""

    __slots__ = ()

    def __del__(self) -> None:
        if is_finalizing():
            return  # the process ends, and its memory with it
        self.allocator.give_back(self)


class Allocator:
    """The memory of one device, with the counts that `torch.cuda.memory_allocated` answers by."""

    # Blocks are rounded up as PyTorch's are.
    GRANULE = 512
    # Small blocks of the stream that a device begins with are kept for its further work: asking the
    # driver for one and giving it back takes longer than a small kernel.
    SMALL, MOST_SPARE = 1 << 20, 64 << 20

    def __init__(self, driver: Driver, index: int, place: device, host: HostPool) -> None:
        self.driver = driver
        self.host = host
        self.index = index
        self.device = place
        self.allocated = self.peak = self.reserved = self.reserved_peak = 0
        self.count = 0
        self.out_of_memory = 0
        self.limit: int | None = None
        self.first = DeviceStream(driver, index)
        self.chosen = Chosen()
        # Size -> addresses; and their bytes together.
        self.spare: dict[int, list[int]] = {}
        self.spare_bytes = 0

    @property
    def stream(self) -> DeviceStream:
        """The stream that this thread gives work to."""
        return self.chosen.stream or self.first

    def allocate(self, nbytes: int) -> DeviceMemory:
        """New memory with unspecified content.  Raises: OutOfMemoryError, with the figures."""
        size = max(-(-nbytes // self.GRANULE) * self.GRANULE, self.GRANULE)
        try:
            if self.limit is not None and self.allocated + size > self.limit:
                raise OutOfDeviceMemory
            address = self._address(size)
        except OutOfDeviceMemory:
            self.out_of_memory += 1
            raise OutOfMemoryError(self._exhausted(size)) from None
        self.allocated += size
        self.count += 1
        self.peak = max(self.peak, self.allocated)
        self.reserved = max(self.reserved, self.allocated)
        self.reserved_peak = max(self.reserved_peak, self.reserved)
        return DeviceMemory(self, address, size)

    def _address(self, size: int) -> int:
        stream = self.stream.handle
        if not stream:
            spare = self.spare.get(size)
            if spare:
                try:
                    found = spare.pop()
                except IndexError:  # another thread took the last one
                    pass
                else:
                    self.spare_bytes -= size
                    return found
        try:
            return self.driver.allocate(self.index, size, stream)
        except OutOfDeviceMemory:
            # What waits in the driver's pool may suffice.
            self.trim_spare()
            self.driver.synchronize(self.index)
            self.driver.trim(self.index)
            return self.driver.allocate(self.index, size, stream)

    def trim_spare(self) -> None:
        """Give the small blocks that are kept back to the driver."""
        while self.spare:
            _, addresses = self.spare.popitem()
            for address in addresses:
                self.driver.free(self.index, address, 0)
        self.spare_bytes = 0

    def _exhausted(self, size: int) -> str:
        free, total = self.driver.memory_info(self.index)
        limit = "" if self.limit is None else f"; this process may use {_size(self.limit)}"
        return (
            f"{self.device.type.upper()} out of memory. Tried to allocate {_size(size)}. "
            f"GPU {self.index} has a total "
            f"capacity of {_size(total)} of which {_size(free)} is free{limit}. Tensors hold "
            f"{_size(self.allocated)}, {_size(self.peak)} at most so far. Nothing is lost: use a "
            "smaller batch, or delete tensors and read the value again"
        )

    def give_back(self, memory: DeviceMemory) -> None:
        """The end of some memory."""
        self.allocated -= memory.nbytes
        with where_it_works:
            end = self._end_of(memory)
            size = memory.nbytes
            fits = size <= self.SMALL and self.spare_bytes + size <= self.MOST_SPARE
            if fits and end is self.first and self.driver.pooled:
                self.spare_bytes += size
                self.spare.setdefault(size, []).append(memory.address)
            else:
                self.driver.free(self.index, memory.address, end.handle)

    def _end_of(self, memory: DeviceMemory) -> DeviceStream:
        """A stream whose next work comes after every use of some memory."""
        if memory.stream.ended or any(stream.ended for stream in memory.readers or ()):
            # The garbage collector ends streams and memory of one cycle in any order.
            self.driver.synchronize(self.index)
            return self.first
        return memory.stream if memory.readers is None else stream_behind(memory)

    def empty(self, shape: Sequence[int], dtype: np.dtype) -> DeviceArray:
        """An array with unspecified values."""
        nbytes = int(np.prod(tuple(shape), dtype=np.int64)) * dtype.itemsize
        return DeviceArray(self.allocate(nbytes), shape, dtype)

    def from_host(self, array: np.ndarray) -> DeviceArray:
        """A copy of an array in storage form."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        stream = self.stream
        stream.begin()
        made = self.empty(array.shape, array.dtype)
        if array.nbytes:
            locked = self.host.holds(array)
            self.driver.copy_in(self.index, made.address, array, stream.handle, locked)
        return made

    def from_device(self, array: DeviceArray) -> DeviceArray:
        """A copy of an array of another device of the same driver."""
        stream, source = self.stream, array.memory
        assert isinstance(source, _Memory)
        stream.reads(source)
        stream.begin()
        made = self.empty(array.shape, array.dtype)
        if array.nbytes:
            self.driver.copy_over(
                self.index, made.address, source.allocator.index, array.address, array.nbytes,
                stream.handle,
            )  # fmt: skip
        return made

    def trim(self) -> None:
        """Give unused memory back to the system."""
        self.trim_spare()
        self.driver.trim(self.index)
        self.reserved = self.allocated
