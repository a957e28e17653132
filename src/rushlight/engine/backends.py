"""What the engine asks of a device, whatever it is: the contract of a back end.

A back end holds values, moves them from and to the host, and makes of a plan all of whose values
live on its device something that runs it.  Two for the host are below: the CPU's machine code, and
the reference executor, which judges the others and computes what they refuse; that of CUDA devices,
real or emulated, is in `engine/cuda.py`.  Level 9.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np

from rushlight.base.device import CPU, device
from rushlight.reference.executor import run_plan
from rushlight.tape.primitive import Primitive


class Runnable(Protocol):
    """A plan that one back end has made ready."""

    def run(self, nodes: list) -> BaseException | None:
        """Give the live nodes values.  Returns the first data-dependent error."""

    def steps(self) -> list:
        """Its kernels, in order."""

    @property
    def fallbacks(self) -> list[str]:
        """Names of the operations that no kernel of the device computes."""


class Backend(Protocol):
    """One device.

    device: the object that stands for it in steps, leaves and plans.
    facts: what it is; None for the CPU, whose `Target` says it.
    """

    device: device
    facts: Any

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """A value with unspecified elements."""

    def from_host(self, array: np.ndarray) -> Any:
        """A value from an array in storage form, which the back end may keep."""

    def from_device(self, value: Any) -> Any:
        """A value from another device's."""

    def to_host(self, value: Any) -> np.ndarray:
        """The array of a value, once it is computed."""

    def plan(self, plan: Any, nodes: list) -> Runnable:
        """What runs a plan of values that all live here."""

    def synchronize(self) -> None:
        """Wait until everything asked for is done."""


class _HostBackend:
    """Values are arrays, and nothing is waited for."""

    device = CPU
    facts = None

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array."""
        return np.empty(shape, dtype)

    def from_host(self, array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array

    def from_device(self, value: Any) -> np.ndarray:
        """A copy of what a device has."""
        return value.to_host()

    def to_host(self, value: np.ndarray) -> np.ndarray:
        """The value itself."""
        return value

    def synchronize(self) -> None:
        """Nothing runs behind the program's back."""


class CpuBackend(_HostBackend):
    """The CPU by machine code."""

    def plan(self, plan: Any, nodes: list) -> Runnable:
        """A compiled plan; LLVM is loaded for the first one."""
        return importlib.import_module("rushlight.engine.template").compiled_plan(plan, nodes)


class ReferenceBackend(_HostBackend):
    """The CPU by NumPy, operation by operation: it computes every plan, and fails for none."""

    def plan(self, plan: Any, nodes: list) -> Runnable:
        """The plan as it is."""
        return ReferencePlan(plan, nodes)


class ReferencePlan:
    """A plan whose operations are computed by their reference rules."""

    __slots__ = ("_plan", "_nodes")

    def __init__(self, plan: Any, nodes: list) -> None:
        self._plan = plan
        self._nodes = nodes

    def run(self, nodes: list) -> BaseException | None:
        """As every back end's; what depends on an operation that failed is FlushFailed."""
        return run_plan(self._plan, nodes)

    def steps(self) -> list:
        """It has no kernels."""
        return []

    @property
    def fallbacks(self) -> list[str]:
        """The names of all operations."""
        recorded = [self._nodes[i.slot].step.primitive for i in self._plan.instructions]
        return [primitive.name for primitive in recorded if isinstance(primitive, Primitive)]


# The judge of all others.  It stands beside the table: what it computes lives on the CPU.
JUDGE = ReferenceBackend()

_backends: dict[device, Backend] = {CPU: CpuBackend()}


def add_backend(backend: Backend) -> None:
    """Make a device known."""
    _backends[backend.device] = backend


def backend_of(place: device) -> Backend:
    """The back end of a device that was resolved."""
    return _backends[place]
