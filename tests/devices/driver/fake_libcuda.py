"""A libcuda for tests: C functions that check every call and run kernels on the emulator.

Each is a real function pointer with the types of `cuda_driver.SIGNATURES`, so that what ctypes
makes of the arguments is what a driver would get.  `calls` lists their names in order.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.runtime import cuda_driver as cu
from rushlight.runtime.devices import OutOfDeviceMemory
from rushlight.runtime.emulator import Emulator

INVALID_VALUE, NOT_INITIALIZED, INVALID_CONTEXT, INVALID_HANDLE = 1, 3, 201, 400
NOT_FOUND, ILLEGAL_ADDRESS = 500, 700
_NAMES = {2: b"CUDA_ERROR_OUT_OF_MEMORY", 700: b"CUDA_ERROR_ILLEGAL_ADDRESS"}


class FakeLibrary:
    """kernels: by name, what PTX modules are made from; put there before they are loaded."""

    def __init__(self, cards: int = 1) -> None:
        self.emulator = Emulator(cards)
        self.cards = cards
        self.calls: list[str] = []
        self.kernels: dict[str, Any] = {}
        self.modules: dict[int, str] = {}
        self.functions: dict[int, Any] = {}
        self.streams: set[int] = set()
        self.events: dict[int, float] = {}
        self.context = 0
        self.begun = False
        self.fail: dict[str, int] = {}
        self._handles = 0x1000
        self._held: list[Any] = []
        for name, types in cu.SIGNATURES.items():
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
                return cu.OUT_OF_MEMORY
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
        found[0] = 12040

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

    def _cuStreamCreate(self, found, flags):
        assert self.index >= 0 and flags == cu.NON_BLOCKING
        found[0] = self.handle()
        self.streams.add(self._handles)

    def _cuStreamSynchronize(self, stream):
        self._checked(stream)
        self.emulator.synchronize(self.index)

    def _checked(self, stream) -> None:
        if stream not in self.streams:
            raise RuntimeError("no such stream")

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
        self._checked(stream)
        found[0] = self.emulator.allocate(self.index, size)

    def _cuMemFreeAsync(self, address, stream):
        self._checked(stream)
        self.emulator.free(self.index, address)

    def _cuMemcpyHtoDAsync_v2(self, address, source, size, stream):
        self._checked(stream)
        data = np.frombuffer(ctypes.string_at(source, size), np.uint8)
        self.emulator.copy_in(self.index, address, data)

    def _cuMemcpyDtoHAsync_v2(self, target, address, size, stream):
        self._checked(stream)
        data = np.empty(size, np.uint8)
        self.emulator.copy_out(self.index, data, address)
        ctypes.memmove(target, data.ctypes.data, size)

    def _cuMemsetD8Async(self, address, value, size, stream):
        self._checked(stream)
        assert value == 0
        self.emulator.clear(self.index, address, size)

    # ---- kernels -------------------------------------------------------------------------------

    def _cuModuleLoadData(self, found, image):
        text = ctypes.string_at(image).decode()
        (name,) = re.findall(r"\.visible \.entry (\w+)\(", text)
        kernel = self.kernels[name]
        assert text.count(f"{name}_param_") >= len(kernel.arguments())
        assert f".maxntid {kernel.threads}" in text and ".target sm_80" in text
        found[0] = self.handle()
        self.modules[self._handles] = name

    def _cuModuleGetFunction(self, found, module, name):
        if self.modules[module] != name.decode():
            return NOT_FOUND
        found[0] = self.handle()
        self.functions[self._handles] = self.emulator.load(self.index, self.kernels[name.decode()])

    def _cuLaunchKernel(self, function, *rest):
        *grid, shared, stream, values, extra = rest
        self._checked(stream)
        loaded = self.functions[function]
        kernel = loaded.kernel
        assert grid[1:] == [1, 1, kernel.threads, 1, 1] and shared == 0 and not extra
        words = [
            ctypes.cast(values[k], ctypes.POINTER(ctypes.c_int64))[0]
            for k in range(len(kernel.arguments()))
        ]
        pointers = kernel.buffers + kernel.scratch
        self.emulator.launch(self.index, loaded, grid[0], words[:pointers], words[pointers:])

    # ---- events --------------------------------------------------------------------------------

    def _cuEventCreate(self, found, flags):
        found[0] = self.handle()
        self.events[self._handles] = -1.0

    def _cuEventRecord(self, event, stream):
        self._checked(stream)
        assert self.events[event] == -1.0
        self.events[event] = self.emulator.mark(self.index)

    def _cuEventQuery(self, event):
        assert self.events[event] >= 0

    def _cuEventSynchronize(self, event):
        assert self.events[event] >= 0

    def _cuEventElapsedTime(self, found, start, end):
        found[0] = self.emulator.milliseconds(self.events[start], self.events[end])

    def _cuEventDestroy_v2(self, event):
        del self.events[event]
