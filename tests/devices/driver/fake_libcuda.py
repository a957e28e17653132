"""A libcuda for tests: C functions that check every call and run kernels on the emulator.

Each is a real function pointer with the types of `cuda_calls.SIGNATURES`, so that what ctypes
makes of the arguments is what a driver would get.  `calls` lists their names in order.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.runtime import cuda_driver as cu
from rushlight.runtime.cuda_calls import NOT_READY, OUT_OF_MEMORY, SIGNATURES
from rushlight.runtime.cuda_code import PTX_INPUT
from rushlight.runtime.devices import OutOfDeviceMemory
from rushlight.runtime.emulator import Emulator

INVALID_VALUE, NOT_INITIALIZED, INVALID_CONTEXT, INVALID_HANDLE = 1, 3, 201, 400
NOT_FOUND, ILLEGAL_ADDRESS, NO_BINARY, NOT_SUPPORTED = 500, 700, 209, 801
# What binary code begins with here; the text that it was made from follows.
CUBIN = b"\x7fELF of a test"
_NAMES = {2: b"CUDA_ERROR_OUT_OF_MEMORY", 700: b"CUDA_ERROR_ILLEGAL_ADDRESS"}


class FakeLibrary:
    """kernels: by name, what PTX modules are made from; put there before they are loaded.

    streams, events, graphs: handle -> the emulator's stream, its mark or None, launches.
    version: that the driver tells; links: whether it has a linker of PTX;
    refuses_binaries: whether modules of binary code do not load.
    """

    def __init__(self, cards: int = 1, version: int = 12040) -> None:
        self.emulator = Emulator(cards)
        self.cards = cards
        self.calls: list[str] = []
        self.kernels: dict[str, Any] = {}
        self.version = version
        self.links = True
        self.refuses_binaries = False
        self.modules: dict[int, tuple[str, bool]] = {}
        self.functions: dict[int, tuple[Any, bool]] = {}
        self.streams: dict[int, tuple[int, int]] = {}
        self.events: dict[int, Any] = {}
        self.graphs: dict[int, list] = {}
        self.linked: dict[int, bytes] = {}
        self.host: set[int] = set()
        self.context = 0
        self.begun = False
        self.fail: dict[str, int] = {}
        self._handles = 0x1000
        self._held: list[Any] = []
        for name, types in SIGNATURES.items():
            setattr(self, name, self._function(name, types, getattr(self, f"_{name}")))

    def _function(self, name: str, types: tuple, body: Callable[..., int]) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if name in self.fail:
                return self.fail.pop(name)
            if not self.begun and not name.startswith(("cuInit", "cuGetError")):
                return NOT_INITIALIZED
            try:
                return body(*arguments) or 0
            except OutOfDeviceMemory:
                return OUT_OF_MEMORY
            except (RuntimeError, KeyError):
                return ILLEGAL_ADDRESS

        return ctypes.CFUNCTYPE(ctypes.c_int, *types)(call)

    def handle(self) -> int:
        self._handles += 0x10
        return self._handles

    @property
    def index(self) -> int:
        """The card of the current context."""
        assert self.context, "no context is current"
        return self.context - 0x100

    # ---- start and facts -----------------------------------------------------------------------

    def _cuInit(self, flags):
        self.begun = flags == 0

    def _cuDriverGetVersion(self, found):
        found[0] = self.version

    def _cuGetErrorName(self, status, found):
        text = ctypes.create_string_buffer(_NAMES.get(status, b"CUDA_ERROR_OF_A_TEST"))
        self._held.append(text)
        found[0] = ctypes.addressof(text)

    _cuGetErrorString = _cuGetErrorName

    def _cuDeviceGetCount(self, found):
        found[0] = self.cards

    def _cuDeviceGet(self, found, index):
        if not 0 <= index < self.cards:
            return INVALID_VALUE
        found[0] = index

    def _cuDeviceGetName(self, memory, size, number):
        assert size == 256

    def _cuDeviceGetAttribute(self, found, which, number):
        facts = self.emulator.facts(number)
        found[0] = {
            cu.CLOCK_RATE: 1_000_000, cu.MULTIPROCESSORS: facts.multiprocessors,
            cu.THREADS_OF_MULTIPROCESSOR: facts.threads, cu.CAPABILITY_MAJOR: 8,
            cu.CAPABILITY_MINOR: 0, cu.SHARED_OPTIN: facts.shared_bytes, cu.POOLS: 1,
        }[which]  # fmt: skip

    def _cuDeviceTotalMem_v2(self, found, number):
        found[0] = self.emulator.facts(number).total_bytes

    # ---- contexts and streams ------------------------------------------------------------------

    def _cuDevicePrimaryCtxRetain(self, found, number):
        found[0] = 0x100 + number

    def _cuCtxSetCurrent(self, context):
        self.context = context

    def _cuDeviceCanAccessPeer(self, found, number, other):
        found[0] = int(number != other)

    def _cuCtxSynchronize(self):
        self.emulator.synchronize(self.index)

    def _cuStreamCreateWithPriority(self, found, flags, priority):
        assert flags == cu.NON_BLOCKING and priority <= 0
        found[0] = self.handle()
        first = all(index != self.index for index, _ in self.streams.values())
        number = 0 if first else self.emulator.new_stream(self.index)
        self.streams[self._handles] = (self.index, number)

    def _cuStreamDestroy_v2(self, stream):
        self.emulator.free_stream(*self.streams.pop(stream))

    def _cuStreamSynchronize(self, stream):
        self.emulator.synchronize(self.index, self._queue(stream))

    def _cuStreamWaitEvent(self, stream, event, flags):
        index, number = self.streams[stream]
        assert flags == 0 and self.events[event] is not None
        self.emulator.follow(index, number, self.events[event])

    def _queue(self, stream) -> int:
        """The emulator's stream of a handle, which belongs to the current card."""
        index, number = self.streams[stream]
        if index != self.index:
            raise RuntimeError("the stream is another card's")
        return number

    # ---- memory --------------------------------------------------------------------------------

    def _cuMemGetInfo_v2(self, free, total):
        free[0], total[0] = self.emulator.memory_info(self.index)

    def _cuDeviceGetDefaultMemPool(self, found, number):
        found[0] = 0x500 + number

    def _cuMemPoolSetAttribute(self, pool, which, value):
        assert which == cu.RELEASE_THRESHOLD
        assert ctypes.cast(value, ctypes.POINTER(ctypes.c_uint64))[0] == 2**64 - 1

    def _cuMemPoolTrimTo(self, pool, size):
        assert pool == 0x500 + self.index

    def _cuMemAllocAsync(self, found, size, stream):
        found[0] = self.emulator.allocate(self.index, size, self._queue(stream))

    def _cuMemFreeAsync(self, address, stream):
        self.emulator.free(self.index, address, self._queue(stream))

    def _cuMemcpyHtoDAsync_v2(self, address, source, size, stream):
        data = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(source))
        locked = any(start <= source < start + 1 for start in self.host)
        self.emulator.copy_in(self.index, address, data, self._queue(stream), locked)

    def _cuMemcpyDtoHAsync_v2(self, target, address, size, stream):
        data = np.empty(size, np.uint8)
        self.emulator.copy_out(self.index, data, address, self._queue(stream))
        ctypes.memmove(target, data.ctypes.data, size)

    def _cuMemsetD8Async(self, address, value, size, stream):
        assert value == 0
        self.emulator.clear(self.index, address, size, self._queue(stream))

    def _cuMemcpyPeerAsync(self, address, context, source, origin, size, stream):
        assert context == self.context and {context, origin} <= {0x100, 0x101}
        queue = self._queue(stream)
        self.emulator.copy_over(context - 0x100, address, origin - 0x100, source, size, queue)

    def _cuMemHostAlloc(self, found, size, flags):
        assert self.context and flags == cu.PORTABLE
        found[0] = self.emulator.host_allocate(size)
        self.host.add(found[0])

    def _cuMemFreeHost(self, address):
        self.host.remove(address)
        self.emulator.host_free(address)

    # ---- kernels -------------------------------------------------------------------------------

    def _cuLinkCreate_v2(self, options, names, values, found):
        if not self.links:
            return NOT_SUPPORTED
        assert not options and not names and not values
        found[0] = self.handle()
        self.linked[self._handles] = b""

    def _cuLinkAddData_v2(self, state, kind, data, size, name, options, names, values):
        assert kind == PTX_INPUT and not options
        text = ctypes.string_at(data, size)
        assert text.endswith(b"\0") and name.decode() in text.decode()
        self.linked[state] += text

    def _cuLinkComplete(self, state, code, size):
        text = ctypes.create_string_buffer(CUBIN + self.linked[state])
        self._held.append(text)
        code[0], size[0] = ctypes.addressof(text), len(text)

    def _cuLinkDestroy(self, state):
        del self.linked[state]

    def _cuModuleLoadData(self, found, image):
        text = ctypes.string_at(image)
        if text.startswith(CUBIN) and self.refuses_binaries:
            return NO_BINARY
        text = text.removeprefix(CUBIN).decode()
        (name,) = re.findall(r"\.visible \.entry (\w+)\(", text)
        kernel = self.kernels[name]
        arguments = text.partition(".entry")[2].partition(")")[0].count(f"{name}_param_")
        from_table = kernel.joined or arguments == 1 < len(kernel.arguments())
        assert arguments == (1 if from_table else len(kernel.arguments()))
        assert f".maxntid {kernel.threads}" in text and ".target sm_80" in text
        found[0] = self.handle()
        self.modules[self._handles] = name, from_table

    def _cuModuleGetFunction(self, found, module, name):
        known, from_table = self.modules[module]
        if known != name.decode():
            return NOT_FOUND
        found[0] = self.handle()
        loaded = self.emulator.load(self.index, self.kernels[known])
        self.functions[self._handles] = loaded, from_table

    def _cuLaunchKernel(self, function, *rest):
        *grid, shared, stream, values, extra = rest
        loaded, from_table = self.functions[function]
        kernel = loaded.kernel
        assert from_table == kernel.joined
        assert grid[1:] == [1, 1, kernel.threads, 1, 1] and shared == 0 and not extra
        queue = self._queue(stream)
        if kernel.joined:
            place = ctypes.cast(values[0], ctypes.POINTER(ctypes.c_uint64))[0]
            words = self._table(kernel, place, queue)
            self.emulator.launch(self.index, loaded, grid[0], [], words, queue)
            return
        words = [
            ctypes.cast(values[k], ctypes.POINTER(ctypes.c_int64))[0]
            for k in range(len(kernel.arguments()))
        ]
        pointers = kernel.buffers + kernel.scratch
        self.emulator.launch(self.index, loaded, grid[0], words[:pointers], words[pointers:], queue)

    def _table(self, kernel, place: int, queue: int) -> list[int]:
        """The words that a kernel finds in memory when the stream comes to it."""

        def words(count: int, start: int) -> list[int]:
            found = np.empty(count, np.int64)
            self.emulator.copy_out(self.index, found, place + 8 * start, queue)
            return found.tolist()

        width = len(kernel.arguments())
        if not kernel.joined:
            return words(width, 0)
        (count,) = words(1, 0)
        return words(2 + count + count * width, 0)

    # ---- graphs --------------------------------------------------------------------------------

    def _cuGraphCreate(self, found, flags):
        assert flags == 0
        found[0] = self.handle()
        self.graphs[self._handles] = []

    def _cuGraphAddKernelNode(self, found, graph, before, waits, node):
        nodes = self.graphs[graph]
        assert waits == (1 if nodes else 0)
        assert not waits or before[0] == nodes[-1][0], "one after the other"
        node = node[0]
        loaded, from_table = self.functions[node.function]
        assert from_table and node.threads_x == loaded.kernel.threads and node.shared_bytes == 0
        assert (node.blocks_y, node.blocks_z, node.threads_y, node.threads_z) == (1, 1, 1, 1)
        place = ctypes.cast(node.parameters[0], ctypes.POINTER(ctypes.c_uint64))[0]
        found[0] = self.handle()
        nodes.append((self._handles, loaded, node.blocks_x, place))

    def _cuGraphInstantiateWithFlags(self, found, graph, flags):
        assert flags == 0
        found[0] = self.handle()
        self.graphs[self._handles] = list(self.graphs[graph])

    def _cuGraphLaunch(self, executable, stream):
        queue = self._queue(stream)
        for _, loaded, blocks, place in self.graphs[executable]:
            kernel = loaded.kernel
            given = self._table(kernel, place, queue)
            pointers = 0 if kernel.joined else kernel.buffers + kernel.scratch
            self.emulator.launch(
                self.index, loaded, blocks, given[:pointers], given[pointers:], queue
            )

    def _cuGraphExecDestroy(self, executable):
        del self.graphs[executable]

    _cuGraphDestroy = _cuGraphExecDestroy

    # ---- events --------------------------------------------------------------------------------

    def _cuEventCreate(self, found, flags):
        found[0] = self.handle()
        self.events[self._handles] = None

    def _cuEventRecord(self, event, stream):
        assert self.events[event] is None
        self.events[event] = self.emulator.mark(self.index, self._queue(stream))

    def _cuEventQuery(self, event):
        return 0 if self.emulator.reached(self.events[event]) else NOT_READY

    def _cuEventSynchronize(self, event):
        self.emulator.wait(self.events[event])

    def _cuEventElapsedTime(self, found, start, end):
        found[0] = self.emulator.milliseconds(self.events[start], self.events[end])

    def _cuEventDestroy_v2(self, event):
        del self.events[event]


class NamingDriver(cu.LibCuda):
    """The driver on such a library, which it tells the kernel that a module holds."""

    def __init__(self, library: FakeLibrary) -> None:
        super().__init__(library)
        self.library = library

    def load(self, index, kernel):
        self.library.kernels[kernel.name] = kernel
        return super().load(index, kernel)
