"""CUDA cards through the library that their driver installs: no toolkit, no wheel.

In: what `devices.Driver` asks for.  Out: calls of libcuda by ctypes.  Each device has its primary
context and one stream, in which everything runs in order; memory comes from the driver's own pool,
which keeps what is freed.  Kernels are PTX, which the driver compiles and caches.  Level 8.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_uint64, c_void_p
from sys import is_finalizing
from typing import Any

import numpy as np

from rushlight.codegen.grid import GridKernel
from rushlight.codegen.ptx import module_text, ptx_target
from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.devices import Facts, OutOfDeviceMemory
from rushlight.runtime.jit import assembly_of

_POINTER = ctypes.POINTER
# Function -> types of its arguments; each returns a CUresult.  Device pointers are 64 bits wide.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (_POINTER(c_int),),
    "cuGetErrorName": (c_int, _POINTER(c_char_p)),
    "cuGetErrorString": (c_int, _POINTER(c_char_p)),
    "cuDeviceGetCount": (_POINTER(c_int),),
    "cuDeviceGet": (_POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (_POINTER(c_int), c_int, c_int),
    "cuDeviceTotalMem_v2": (_POINTER(c_size_t), c_int),
    "cuDevicePrimaryCtxRetain": (_POINTER(c_void_p), c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuMemGetInfo_v2": (_POINTER(c_size_t), _POINTER(c_size_t)),
    "cuDeviceGetDefaultMemPool": (_POINTER(c_void_p), c_int),
    "cuMemPoolSetAttribute": (c_void_p, c_int, c_void_p),
    "cuMemPoolTrimTo": (c_void_p, c_size_t),
    "cuStreamCreate": (_POINTER(c_void_p), c_uint),
    "cuStreamSynchronize": (c_void_p,),
    "cuMemAllocAsync": (_POINTER(c_uint64), c_size_t, c_void_p),
    "cuMemFreeAsync": (c_uint64, c_void_p),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuMemsetD8Async": (c_uint64, ctypes.c_ubyte, c_size_t, c_void_p),
    "cuModuleLoadData": (_POINTER(c_void_p), c_void_p),
    "cuModuleGetFunction": (_POINTER(c_void_p), c_void_p, c_char_p),
    "cuLaunchKernel": (
        c_void_p, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_void_p,
        _POINTER(c_void_p), _POINTER(c_void_p),
    ),
    "cuEventCreate": (_POINTER(c_void_p), c_uint),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventQuery": (c_void_p,),
    "cuEventSynchronize": (c_void_p,),
    "cuEventElapsedTime": (_POINTER(c_float), c_void_p, c_void_p),
    "cuEventDestroy_v2": (c_void_p,),
}  # fmt: skip

SUCCESS, OUT_OF_MEMORY, NOT_READY = 0, 2, 600
# CUdevice_attribute, CUmemPool_attribute and CUstream_flags.
CLOCK_RATE, MULTIPROCESSORS, THREADS_OF_MULTIPROCESSOR = 13, 16, 39
CAPABILITY_MAJOR, CAPABILITY_MINOR, SHARED_OPTIN, POOLS = 75, 76, 97, 115
RELEASE_THRESHOLD = 4
NON_BLOCKING = 1
_NAME_BYTES = 256


class Function:
    """A kernel's function in a loaded module."""

    __slots__ = ("kernel", "handle", "module")

    def __init__(self, kernel: GridKernel, handle: c_void_p, module: c_void_p) -> None:
        self.kernel = kernel
        self.handle = handle
        self.module = module


class Mark:
    """An event behind some work; its handle goes with it."""

    def __init__(self, driver: LibCuda, index: int, handle: c_void_p) -> None:
        self.driver = driver
        self.index = index
        self.handle = handle

    def __del__(self) -> None:
        self.driver.destroy_event(self.index, self.handle)


class _Device:
    """What is kept of one card once it is used."""

    def __init__(self, context: c_void_p, stream: c_void_p, pool: c_void_p) -> None:
        self.context = context
        self.stream = stream
        self.pool = pool


class _Current(threading.local):
    """The card whose context this thread uses."""

    def __init__(self) -> None:
        self.index = -1


class LibCuda:
    """The driver's library.  Raises: NoDriver if it lacks a function or finds no card."""

    emulated = False

    def __init__(self, library: Any) -> None:
        self._functions: dict[str, Any] = {}
        for name, types in SIGNATURES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise NoDriver(f"the driver is too old: it has no {name}") from None
            function.argtypes = types
            function.restype = c_int
            self._functions[name] = function
        status = self._functions["cuInit"](0)
        if status != SUCCESS:
            raise NoDriver(f"cuInit: {self._describe(status)}")
        count = c_int()
        self._call("cuDeviceGetCount", byref(count))
        self._count = count.value
        self._devices: dict[int, _Device] = {}
        self._current = _Current()
        self._process = os.getpid()
        self._lock = threading.Lock()

    # ---- calls ---------------------------------------------------------------------------------

    def _describe(self, status: int) -> str:
        texts = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = c_char_p()
            known = self._functions[name](status, byref(text)) == SUCCESS and text.value
            texts.append(text.value.decode() if known and text.value else f"error {status}")
        return f"{texts[0]} ({texts[1]})"

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._functions[name](*arguments)
        if status == SUCCESS:
            return
        if status == OUT_OF_MEMORY:
            raise OutOfDeviceMemory
        raise RuntimeError(
            f"CUDA error: {self._describe(status)}, told by {name}; kernels run behind the "
            "program's back, so an earlier one may be the cause"
        )

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
        self._call("cuStreamCreate", byref(stream), NON_BLOCKING)
        self._call("cuDeviceGetDefaultMemPool", byref(pool), number)
        # What is freed stays with the process until somebody asks for it back.
        keep = c_uint64(2**64 - 1)
        self._call(
            "cuMemPoolSetAttribute", pool, RELEASE_THRESHOLD, ctypes.cast(byref(keep), c_void_p)
        )
        self._current.index = index
        made = self._devices[index] = _Device(context, stream, pool)
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

    # ---- memory --------------------------------------------------------------------------------

    def allocate(self, index: int, nbytes: int) -> int:
        """Address of new memory, in the order of the stream.  Raises: OutOfDeviceMemory."""
        card = self._use(index)
        address = c_uint64()
        self._call("cuMemAllocAsync", byref(address), nbytes, card.stream)
        return address.value

    def free(self, index: int, address: int) -> None:
        """Give memory back, in the order of the stream.  In a forked child it is the parent's."""
        if os.getpid() == self._process:
            self._call("cuMemFreeAsync", address, self._use(index).stream)

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""
        self._use(index)
        free, total = c_size_t(), c_size_t()
        self._call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value, total.value

    def trim(self, index: int) -> None:
        """Give unused memory of the pool back."""
        self._call("cuMemPoolTrimTo", self._use(index).pool, 0)

    def copy_in(self, index: int, address: int, source: np.ndarray) -> None:
        """Copy from the host: ordinary memory is read before the call returns."""
        card = self._use(index)
        self._call("cuMemcpyHtoDAsync_v2", address, source.ctypes.data, source.nbytes, card.stream)

    def copy_out(self, index: int, target: np.ndarray, address: int) -> None:
        """Copy to the host, after all work."""
        card = self._use(index)
        self._call("cuMemcpyDtoHAsync_v2", target.ctypes.data, address, target.nbytes, card.stream)
        self._call("cuStreamSynchronize", card.stream)

    def clear(self, index: int, address: int, nbytes: int) -> None:
        """Set bytes to zero."""
        if nbytes:
            self._call("cuMemsetD8Async", address, 0, nbytes, self._use(index).stream)

    # ---- kernels -------------------------------------------------------------------------------

    def load(self, index: int, kernel: GridKernel) -> Function:
        """Write a kernel as PTX and let the driver load it."""
        target = ptx_target(self.facts(index).capability)
        text = assembly_of(module_text(kernel), target).encode() + b"\0"
        self._use(index)
        module, function = c_void_p(), c_void_p()
        image = ctypes.create_string_buffer(text, len(text))
        self._call("cuModuleLoadData", byref(module), ctypes.cast(image, c_void_p))
        self._call("cuModuleGetFunction", byref(function), module, kernel.name.encode())
        return Function(kernel, function, module)

    def launch(
        self,
        index: int,
        function: Function,
        blocks: int,
        addresses: Sequence[int],
        words: Sequence[int],
    ) -> None:
        """Run a function; it is on its way when this returns."""
        card = self._use(index)
        values = (ctypes.c_int64 * (len(addresses) + len(words)))(*addresses, *words)
        start, size = ctypes.addressof(values), ctypes.sizeof(ctypes.c_int64)
        places = (c_void_p * len(values))(*[start + size * k for k in range(len(values))])
        threads = function.kernel.threads
        self._call(
            "cuLaunchKernel", function.handle, blocks, 1, 1, threads, 1, 1, 0, card.stream,
            places, None,
        )  # fmt: skip

    def synchronize(self, index: int) -> None:
        """Wait for all work.  Raises: RuntimeError if some of it failed."""
        self._call("cuStreamSynchronize", self._use(index).stream)

    # ---- marks ---------------------------------------------------------------------------------

    def mark(self, index: int) -> Mark:
        """An event behind the work asked for so far."""
        card = self._use(index)
        handle = c_void_p()
        self._call("cuEventCreate", byref(handle), 0)
        made = Mark(self, index, handle)
        self._call("cuEventRecord", handle, card.stream)
        return made

    def reached(self, mark: Mark) -> bool:
        """Whether the work before a mark is done."""
        self._use(mark.index)
        status = self._functions["cuEventQuery"](mark.handle)
        if status not in (SUCCESS, NOT_READY):
            raise RuntimeError(f"CUDA error: {self._describe(status)}")
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
