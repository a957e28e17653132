"""A device for tests: grid kernels run on the CPU, in memory that the host cannot address.

In: what a driver is asked for (`devices.Driver`).  Addresses are those of host memory moved far
away, so that one used on the wrong side is an error, never a silent success; each launch checks
that every pointer lies in memory of the device.  Work waits in the queue of its stream: copies in
until the stream's next launch or read; in random order, and with several streams, anything until
somebody waits for it, with pieces of any stream run in between.  Level 8.
"""

from __future__ import annotations

import bisect
import ctypes
import hashlib
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.base.collecting import put_off
from rushlight.codegen.coroutines import module_text
from rushlight.codegen.fingerprint import codegen_fingerprint
from rushlight.codegen.grid import GridKernel
from rushlight.runtime.devices import Facts, OutOfDeviceMemory
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library, without_coroutines
from rushlight.runtime.kernel_cache import process_cache
from rushlight.runtime.page_locked import OrdinaryHostMemory

# Beyond all addresses of a process.
AWAY = 1 << 52
FORWARD, BACKWARD, RANDOM = "forward", "backward", "random"
_ENTRY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)

# The multiprocessors of a large card, since random numbers depend on them.
FACTS = Facts(
    name="rushlight emulated device (runs on the CPU, for tests)",
    capability=(9, 0), multiprocessors=132, threads=2048, shared_bytes=227 << 10,
    total_bytes=4 << 30,
)  # fmt: skip


class Function:
    """Code of a kernel, loaded."""

    __slots__ = ("kernel", "library", "entry")

    def __init__(self, kernel: GridKernel, library: Library) -> None:
        self.kernel = kernel
        self.library = library
        self.entry = _ENTRY(library[kernel.name])


class Mark:
    """A place in a queue; time: when it was reached, 0 before."""

    __slots__ = ("queue", "time")

    def __init__(self, queue: _Queue) -> None:
        self.queue = queue
        self.time = 0.0

    def reach(self) -> None:
        """What came before it in its queue is done."""
        self.time = time.perf_counter()


class _Queue:
    """Work of a stream that waits: functions, and marks of other streams that it waits for."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: deque[Callable[[], None] | Mark] = deque()

    def step(self) -> bool:
        """Do the first piece; False if it waits for another stream."""
        item = self.items[0]
        if isinstance(item, Mark):
            if not item.time:
                return False
            self.items.popleft()
            return True
        try:
            item()
        finally:
            self.items.popleft()  # not before: a mark asked for meanwhile stands behind it
        return True

    def run(self) -> None:
        """Do everything, and what it waits for."""
        while self.items:
            if not self.step():
                first = self.items[0]
                assert isinstance(first, Mark)
                first.queue.run_to(first)

    def run_to(self, mark: Mark) -> None:
        """Do everything before one of its own marks."""
        while not mark.time:
            if not self.step():
                first = self.items[0]
                assert isinstance(first, Mark)
                first.queue.run_to(first)


class Emulator(OrdinaryHostMemory):
    """order: in which threads take turns; random: forward or backward, drawn for each launch.

    launches: how many kernels ran; seed: of what is drawn.
    """

    emulated = True
    graphs = joins = True
    # Memory that was given back must not be read again: it is gone here.
    pooled = False

    def __init__(self, devices: int = 1, facts: Facts = FACTS, seed: int = 0) -> None:
        super().__init__()
        self.devices = devices
        self._facts = facts
        self.order = FORWARD
        self.launches = 0
        self._random = random.Random(seed)
        self._blocks: dict[int, np.ndarray] = {}
        self._starts: list[int] = []
        self._owner: dict[int, int] = {}
        self._used = [0] * devices
        # (device, stream) -> what waits; the stream that a device begins with is 0.
        self._queues = {(index, 0): _Queue() for index in range(devices)}
        self._streams = itertools.count(1)
        self._turn = threading.RLock()
        self._working = False

    def device_count(self) -> int:
        """How many there are."""
        return self.devices

    def facts(self, index: int) -> Facts:
        """What one of them is."""
        return self._facts

    def reaches(self, index: int, other: int) -> bool:
        """All memory is the host's."""
        return True

    # ---- streams -------------------------------------------------------------------------------

    def new_stream(self, index: int, priority: int = 0) -> int:
        """Another queue."""
        made = next(self._streams)
        self._queues[index, made] = _Queue()
        return made

    def free_stream(self, index: int, stream: int) -> None:
        """The end of a queue, once its work is done."""
        self._take_turn(self._queues[index, stream].run)
        del self._queues[index, stream]

    def _ask(self, index: int, stream: int, work: Callable[[], None], may_wait: bool) -> None:
        """Put a piece of work behind the others of its stream."""
        queue = self._queues[index, stream]
        queue.items.append(work)
        if len(self._queues) > self.devices and self.order == RANDOM:
            self._take_turn(self._stir, must=False)
        elif not may_wait:
            self._take_turn(queue.run, must=False)

    def _take_turn(self, work: Callable[[], None], must: bool = True) -> None:
        """Do pieces of work, one at a time.  must: later will not do.

        Memory is given back by finalizers, which run wherever garbage is collected: between the
        address of an argument and the kernel that uses it, or in another thread while a kernel
        runs.  What they ask for must not overtake that piece.  So this thread collects nothing
        meanwhile, and work that may wait is left to whoever is at it.
        """
        if not self._turn.acquire(blocking=must):
            return
        within = self._working
        try:
            if must or not within:
                self._working = True
                with put_off():
                    work()
        finally:
            self._working = within
            self._turn.release()

    def _stir(self) -> None:
        """Do some of what waits, of streams drawn at random."""
        for _ in range(self._random.randrange(3)):
            queue = self._random.choice(list(self._queues.values()))
            for _ in range(self._random.randrange(1, 4)):
                if not queue.items or not queue.step():
                    break

    def mark(self, index: int, stream: int = 0) -> Mark:
        """A place behind the work that a stream was given."""
        queue = self._queues[index, stream]
        made = Mark(queue)
        if queue.items:
            self._ask(index, stream, made.reach, False)
        else:
            made.reach()
        return made

    def follow(self, index: int, stream: int, mark: Mark) -> None:
        """Further work of a stream waits for a mark."""
        self._queues[index, stream].items.append(mark)

    def reached(self, mark: Mark) -> bool:
        """Whether the work before a mark is done."""
        if not mark.time and self._random.random() < 0.5:
            # Time goes by: who asks again and again gets there.
            self._take_turn(lambda: mark.queue.run_to(mark), must=False)
        return mark.time > 0

    def wait(self, mark: Mark) -> None:
        """Do the work before a mark."""
        self._take_turn(lambda: mark.queue.run_to(mark))

    def milliseconds(self, start: Mark, end: Mark) -> float:
        """Time between two marks."""
        return (end.time - start.time) * 1e3

    def synchronize(self, index: int, stream: int | None = None) -> None:
        """Do everything that a stream, or a device, was asked for."""
        for (device, number), queue in list(self._queues.items()):
            if device == index and stream in (None, number):
                self._take_turn(queue.run)

    # ---- memory --------------------------------------------------------------------------------

    def allocate(self, index: int, nbytes: int, stream: int = 0) -> int:
        """Address of new memory.  Raises: OutOfDeviceMemory."""
        if self._used[index] + nbytes > self._facts.total_bytes:
            raise OutOfDeviceMemory
        # Filled with what is no sensible number in any dtype: unset memory shows.
        block = np.full(nbytes + 64, 0xA5, np.uint8)
        address = block.ctypes.data
        address += -address % 64 + AWAY
        self._blocks[address] = block
        bisect.insort(self._starts, address)
        self._owner[address] = index
        self._used[index] += nbytes
        return address

    def free(self, index: int, address: int, stream: int = 0) -> None:
        """Give memory back when the stream comes to it."""
        self._ask(index, stream, lambda: self._freed(index, address), False)

    def _freed(self, index: int, address: int) -> None:
        block = self._blocks.pop(address)
        del self._starts[bisect.bisect_left(self._starts, address)]
        del self._owner[address]
        self._used[index] -= block.nbytes - 64

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""
        total = self._facts.total_bytes
        return total - self._used[index], total

    def trim(self, index: int) -> None:
        """Nothing is kept."""

    def host_allocate(self, nbytes: int) -> int:
        """Memory of the host, which the device reads when it comes to it; never zero by chance."""
        address = super().host_allocate(nbytes)
        self._host[address][:] = 0xA5
        return address

    def _host_address(self, index: int, address: int, nbytes: int = 0) -> int:
        """Where an address really is.  Raises: RuntimeError outside of the device's memory."""
        place = bisect.bisect_right(self._starts, address) - 1
        if place >= 0:
            start = self._starts[place]
            inside = address + nbytes <= start + self._blocks[start].nbytes - 64
            if inside and self._owner[start] == index:
                return address - AWAY
        raise RuntimeError(
            f"CUDA error: an illegal memory access was encountered (emulated device {index}: "
            f"{nbytes} bytes at {address:#x} are not its memory)"
        )

    def copy_in(
        self, index: int, address: int, source: np.ndarray, stream: int = 0, locked: bool = False
    ) -> None:
        """Copy from the host, later; page-locked memory is read then."""
        self._host_address(index, address, source.nbytes)
        held = source if locked else source.copy()

        def copied() -> None:
            where = self._host_address(index, address, held.nbytes)
            ctypes.memmove(where, held.ctypes.data, held.nbytes)

        self._ask(index, stream, copied, True)

    def copy_out(self, index: int, target: np.ndarray, address: int, stream: int = 0) -> None:
        """Copy to the host, after all work of the stream."""
        self._take_turn(self._queues[index, stream].run)
        ctypes.memmove(
            target.ctypes.data, self._host_address(index, address, target.nbytes), target.nbytes
        )

    def copy_over(
        self, index: int, address: int, origin: int, source: int, nbytes: int, stream: int = 0
    ) -> None:
        """Copy from another device's memory."""

        def copied() -> None:
            theirs = self._host_address(origin, source, nbytes)
            ctypes.memmove(self._host_address(index, address, nbytes), theirs, nbytes)

        self._ask(index, stream, copied, True)

    def clear(self, index: int, address: int, nbytes: int, stream: int = 0) -> None:
        """Set bytes to zero."""

        def cleared() -> None:
            ctypes.memset(self._host_address(index, address, nbytes), 0, nbytes)

        self._ask(index, stream, cleared, False)

    # ---- kernels -------------------------------------------------------------------------------

    def load(self, index: int, kernel: GridKernel) -> Function:
        """Compile a kernel for the CPU, or find it."""
        target = host_target()
        digest = hashlib.sha256(repr(kernel).encode()).hexdigest()
        identity = f"emulated {digest} {codegen_fingerprint()}"

        def text() -> str:
            made = module_text(kernel, target.triple)
            return without_coroutines(made, target) if kernel.meets else made

        return Function(kernel, process_cache().get(identity, [kernel.name], text, target))

    def launch(
        self, index: int, function: Function, blocks: int, addresses: Sequence[int],
        words: Sequence[int], stream: int = 0,
    ) -> None:  # fmt: skip
        """Run a function when the stream comes to it."""
        arguments = np.array([*addresses, *words], np.int64)
        self._ask(index, stream, lambda: self._run(index, function, blocks, arguments), False)

    def _run(self, index: int, function: Function, blocks: int, arguments: np.ndarray) -> None:
        backward = self.order == BACKWARD
        if self.order == RANDOM:
            backward = self._random.random() < 0.5
        kernel = function.kernel
        for place in kernel.pointer_places(arguments.tolist()):
            arguments[place] = self._host_address(index, int(arguments[place]))
        function.entry(arguments.ctypes.data, blocks, int(backward))
        self.launches += 1

    def chain(
        self, index: int, launches: Sequence[tuple[Function, int, int]], stream: int = 0
    ) -> list[tuple[Function, int, int]]:
        """Launches that always follow each other."""
        return list(launches)

    def run_chain(
        self, index: int, chain: list[tuple[Function, int, int]], table: np.ndarray,
        stream: int = 0,
    ) -> None:  # fmt: skip
        """Run them on these words when the stream comes to it."""

        def chained() -> None:
            start = 0
            for function, blocks, count in chain:
                self._run(index, function, blocks, table[start : start + count].copy())
                start += count

        self._ask(index, stream, chained, False)

    def free_chain(self, index: int, chain: Any, stream: int = 0) -> None:
        """Nothing is kept of them."""
