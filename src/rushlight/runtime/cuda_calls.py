"""The functions of libcuda that are used, with their types, and what their statuses mean.

In: the library that the driver installs.  Out: calls that raise.  Level 8.
"""

from __future__ import annotations

from ctypes import (
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_float,
    c_int,
    c_size_t,
    c_ubyte,
    c_uint,
    c_uint64,
    c_void_p,
)
from typing import Any

from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.devices import OutOfDeviceMemory


class KernelNode(Structure):
    """CUDA_KERNEL_NODE_PARAMS_v1."""

    _fields_ = [
        ("function", c_void_p),
        ("blocks_x", c_uint), ("blocks_y", c_uint), ("blocks_z", c_uint),
        ("threads_x", c_uint), ("threads_y", c_uint), ("threads_z", c_uint),
        ("shared_bytes", c_uint),
        ("parameters", POINTER(c_void_p)),
        ("extra", POINTER(c_void_p)),
    ]  # fmt: skip


_HANDLE = POINTER(c_void_p)
# Function -> types of its arguments; each returns a CUresult.  Device pointers are 64 bits wide.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDeviceTotalMem_v2": (POINTER(c_size_t), c_int),
    "cuDeviceCanAccessPeer": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (_HANDLE, c_int),
    "cuCtxSetCurrent": (c_void_p,),
    "cuCtxSynchronize": (),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuDeviceGetDefaultMemPool": (_HANDLE, c_int),
    "cuMemPoolSetAttribute": (c_void_p, c_int, c_void_p),
    "cuMemPoolTrimTo": (c_void_p, c_size_t),
    "cuStreamCreateWithPriority": (_HANDLE, c_uint, c_int),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamWaitEvent": (c_void_p, c_void_p, c_uint),
    "cuMemAllocAsync": (POINTER(c_uint64), c_size_t, c_void_p),
    "cuMemFreeAsync": (c_uint64, c_void_p),
    "cuMemHostAlloc": (_HANDLE, c_size_t, c_uint),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
    "cuMemcpyPeerAsync": (c_uint64, c_void_p, c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemsetD8Async": (c_uint64, c_ubyte, c_size_t, c_void_p),
    "cuLinkCreate_v2": (c_uint, POINTER(c_int), _HANDLE, _HANDLE),
    "cuLinkAddData_v2": (
        c_void_p, c_int, c_void_p, c_size_t, c_char_p, c_uint, POINTER(c_int), _HANDLE,
    ),
    "cuLinkComplete": (c_void_p, _HANDLE, POINTER(c_size_t)),
    "cuLinkDestroy": (c_void_p,),
    "cuModuleLoadData": (_HANDLE, c_void_p),
    "cuModuleGetFunction": (_HANDLE, c_void_p, c_char_p),
    "cuLaunchKernel": (
        c_void_p, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_void_p, _HANDLE,
        _HANDLE,
    ),
    "cuGraphCreate": (_HANDLE, c_uint),
    "cuGraphAddKernelNode": (_HANDLE, c_void_p, _HANDLE, c_size_t, POINTER(KernelNode)),
    "cuGraphInstantiateWithFlags": (_HANDLE, c_void_p, c_uint64),
    "cuGraphLaunch": (c_void_p, c_void_p),
    "cuGraphExecDestroy": (c_void_p,),
    "cuGraphDestroy": (c_void_p,),
    "cuEventCreate": (_HANDLE, c_uint),
    "cuEventRecord": (c_void_p, c_void_p),
    "cuEventQuery": (c_void_p,),
    "cuEventSynchronize": (c_void_p,),
    "cuEventElapsedTime": (POINTER(c_float), c_void_p, c_void_p),
    "cuEventDestroy_v2": (c_void_p,),
}  # fmt: skip

SUCCESS, OUT_OF_MEMORY, NOT_READY = 0, 2, 600
# What a driver answers to code that it cannot use: invalid image, no binary for the card, PTX or
# another version of binaries, no linker.
UNUSABLE_CODE = (200, 209, 218, 222, 801)


class Refused(RuntimeError):
    """A function's status was an error; status: its number."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Calls:
    """The library's functions by name.  Raises: NoDriver if it lacks one, or does not start."""

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
            raise NoDriver(f"cuInit: {self.describe(status)}")

    def describe(self, status: int) -> str:
        """A status in words."""
        texts = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = c_char_p()
            known = self._functions[name](status, byref(text)) == SUCCESS and text.value
            texts.append(text.value.decode() if known and text.value else f"error {status}")
        return f"{texts[0]} ({texts[1]})"

    def status(self, name: str, *arguments: Any) -> int:
        """What a function answers."""
        return self._functions[name](*arguments)

    def __call__(self, name: str, *arguments: Any) -> None:
        """Call a function.  Raises: OutOfDeviceMemory, Refused."""
        status = self._functions[name](*arguments)
        if status == SUCCESS:
            return
        if status == OUT_OF_MEMORY:
            raise OutOfDeviceMemory
        raise Refused(
            f"CUDA error: {self.describe(status)}, told by {name}; kernels run behind the "
            "program's back, so an earlier one may be the cause",
            status,
        )
