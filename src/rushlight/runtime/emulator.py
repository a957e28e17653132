"""A device for tests: grid kernels run on the CPU, in memory that the host cannot address.

In: what a driver is asked for (`devices.Driver`).  Addresses are those of host memory moved far
away, so that one used on the wrong side is an error, never a silent success; each launch checks
that every pointer lies in memory of the device.  Copies in are done at the next launch or read, as
those of a stream may be.  Level 8.
"""

from __future__ import annotations

import bisect
import ctypes
import hashlib
import random
import time
from collections.abc import Sequence

import numpy as np

from rushlight.codegen.coroutines import module_text
from rushlight.codegen.fingerprint import codegen_fingerprint
from rushlight.codegen.grid import GridKernel
from rushlight.runtime.devices import Facts, OutOfDeviceMemory
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library, without_coroutines
from rushlight.runtime.kernel_cache import process_cache

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


class Emulator:
    """order: in which threads take turns; random: forward or backward, drawn for each launch.

    launches: how many kernels ran.
    """

    emulated = True

    def __init__(self, devices: int = 1, facts: Facts = FACTS) -> None:
        self.devices = devices
        self._facts = facts
        self.order = FORWARD
        self.launches = 0
        self._random = random.Random(0)
        self._blocks: dict[int, np.ndarray] = {}
        self._starts: list[int] = []
        self._owner: dict[int, int] = {}
        self._used = [0] * devices
        self._waiting: list[tuple[int, np.ndarray]] = []

    def device_count(self) -> int:
        """How many there are."""
        return self.devices

    def facts(self, index: int) -> Facts:
        """What one of them is."""
        return self._facts

    # ---- memory --------------------------------------------------------------------------------

    def allocate(self, index: int, nbytes: int) -> int:
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

    def free(self, index: int, address: int) -> None:
        """Give memory back; copies that wait to go there are dropped."""
        block = self._blocks.pop(address)
        start, end = address - AWAY, address - AWAY + block.nbytes - 64
        self._waiting = [w for w in self._waiting if not start <= w[0] < end]
        del self._starts[bisect.bisect_left(self._starts, address)]
        del self._owner[address]
        self._used[index] -= block.nbytes - 64

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""
        total = self._facts.total_bytes
        return total - self._used[index], total

    def trim(self, index: int) -> None:
        """Nothing is kept."""

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

    def copy_in(self, index: int, address: int, source: np.ndarray) -> None:
        """Copy from the host, later."""
        self._host_address(index, address, source.nbytes)
        self._waiting.append((address - AWAY, source.copy()))

    def copy_out(self, index: int, target: np.ndarray, address: int) -> None:
        """Copy to the host."""
        self._settle()
        ctypes.memmove(
            target.ctypes.data, self._host_address(index, address, target.nbytes), target.nbytes
        )

    def clear(self, index: int, address: int, nbytes: int) -> None:
        """Set bytes to zero."""
        self._settle()
        ctypes.memset(self._host_address(index, address, nbytes), 0, nbytes)

    def _settle(self) -> None:
        """Do the copies that wait."""
        waiting, self._waiting = self._waiting, []
        for address, source in waiting:
            ctypes.memmove(address, source.ctypes.data, source.nbytes)

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
        self,
        index: int,
        function: Function,
        blocks: int,
        addresses: Sequence[int],
        words: Sequence[int],
    ) -> None:
        """Run a function at once."""
        self._settle()
        backward = self.order == BACKWARD
        if self.order == RANDOM:
            backward = self._random.random() < 0.5
        places = [self._host_address(index, address) for address in addresses]
        arguments = np.array([*places, *words], np.int64)
        function.entry(arguments.ctypes.data, blocks, int(backward))
        self.launches += 1

    def synchronize(self, index: int) -> None:
        """Everything asked for is done."""
        self._settle()

    # ---- marks ---------------------------------------------------------------------------------

    def mark(self, index: int) -> float:
        """The time, since everything asked for is done at once."""
        self._settle()
        return time.perf_counter()

    def reached(self, mark: float) -> bool:
        """It always is."""
        return True

    def wait(self, mark: float) -> None:
        """Nothing is waited for."""

    def milliseconds(self, start: float, end: float) -> float:
        """Time between two marks."""
        return (end - start) * 1e3
