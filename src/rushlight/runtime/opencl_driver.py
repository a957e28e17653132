"""Devices of OpenCL through the library that their makers install: text in, addresses as pointers.

In: what `devices.Driver` asks for.  Out: calls of libOpenCL by ctypes.  Memory is shared virtual
memory, so a kernel takes plain pointers; a stream is a queue, in which everything runs in order.
Kernels are OpenCL C (`codegen/device_c.py`), which the library compiles.  Level 8.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from ctypes import (
    byref,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from sys import is_finalizing
from typing import Any

import numpy as np

from rushlight.codegen.device_c import (
    OPENCL,
    OPENCL_SINGLE,
    Dialect,
    device_text,
)
from rushlight.codegen.grid import GridKernel
from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.device_streams import where_it_works
from rushlight.runtime.devices import Facts, OutOfDeviceMemory
from rushlight.runtime.text_driver import Function, TextDriver

_POINTER = ctypes.POINTER
_BITS, _COUNT = c_uint64, c_uint32
# Function -> (type of the result, types of the arguments).
SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "clGetPlatformIDs": (c_int32, (_COUNT, _POINTER(c_void_p), _POINTER(_COUNT))),
    "clGetDeviceIDs": (
        c_int32, (c_void_p, _BITS, _COUNT, _POINTER(c_void_p), _POINTER(_COUNT)),
    ),
    "clGetDeviceInfo": (c_int32, (c_void_p, _COUNT, c_size_t, c_void_p, _POINTER(c_size_t))),
    "clCreateContext": (
        c_void_p,
        (c_void_p, _COUNT, _POINTER(c_void_p), c_void_p, c_void_p, _POINTER(c_int32)),
    ),
    "clCreateCommandQueueWithProperties": (
        c_void_p, (c_void_p, c_void_p, c_void_p, _POINTER(c_int32)),
    ),
    "clSVMAlloc": (c_void_p, (c_void_p, _BITS, c_size_t, c_uint32)),
    "clSVMFree": (None, (c_void_p, c_void_p)),
    "clEnqueueSVMMemcpy": (
        c_int32,
        (c_void_p, c_uint32, c_void_p, c_void_p, c_size_t, _COUNT, c_void_p, _POINTER(c_void_p)),
    ),
    "clEnqueueSVMMemFill": (
        c_int32,
        (c_void_p, c_void_p, c_void_p, c_size_t, c_size_t, _COUNT, c_void_p, _POINTER(c_void_p)),
    ),
    "clCreateProgramWithSource": (
        c_void_p, (c_void_p, _COUNT, _POINTER(c_char_p), _POINTER(c_size_t), _POINTER(c_int32)),
    ),
    "clBuildProgram": (
        c_int32, (c_void_p, _COUNT, _POINTER(c_void_p), c_char_p, c_void_p, c_void_p),
    ),
    "clGetProgramBuildInfo": (
        c_int32, (c_void_p, c_void_p, _COUNT, c_size_t, c_void_p, _POINTER(c_size_t)),
    ),
    "clCreateKernel": (c_void_p, (c_void_p, c_char_p, _POINTER(c_int32))),
    "clSetKernelArg": (c_int32, (c_void_p, _COUNT, c_size_t, c_void_p)),
    "clSetKernelArgSVMPointer": (c_int32, (c_void_p, _COUNT, c_void_p)),
    "clEnqueueNDRangeKernel": (
        c_int32,
        (c_void_p, c_void_p, _COUNT, _POINTER(c_size_t), _POINTER(c_size_t), _POINTER(c_size_t),
         _COUNT, c_void_p, _POINTER(c_void_p)),
    ),
    "clEnqueueBarrierWithWaitList": (
        c_int32, (c_void_p, _COUNT, _POINTER(c_void_p), _POINTER(c_void_p)),
    ),
    "clFlush": (c_int32, (c_void_p,)),
    "clReleaseCommandQueue": (c_int32, (c_void_p,)),
    "clEnqueueMarkerWithWaitList": (c_int32, (c_void_p, _COUNT, c_void_p, _POINTER(c_void_p))),
    "clGetEventInfo": (c_int32, (c_void_p, _COUNT, c_size_t, c_void_p, _POINTER(c_size_t))),
    "clGetEventProfilingInfo": (
        c_int32, (c_void_p, _COUNT, c_size_t, c_void_p, _POINTER(c_size_t)),
    ),
    "clWaitForEvents": (c_int32, (_COUNT, _POINTER(c_void_p))),
    "clReleaseEvent": (c_int32, (c_void_p,)),
    "clFinish": (c_int32, (c_void_p,)),
}  # fmt: skip
SUCCESS, OUT_OF_MEMORY = 0, (-4, -5, -6)
ALL_DEVICES = 0xFFFFFFFF
# cl_device_info and its like.
DEVICE_NAME, COMPUTE_UNITS, WORK_GROUP, GLOBAL_BYTES, LOCAL_BYTES, SVM, CLOCK, TYPE, VENDOR = (
    0x102B, 0x1002, 0x1004, 0x101F, 0x1023, 0x1053, 0x100C, 0x1000, 0x1001,
)  # fmt: skip
DOUBLES = 0x1032
GPU, INTEL = 1 << 2, 0x8086
QUEUE_PROPERTIES, PROFILING = 0x1093, 1 << 1
BUILD_LOG, EXEC_STATUS, ENDED = 0x1183, 0x11D3, 0x1283
COARSE_BUFFERS = 1
READ_WRITE = 1
ALIGNMENT = 64
# Division and square roots are to be rounded as IEEE 754 says.
OPTIONS = b"-cl-std=CL2.0 -cl-fp32-correctly-rounded-divide-sqrt"


_LIBRARIES = {
    "win32": "OpenCL.dll", "darwin": "/System/Library/Frameworks/OpenCL.framework/OpenCL",
}  # fmt: skip


def open_library(name: str | None = None) -> Any:
    """The library.  Raises: NoDriver."""
    chosen = name or _LIBRARIES.get(sys.platform, "libOpenCL.so.1")
    try:
        return ctypes.CDLL(chosen)
    except OSError as error:
        raise NoDriver(f"{chosen} cannot be loaded ({error})") from None


class Mark:
    """An event behind some work of a device; it goes with the last reference."""

    __slots__ = ("driver", "index", "event")

    def __init__(self, driver: OpenClDriver, index: int, event: c_void_p) -> None:
        self.driver = driver
        self.index = index
        self.event = event

    def __del__(self) -> None:
        if not is_finalizing():
            with where_it_works:
                self.driver.release(self.event)


class _Device:
    """What is kept of one device."""

    def __init__(
        self, number: Any, context: Any, queue: Any, facts: Facts, dialect: Dialect
    ) -> None:
        self.number = number
        self.context = context
        self.first = queue
        self.facts = facts
        self.dialect = dialect
        self.used = 0
        self.sizes: dict[int, int] = {}

    def queue(self, stream: int) -> Any:
        """The library's handle of a stream, 0 for the one that the device begins with."""
        return stream or self.first


class OpenClDriver(TextDriver):
    """Every device of every platform that can share virtual memory, or Intel's GPUs alone.

    Raises: NoDriver if the library lacks a function.
    """

    def __init__(self, library: Any, only_intel: bool = False) -> None:
        super().__init__()
        self._functions: dict[str, Any] = {}
        for name, (result, types) in SIGNATURES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise NoDriver(f"OpenCL is older than 2.0: it has no {name}") from None
            function.argtypes, function.restype = types, result
            self._functions[name] = function
        numbers = self._numbers()
        if only_intel:
            numbers = [n for n in numbers if self._is_intels(n)]
        self._devices = [d for d in map(self._begun, numbers) if d is not None]
        self._streams: list[list[int]] = [[] for _ in self._devices]

    def _call(self, name: str, *arguments: Any) -> None:
        status = self._functions[name](*arguments)
        if status == SUCCESS:
            return
        if status in OUT_OF_MEMORY:
            raise OutOfDeviceMemory
        raise RuntimeError(f"OpenCL error {status}, told by {name}")

    def _made(self, name: str, *arguments: Any) -> Any:
        """The object that a function makes."""
        status = c_int32()
        found = self._functions[name](*arguments, byref(status))
        if status.value != SUCCESS:
            raise RuntimeError(f"OpenCL error {status.value}, told by {name}")
        return found

    def _listed(self, name: str, *arguments: Any) -> list[Any]:
        count = _COUNT()
        if self._functions[name](*arguments, 0, None, byref(count)) != SUCCESS or not count.value:
            return []
        found = (c_void_p * count.value)()
        self._call(name, *arguments, count.value, found, None)
        return list(found)

    def _numbers(self) -> list[Any]:
        platforms = self._listed("clGetPlatformIDs")
        return [d for p in platforms for d in self._listed("clGetDeviceIDs", p, ALL_DEVICES)]

    def _info(self, number: Any, which: int, kind: Any = c_uint64) -> int:
        found = kind()
        status = self._functions["clGetDeviceInfo"](
            number, which, ctypes.sizeof(found), byref(found), None
        )
        return found.value if status == SUCCESS else 0

    def _is_intels(self, number: Any) -> bool:
        kind, vendor = self._info(number, TYPE), self._info(number, VENDOR, c_uint32)
        return bool(kind & GPU) and vendor == INTEL

    def _begun(self, number: Any) -> _Device | None:
        if not self._info(number, SVM) & COARSE_BUFFERS:
            return None
        name = ctypes.create_string_buffer(256)
        self._call("clGetDeviceInfo", number, DEVICE_NAME, 256, name, None)
        facts = Facts(
            name=f"OpenCL: {name.value.decode(errors='replace')}",
            capability=(0, 0),
            multiprocessors=self._info(number, COMPUTE_UNITS, c_uint32),
            threads=self._info(number, WORK_GROUP, c_size_t),
            shared_bytes=self._info(number, LOCAL_BYTES),
            total_bytes=self._info(number, GLOBAL_BYTES),
            clock_khz=1000 * self._info(number, CLOCK, c_uint32),
        )
        one = (c_void_p * 1)(number)
        context = self._made("clCreateContext", None, 1, one, None, None)
        dialect = OPENCL if self._info(number, DOUBLES) else OPENCL_SINGLE
        return _Device(number, context, self._queue(context, number), facts, dialect)

    def _queue(self, context: Any, number: Any) -> Any:
        properties = (c_uint64 * 3)(QUEUE_PROPERTIES, PROFILING, 0)
        return self._made("clCreateCommandQueueWithProperties", context, number, properties)

    # ---- facts ---------------------------------------------------------------------------------

    def device_count(self) -> int:
        """How many there are."""
        return len(self._devices)

    def facts(self, index: int) -> Facts:
        """What one of them is."""
        return self._devices[index].facts

    # ---- memory --------------------------------------------------------------------------------

    def allocate(self, index: int, nbytes: int, stream: int = 0) -> int:
        """Address of new memory.  Raises: OutOfDeviceMemory."""
        device = self._devices[index]
        address = None
        if device.used + nbytes <= device.facts.total_bytes:
            address = self._functions["clSVMAlloc"](device.context, READ_WRITE, nbytes, ALIGNMENT)
        if not address:
            raise OutOfDeviceMemory
        device.used += nbytes
        device.sizes[address] = nbytes
        return address

    def free(self, index: int, address: int, stream: int = 0) -> None:
        """Give memory back, once the work that uses it is done."""
        device = self._devices[index]
        self._call("clFinish", device.queue(stream))
        self._functions["clSVMFree"](device.context, address)
        device.used -= device.sizes.pop(address)

    def memory_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes."""
        device = self._devices[index]
        return device.facts.total_bytes - device.used, device.facts.total_bytes

    def copy_in(
        self, index: int, address: int, source: np.ndarray, stream: int = 0, locked: bool = False
    ) -> None:
        """Copy from the host, which waits for it."""
        self._copy(index, address, source.ctypes.data, source.nbytes, stream)

    def copy_out(self, index: int, target: np.ndarray, address: int, stream: int = 0) -> None:
        """Copy to the host, after all work of the stream."""
        self._copy(index, target.ctypes.data, address, target.nbytes, stream)

    def copy_over(
        self, index: int, address: int, origin: int, source: int, nbytes: int, stream: int = 0
    ) -> None:
        """Copy from another device, by way of the host."""
        block = np.empty(nbytes, np.uint8)
        self.synchronize(index, stream)
        self.copy_out(origin, block, source)
        self.copy_in(index, address, block, stream)

    def _copy(self, index: int, target: int, source: int, nbytes: int, stream: int) -> None:
        queue = self._devices[index].queue(stream)
        self._call("clEnqueueSVMMemcpy", queue, 1, target, source, nbytes, 0, None, None)

    def clear(self, index: int, address: int, nbytes: int, stream: int = 0) -> None:
        """Set bytes to zero."""
        zero = (ctypes.c_ubyte * 1)()
        queue = self._devices[index].queue(stream)
        if nbytes:
            self._call("clEnqueueSVMMemFill", queue, address, zero, 1, nbytes, 0, None, None)

    # ---- kernels -------------------------------------------------------------------------------

    def load(self, index: int, kernel: GridKernel) -> Function:
        """Let the library compile a kernel's text.  Raises: NoKernel where it has no words."""
        device = self._devices[index]
        text = device_text(kernel, device.dialect)
        source = (c_char_p * 1)(text.text.encode())
        program = self._made("clCreateProgramWithSource", device.context, 1, source, None)
        one = (c_void_p * 1)(device.number)
        status = self._functions["clBuildProgram"](program, 1, one, OPTIONS, None, None)
        if status != SUCCESS:
            log = ctypes.create_string_buffer(1 << 14)
            self._call(
                "clGetProgramBuildInfo", program, device.number, BUILD_LOG, len(log), log, None
            )
            raise RuntimeError(
                f"OpenCL error {status}: {kernel.name} was not compiled\n"
                f"{log.value.decode(errors='replace')}"
            )
        return Function(kernel, text, self._made("clCreateKernel", program, kernel.name.encode()))

    def launch(
        self, index: int, function: Function, blocks: int, addresses: Sequence[int],
        words: Sequence[int], stream: int = 0,
    ) -> None:  # fmt: skip
        """Run a function; it is on its way when this returns."""
        handle, text = function.handle, function.text
        for place, address in enumerate(addresses):
            self._call("clSetKernelArgSVMPointer", handle, place, address)
        floating = (*function.kernel.params, False)
        for place, (word, is_floating) in enumerate(zip(words, floating), len(addresses)):
            value: Any = c_uint64(word & (2**64 - 1))
            if is_floating:
                value = c_double.from_buffer(value)
                if text.single:
                    value = c_float(value.value)
            self._call("clSetKernelArg", handle, place, ctypes.sizeof(value), byref(value))
        local = (c_size_t * 1)(text.local)
        whole = (c_size_t * 1)(blocks * text.split * text.local)
        queue = self._devices[index].queue(stream)
        self._call("clEnqueueNDRangeKernel", queue, handle, 1, None, whole, local, 0, None, None)

    def synchronize(self, index: int, stream: int | None = None) -> None:
        """Wait for all work.  Raises: RuntimeError if some of it failed."""
        device = self._devices[index]
        every = (device.first, *self._streams[index])
        for queue in every if stream is None else (device.queue(stream),):
            self._call("clFinish", queue)

    # ---- streams -------------------------------------------------------------------------------

    def new_stream(self, index: int, priority: int = 0) -> int:
        """Another queue; priorities make no difference."""
        device = self._devices[index]
        made = self._queue(device.context, device.number)
        self._streams[index].append(made)
        return made

    def free_stream(self, index: int, stream: int) -> None:
        """The end of a queue, once its work is done."""
        self._streams[index].remove(stream)
        self._call("clReleaseCommandQueue", stream)

    def mark(self, index: int, stream: int = 0) -> Mark:
        """An event behind the work that a stream was given, which begins to run."""
        event = c_void_p()
        queue = self._devices[index].queue(stream)
        self._call("clEnqueueMarkerWithWaitList", queue, 0, None, byref(event))
        self._call("clFlush", queue)
        return Mark(self, index, event)

    def follow(self, index: int, stream: int, mark: Mark) -> None:
        """Further work of a stream waits for a mark; the program does for another device's."""
        if mark.index != index:
            self.wait(mark)
            return
        queue = self._devices[index].queue(stream)
        self._call("clEnqueueBarrierWithWaitList", queue, 1, byref(mark.event), None)

    def release(self, event: c_void_p) -> None:
        """The end of an event."""
        self._call("clReleaseEvent", event)

    def reached(self, mark: Mark) -> bool:
        """Whether the work before a mark is done."""
        found = c_int32()
        self._call("clGetEventInfo", mark.event, EXEC_STATUS, 4, byref(found), None)
        return found.value <= 0

    def wait(self, mark: Mark) -> None:
        """Wait for the work before a mark."""
        self._call("clWaitForEvents", 1, byref(mark.event))

    def milliseconds(self, start: Mark, end: Mark) -> float:
        """Time between two marks that were reached."""
        times = []
        for mark in (start, end):
            found = c_uint64()
            self._call("clGetEventProfilingInfo", mark.event, ENDED, 8, byref(found), None)
            times.append(found.value)
        return (times[1] - times[0]) * 1e-6
