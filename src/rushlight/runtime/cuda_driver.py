"""CUDA cards through the library that their driver installs: no toolkit, no wheel.

In: what `devices.Driver` asks for.  Out: calls of libcuda by ctypes.  Each device has its primary
context and a stream to begin with, in which everything runs in order; memory comes from the
driver's own pool, which keeps what is freed.  Code is `cuda_code.py`'s.  Level 8.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from collections.abc import Sequence
from ctypes import byref, c_float, c_int, c_size_t, c_uint64, c_void_p
from sys import is_finalizing
from typing import Any

import numpy as np

from rushlight.codegen.grid import GridKernel
from rushlight.runtime.cuda_calls import NOT_READY, SUCCESS, Calls
from rushlight.runtime.cuda_code import Chain, Function, loaded
from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.device_streams import where_it_works
from rushlight.runtime.devices import Facts

# CUdevice_attribute, CUmemPool_attribute, CUstream_flags, flags of cuMemHostAlloc.
CLOCK_RATE, MULTIPROCESSORS, THREADS_OF_MULTIPROCESSOR = 13, 16, 39
CAPABILITY_MAJOR, CAPABILITY_MINOR, SHARED_OPTIN, POOLS = 75, 76, 97, 115
RELEASE_THRESHOLD = 4
NON_BLOCKING = 1
PORTABLE = 1
_NAME_BYTES = 256


class Mark:
    """An event behind some work; its handle goes with it."""

    def __init__(self, driver: LibCuda, index: int, handle: c_void_p) -> None:
        self.driver = driver
        self.index = index
        self.handle = handle

    def __del__(self) -> None:
        with where_it_works:
            self.driver.destroy_event(self.index, self.handle)


class _Device:
    """What is kept of one card once it is used.

    reading: marks behind copies from page-locked memory, with what they read.
    """

    def __init__(self, context: c_void_p, stream: c_void_p, pool: c_void_p, number: c_int) -> None:
        self.context = context
        self.stream = stream
        self.pool = pool
        self.number = number
        self.reading: deque[tuple[Mark, np.ndarray]] = deque()

    def queue(self, stream: int) -> c_void_p:
        """The driver's handle of a stream, 0 for the one that the card begins with."""
        return c_void_p(stream) if stream else self.stream


class _Current(threading.local):
    """The card whose context this thread uses."""

    def __init__(self) -> None:
        self.index = -1


class LibCuda:
    """The driver's library.  Raises: NoDriver if it lacks a function or finds no card."""

    emulated = False
    graphs = joins = pooled = True

    def __init__(self, library: Any) -> None:
        self._call = Calls(library)
        count = c_int()
        self._call("cuDeviceGetCount", byref(count))
        self._count = count.value
        self._devices: dict[int, _Device] = {}
        self._capabilities: dict[int, tuple[int, int]] = {}
        self._current = _Current()
        self._process = os.getpid()
        self._lock = threading.Lock()

    def _use(self, index: int) -> _Device:
        """The card, made this thread's current one."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "Cannot re-initialize CUDA in forked subprocess. To use CUDA with "
                "multiprocessing, you must use the 'spawn' start method"
            )
        found = self._devices.get(index)
        if found is None:
            with self._lock:
                found = self._devices.get(index) or self._begun(index)
        if self._current.index != index:
            self._call("cuCtxSetCurrent", found.context)
            self._current.index = index
        return found

    def _begun(self, index: int) -> _Device:
        number = self._number(index)
        context, stream, pool = c_void_p(), c_void_p(), c_void_p()
        self._call("cuDevicePrimaryCtxRetain", byref(context), number)
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreateWithPriority", byref(stream), NON_BLOCKING, 0)
        self._call("cuDeviceGetDefaultMemPool", byref(pool), number)
        # What is freed stays with the process until somebody asks for it back.
        keep = c_uint64(2**64 - 1)
        self._call(
            "cuMemPoolSetAttribute", pool, RELEASE_THRESHOLD, ctypes.cast(byref(keep), c_void_p)
        )
        self._current.index = index
        made = self._devices[index] = _Device(context, stream, pool, number)
        return made

    # ---- facts ---------------------------------------------------------------------------------

    def device_count(self) -> int:
        """How many cards there are; CUDA_VISIBLE_DEVICES says which."""
        return self._count

    def _number(self, index: int) -> c_int:
        number = c_int()
        self._call("cuDeviceGet", byref(number), index)
        return number

    def facts(self, index: int) -> Facts:
        """What one of them is.  Raises: NoDriver if it has no memory pools."""
        number = self._number(index)

        def attribute(which: int) -> int:
            value = c_int()
            self._call("cuDeviceGetAttribute", byref(value), which, number)
            return value.value

        if not attribute(POOLS):
            raise NoDriver(f"card {index} has no memory pools: its driver is older than CUDA 11.2")
        name = ctypes.create_string_buffer(_NAME_BYTES)
        self._call("cuDeviceGetName", name, _NAME_BYTES, number)
        total = c_size_t()
        self._call("cuDeviceTotalMem_v2", byref(total), number)
        return Facts(
            name=name.value.decode(errors="replace"),
            capability=(attribute(CAPABILITY_MAJOR), attribute(CAPABILITY_MINOR)),
            multiprocessors=attribute(MULTIPROCESSORS),
            threads=attribute(THREADS_OF_MULTIPROCESSOR),
            shared_bytes=attribute(SHARED_OPTIN),
            total_bytes=total.value,
            clock_khz=attribute(CLOCK_RATE),
        )

    def reaches(self, index: int, other: int) -> bool:
        """Whether one card reads another's memory without the host."""
        found = c_int()
        self._call("cuDeviceCanAccessPeer", byref(found), self._number(index), self._number(other))
        return bool(found.value)

    # ---- memory --------------------------------------------------------------------------------

    def allocate(self, index: int, nbytes: int, stream: int = 0) -> int:
        """Address of new memory, in the order of the stream.  Raises: OutOfDeviceMemory."""
        card = self._use(index)
        address = c_uint64()
        self._call("cuMemAllocAsync", byref(address), nbytes, card.queue(stream))
        return address.value

    def free(self, index: int, address: int, stream: int = 0) -> None:
        """Give memory back, in the order of the stream.  In a forked child it is the parent's."""
        if os.getpid() == self._process:
            self._call("cuMemFreeAsync", address, self._use(index).queue(stream))

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""
        self._use(index)
        free, total = c_size_t(), c_size_t()
        self._call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value, total.value

    def trim(self, index: int) -> None:
        """Give unused memory of the pool back."""
        self._call("cuMemPoolTrimTo", self._use(index).pool, 0)

    def host_allocate(self, nbytes: int) -> int:
        """Address of page-locked memory, which all cards read."""
        self._use(max(self._current.index, 0))
        address = c_void_p()
        self._call("cuMemHostAlloc", byref(address), nbytes, PORTABLE)
        return address.value or 0

    def host_free(self, address: int) -> None:
        """The end of page-locked memory; waits for copies from it."""
        if os.getpid() == self._process:
            self._use(max(self._current.index, 0))
            self._call("cuMemFreeHost", address)

    def copy_in(
        self, index: int, address: int, source: np.ndarray, stream: int = 0, locked: bool = False
    ) -> None:
        """Copy from the host: ordinary memory is read before the call returns."""
        card = self._use(index)
        queue = card.queue(stream)
        self._call("cuMemcpyHtoDAsync_v2", address, source.ctypes.data, source.nbytes, queue)
        while card.reading and self.reached(card.reading[0][0]):
            card.reading.popleft()
        if locked:
            card.reading.append((self.mark(index, stream), source))

    def copy_out(self, index: int, target: np.ndarray, address: int, stream: int = 0) -> None:
        """Copy to the host, after all work of the stream."""
        queue = self._use(index).queue(stream)
        self._call("cuMemcpyDtoHAsync_v2", target.ctypes.data, address, target.nbytes, queue)
        self._call("cuStreamSynchronize", queue)

    def copy_over(
        self, index: int, address: int, origin: int, source: int, nbytes: int, stream: int = 0
    ) -> None:
        """Copy from another card's memory; the driver knows whether they reach each other."""
        theirs = self._use(origin).context
        card = self._use(index)
        self._call(
            "cuMemcpyPeerAsync", address, card.context, source, theirs, nbytes, card.queue(stream)
        )

    def clear(self, index: int, address: int, nbytes: int, stream: int = 0) -> None:
        """Set bytes to zero."""
        if nbytes:
            self._call("cuMemsetD8Async", address, 0, nbytes, self._use(index).queue(stream))

    # ---- kernels -------------------------------------------------------------------------------

    def _capability(self, index: int) -> tuple[int, int]:
        found = self._capabilities.get(index)
        if found is None:
            found = self._capabilities[index] = self.facts(index).capability
        return found

    def load(self, index: int, kernel: GridKernel) -> Function:
        """Write a kernel as code of the card, or find it on disk, and load it."""
        self._use(index)
        return loaded(self._call, kernel, self._capability(index))

    def launch(
        self, index: int, function: Function, blocks: int, addresses: Sequence[int],
        words: Sequence[int], stream: int = 0,
    ) -> None:  # fmt: skip
        """Run a function; it is on its way when this returns."""
        card = self._use(index)
        if function.kernel.joined:
            table = np.array(words, np.int64)
            where = self.allocate(index, table.nbytes, stream)
            self.copy_in(index, where, table, stream)
            words = [where]
        values = (ctypes.c_int64 * (len(addresses) + len(words)))(*addresses, *words)
        start, size = ctypes.addressof(values), ctypes.sizeof(ctypes.c_int64)
        places = (c_void_p * len(values))(*[start + size * k for k in range(len(values))])
        threads = function.kernel.threads
        self._call(
            "cuLaunchKernel", function.handle, blocks, 1, 1, threads, 1, 1, 0, card.queue(stream),
            places, None,
        )  # fmt: skip
        if function.kernel.joined:
            self.free(index, where, stream)

    def chain(
        self, index: int, launches: Sequence[tuple[Function, int, int]], stream: int = 0
    ) -> Chain:
        """Launches that always follow each other, as one graph: (function, blocks, words)."""
        table = self.allocate(index, 8 * sum(count for _, _, count in launches), stream)
        return Chain(self._call, launches, self._capability(index), table)

    def run_chain(self, index: int, chain: Chain, table: np.ndarray, stream: int = 0) -> None:
        """Run a chain on these words: addresses and numbers of each launch in turn."""
        queue = self._use(index).queue(stream)
        self._call("cuMemcpyHtoDAsync_v2", chain.table, table.ctypes.data, table.nbytes, queue)
        self._call("cuGraphLaunch", chain.executable, queue)

    def free_chain(self, index: int, chain: Chain, stream: int = 0) -> None:
        """The end of a chain, once its work is done."""
        if os.getpid() == self._process:
            self._use(index)
            chain.destroy(self._call)
            self.free(index, chain.table, stream)

    def synchronize(self, index: int, stream: int | None = None) -> None:
        """Wait for all work.  Raises: RuntimeError if some of it failed."""
        card = self._use(index)
        if stream is None:
            self._call("cuCtxSynchronize")
            card.reading.clear()
        else:
            self._call("cuStreamSynchronize", card.queue(stream))

    # ---- streams -------------------------------------------------------------------------------

    def new_stream(self, index: int, priority: int = 0) -> int:
        """Another stream; smaller priorities go first."""
        self._use(index)
        made = c_void_p()
        self._call("cuStreamCreateWithPriority", byref(made), NON_BLOCKING, priority)
        return made.value or 0

    def free_stream(self, index: int, stream: int) -> None:
        """The end of a stream; the driver ends it when its work is done."""
        if os.getpid() == self._process:
            self._use(index)
            self._call("cuStreamDestroy_v2", c_void_p(stream))

    def follow(self, index: int, stream: int, mark: Mark) -> None:
        """Further work of a stream waits for a mark."""
        card = self._use(index)
        self._call("cuStreamWaitEvent", card.queue(stream), mark.handle, 0)

    # ---- marks ---------------------------------------------------------------------------------

    def mark(self, index: int, stream: int = 0) -> Mark:
        """An event behind the work that a stream was given."""
        card = self._use(index)
        handle = c_void_p()
        self._call("cuEventCreate", byref(handle), 0)
        made = Mark(self, index, handle)
        self._call("cuEventRecord", handle, card.queue(stream))
        return made

    def reached(self, mark: Mark) -> bool:
        """Whether the work before a mark is done."""
        self._use(mark.index)
        status = self._call.status("cuEventQuery", mark.handle)
        if status not in (SUCCESS, NOT_READY):
            raise RuntimeError(f"CUDA error: {self._call.describe(status)}")
        return status == SUCCESS

    def wait(self, mark: Mark) -> None:
        """Wait for the work before a mark."""
        self._use(mark.index)
        self._call("cuEventSynchronize", mark.handle)

    def milliseconds(self, start: Mark, end: Mark) -> float:
        """Time between two marks that were reached."""
        self._use(end.index)
        found = c_float()
        self._call("cuEventElapsedTime", byref(found), start.handle, end.handle)
        return found.value

    def destroy_event(self, index: int, handle: c_void_p) -> None:
        """The end of a mark."""
        if os.getpid() == self._process and not is_finalizing():
            self._use(index)
            self._call("cuEventDestroy_v2", handle)
