"""Devices with a driver, by the names that programs give them: `cuda`, `xpu`, `mps`.

In: a kind's name, and a function that finds its driver.  Out: back ends of its devices, found at
the first question, and answers for a device named as PyTorch's functions take it.  Level 9.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from rushlight.base.device import ACCELERATORS, device, install_resolver, no_device, placing
from rushlight.base.forks import lock_known_to_forks
from rushlight.base.stats import stats
from rushlight.engine.backends import Runnable, add_backend, backend_of
from rushlight.loopnest.ir import Kernel
from rushlight.tape.device_array import DeviceArray
from rushlight.tape.memo import memo
from rushlight.tape.tape import local


class NotUsed(Exception):
    """There is no driver of a kind; the message says why."""


@functools.cache
def _place(kind: str, index: int) -> device:
    """The object that stands for a device, whatever drives it: devices are told by identity."""
    return device(kind, index)


class DeviceBackend:
    """One device of a driver; kind: the type of device that programs name."""

    def __init__(self, kind: str, driver: Any, index: int, host: Any) -> None:
        devices = importlib.import_module("rushlight.runtime.devices")
        self._streams = importlib.import_module("rushlight.runtime.device_streams")
        self.driver = driver
        self.index = index
        self.device = _place(kind, index)
        self.facts = driver.facts(index)
        self.allocator = devices.Allocator(driver, index, self.device, host)
        self._kernels: dict[str, Any] = {}
        # Streams by the driver's handle.
        self._made: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        """A value with unspecified elements."""
        return self.allocator.empty(shape, dtype)

    def from_host(self, array: np.ndarray) -> DeviceArray:
        """A copy of an array."""
        stats.bytes_to_devices += array.nbytes
        return self.allocator.from_host(array)

    def from_device(self, value: DeviceArray) -> DeviceArray:
        """A copy of what another device has, without the host where both have one driver."""
        theirs = backend_of(value.device)
        if getattr(theirs, "driver", None) is not self.driver:
            return self.from_host(value.to_host())
        return self.allocator.from_device(value)

    def to_host(self, value: DeviceArray) -> np.ndarray:
        """A copy of a value's elements, once they are computed."""
        return value.to_host()

    def here(self, value: Any) -> DeviceArray:
        """A materialised value on this device, copied in if the host has it.

        Kernels load 16 bytes at a time: what another library laid elsewhere is copied.
        """
        if type(value) is not DeviceArray:
            return self.from_host(np.asarray(value))
        return value if value.address % 16 == 0 else self.allocator.from_device(value)

    def write(self, target: DeviceArray, array: np.ndarray) -> None:
        """Overwrite a value's elements."""
        if array.nbytes:
            source = np.ascontiguousarray(array)
            self.driver.copy_in(self.index, target.address, source, self.stream.handle)

    def clear(self, target: DeviceArray) -> None:
        """Zero a value's elements."""
        self.driver.clear(self.index, target.address, target.nbytes, self.stream.handle)

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
        handle = self.stream.handle
        self.driver.launch(self.index, function, blocks, addresses, words, handle)

    @property
    def stream(self) -> Any:
        """The stream that this thread gives work to."""
        return self.allocator.stream

    def new_stream(self, priority: int = 0) -> Any:
        """Another stream, which goes with its last reference."""
        handle = self.driver.new_stream(self.index, priority)
        made = self._streams.DeviceStream(self.driver, self.index, handle, borrowed=False)
        self._made[handle] = made
        return made

    def stream_of(self, handle: int) -> Any:
        """The stream of a driver's handle, one that another library made if it is not ours.

        0: the one that the device begins with.
        """
        if not handle:
            return self.allocator.first
        found = self._made.get(handle)
        return found or self._streams.DeviceStream(self.driver, self.index, handle)

    def choose_stream(self, stream: Any) -> None:
        """What this thread asks for from now on goes to a stream."""
        self.allocator.chosen.stream = stream

    def synchronize(self) -> None:
        """Wait for everything asked for."""
        self.driver.synchronize(self.index)


# Every kind by its name.
KINDS: dict[str, Accelerators] = {}


def present() -> Accelerators | None:
    """The kind of accelerator that this machine has, or None."""
    return next((KINDS[kind] for kind in ACCELERATORS if KINDS[kind].backends()), None)


class _Current(threading.local):
    """The device that a kind's name without a number means, in this thread."""

    def __init__(self) -> None:
        self.index = 0


class Accelerators:
    """All devices of one kind.

    find: gives the driver, or raises NotUsed.  name: of the kind in errors.
    """

    def __init__(self, kind: str, name: str, find: Callable[[], Any]) -> None:
        self.kind = kind
        self.name = name
        self._find = find
        # None before anybody asked.
        self._backends: list[DeviceBackend] | None = None
        self._reason = ""
        self._lock = lock_known_to_forks("devices")
        self.current = _Current()
        KINDS[kind] = self
        install_resolver(kind, self._resolve)

    def backends(self) -> list[DeviceBackend]:
        """The back ends of all devices; empty where there is none."""
        if self._backends is None:
            with self._lock:
                if self._backends is None:
                    self._backends = self._found()
                    for backend in self._backends:
                        add_backend(backend)
        return self._backends

    def _found(self) -> list[DeviceBackend]:
        try:
            return self._of(self._find())
        except NotUsed as error:
            self._reason = str(error)
            return []

    def _of(self, driver: Any) -> list[DeviceBackend]:
        count = driver.device_count()
        if not count:
            self._reason = "the driver knows no device"
        host = importlib.import_module("rushlight.runtime.page_locked").HostPool(driver)
        return [DeviceBackend(self.kind, driver, index, host) for index in range(count)]

    def reason(self) -> str:
        """Why there is no device, where there is none."""
        self.backends()
        return self._reason

    def use_driver(self, chosen: Any) -> None:
        """Take the devices of this driver from now on; None: look for one again.  For tests."""
        with self._lock:
            self.current.index = 0
            if chosen is None:
                self._backends = None
                placing.begun = False
            else:
                self._backends = self._of(chosen)
                for one in self._backends:
                    add_backend(one)
        # In this order: a tape goes on at the steps that it stands on, and at their plans.
        memo.clear()
        local.tape.drop()

    def host_pool(self) -> Any:
        """The page-locked memory of the host; None where there is no device."""
        found = self.backends()
        return found[0].allocator.host if found else None

    def driver(self) -> Any:
        """The driver in use, or None."""
        found = self.backends()
        return found[0].driver if found else None

    def backend(self, place: Any = None) -> DeviceBackend:
        """The back end of a device given as PyTorch's functions take it; None: the current one.

        Raises: AssertionError without devices, RuntimeError for a number there is none of.
        """
        found = self.backends()
        if not found:
            raise no_device(self.kind)
        current = self.current
        if place is None:
            index = current.index
        elif isinstance(place, int):
            index = current.index if place < 0 else place
        else:
            named = place if isinstance(place, device) else device(place)
            if named.type != self.kind:
                raise ValueError(f"Expected a {self.kind} device, but got: {named}")
            index = current.index if named.index is None else named.index
        if index >= len(found):
            raise RuntimeError(
                f"{self.name} error: invalid device ordinal: {self.kind}:{index} was asked for, "
                f"devices: {len(found)}"
            )
        return found[index]

    def resolved(self, place: Any = None) -> device:
        """The object of a device given as PyTorch's functions take it.  Raises: as `backend`."""
        return self._resolve(self.backend(place).device)

    def _resolve(self, named: device) -> device:
        found = self.backend(named)
        if not placing.begun:
            # Steps recorded before say CPU of what any device computes.
            local.tape.flush("the first use of a device")
            placing.begun = True
            memo.clear()
            local.tape.drop()
        return found.device
