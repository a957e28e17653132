"""The back end of CUDA devices, on whichever driver there is: cards, or the emulator.

The driver is looked for at the first question.  `RUSHLIGHT_CUDA=emulated` chooses the emulator,
`off` none; otherwise a card is used where its driver can be loaded.  Level 9.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.config import config
from rushlight.base.device import device, install_resolver, no_cuda, placing
from rushlight.base.forks import lock_known_to_forks
from rushlight.base.stats import stats
from rushlight.engine.backends import Runnable, add_backend
from rushlight.loopnest.ir import Kernel
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.memo import memo
from rushlight.tape.tape import local

EMULATED, OFF = "emulated", "off"


@functools.cache
def _place(index: int) -> device:
    """The object that stands for a device, whatever drives it: devices are told by identity."""
    return device("cuda", index)


class CudaBackend:
    """One device of a driver."""

    def __init__(self, driver: Any, index: int) -> None:
        devices = importlib.import_module("rushlight.runtime.devices")
        self.driver = driver
        self.index = index
        self.device = _place(index)
        self.facts = driver.facts(index)
        self.allocator = devices.Allocator(driver, index, self.device)
        self._kernels: dict[str, Any] = {}

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        """A value with unspecified elements."""
        return self.allocator.empty(shape, dtype)

    def from_host(self, array: np.ndarray) -> DeviceArray:
        """A copy of an array."""
        stats.bytes_to_devices += array.nbytes
        return self.allocator.from_host(array)

    def to_host(self, value: DeviceArray) -> np.ndarray:
        """A copy of a value's elements, once they are computed."""
        return value.to_host()

    def here(self, value: Any) -> DeviceArray:
        """A materialised value on this device, copied in if the host has it."""
        return value if type(value) is DeviceArray else self.from_host(np.asarray(value))

    def write(self, target: DeviceArray, array: np.ndarray) -> None:
        """Overwrite a value's elements."""
        if array.nbytes:
            self.driver.copy_in(self.index, target.address, np.ascontiguousarray(array))

    def clear(self, target: DeviceArray) -> None:
        """Zero a value's elements."""
        self.driver.clear(self.index, target.address, target.nbytes)

    def compile(self, kernel: Kernel) -> tuple[Any, Any]:
        """(grid kernel, loaded function) of a loop nest.  Raises: NoKernel."""
        grid = importlib.import_module("rushlight.codegen.grid")
        name = f"kernel_{hashlib.sha256(repr(kernel).encode()).hexdigest()[:24]}"
        return self.loaded(name, lambda: grid.grid_kernel(kernel, name))

    def loaded(self, name: str, make: Callable[[], Any]) -> tuple[Any, Any]:
        """(grid kernel, loaded function) under a name that says all about it."""
        found = self._kernels.get(name)
        if found is None:
            made = make()
            found = self._kernels[name] = (made, self.driver.load(self.index, made))
        return found

    def plan(self, plan: Any, nodes: list) -> Runnable:
        """What runs a stretch of this device."""
        return importlib.import_module("rushlight.engine.device_plan").DevicePlan(plan, nodes, self)

    def launch(self, function: Any, blocks: int, addresses: list[int], words: list[int]) -> None:
        """Run a kernel's function."""
        self.driver.launch(self.index, function, blocks, addresses, words)

    def synchronize(self) -> None:
        """Wait for everything asked for."""
        self.driver.synchronize(self.index)


class _Cuda:
    """backends: one for each device; None before anybody asked."""

    def __init__(self) -> None:
        self.backends: list[CudaBackend] | None = None
        self.reason = ""
        self.lock = lock_known_to_forks("devices")


class _Current(threading.local):
    """The device that `cuda` without a number means, in this thread."""

    def __init__(self) -> None:
        self.index = 0


_cuda = _Cuda()
current = _Current()


def backends() -> list[CudaBackend]:
    """The back ends of all CUDA devices; empty where there is none."""
    if _cuda.backends is None:
        with _cuda.lock:
            if _cuda.backends is None:
                _cuda.backends = _found()
                for backend in _cuda.backends:
                    add_backend(backend)
    return _cuda.backends


def _found() -> list[CudaBackend]:
    if config.cuda == OFF:
        _cuda.reason = "RUSHLIGHT_CUDA=off"
        return []
    if config.cuda == EMULATED:
        return _of(importlib.import_module("rushlight.runtime.emulator").Emulator())
    library = importlib.import_module("rushlight.runtime.cuda_library")
    try:
        opened = library.open_library()
        # LLVM is loaded only where there is a card.
        return _of(importlib.import_module("rushlight.runtime.cuda_driver").LibCuda(opened))
    except library.NoDriver as error:
        _cuda.reason = str(error)
        return []


def _of(driver: Any) -> list[CudaBackend]:
    count = driver.device_count()
    if not count:
        _cuda.reason = "the driver knows no card"
    return [CudaBackend(driver, index) for index in range(count)]


def reason() -> str:
    """Why there is no CUDA device, where there is none."""
    backends()
    return _cuda.reason


def use_driver(chosen: Any) -> None:
    """Take the devices of this driver from now on; None: look for one again.  For tests."""
    with _cuda.lock:
        current.index = 0
        if chosen is None:
            _cuda.backends = None
            placing.begun = False
        else:
            _cuda.backends = _of(chosen)
            for one in _cuda.backends:
                add_backend(one)
    local.tape.drop()
    memo.clear()


def driver() -> Any:
    """The driver in use, or None."""
    found = backends()
    return found[0].driver if found else None


def backend(place: Any = None) -> CudaBackend:
    """The back end of a device given as PyTorch's functions take it; None: the current one.

    Raises: AssertionError without devices, RuntimeError for a number there is none of.
    """
    found = backends()
    if not found:
        raise no_cuda()
    if place is None:
        index = current.index
    elif isinstance(place, int):
        index = current.index if place < 0 else place
    else:
        named = place if isinstance(place, device) else device(place)
        if named.type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {named}")
        index = current.index if named.index is None else named.index
    if index >= len(found):
        raise RuntimeError(
            f"CUDA error: invalid device ordinal: cuda:{index} was asked for, devices: {len(found)}"
        )
    return found[index]


def resolved(place: Any = None) -> device:
    """The object of a device given as PyTorch's functions take it.  Raises: as `backend`."""
    return _resolve(backend(place).device)


def _resolve(named: device) -> device:
    found = backend(named)
    if not placing.begun:
        # Steps recorded before say CPU of what any device computes.
        local.tape.flush("the first use of a device")
        placing.begun = True
        memo.clear()
        local.tape.drop()
    return found.device


install_resolver("cuda", _resolve)
