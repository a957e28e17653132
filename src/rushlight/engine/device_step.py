"""Steps of a plan on a device: a launch there, or a step of the CPU over copies.  Level 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.codegen.grid import GridKernel
from rushlight.engine.steps import NativeStep
from rushlight.loopnest.ir import Expr, Param


@dataclass
class DeviceStep:
    """One launch.

    buffers: slots in the order of the pointers; written: which of them it writes.
    words: (number, slot of a scalar leaf or None, whether it is floating).
    scratch: elements and item size of each row of scratch, as expressions of the parameters.
    """

    kernel: GridKernel
    function: Any
    name: str
    buffers: list[int]
    written: set[int]
    words: list[tuple[int | float, int | None, bool]]
    extent: int
    scratch: tuple[tuple[Expr, int], ...]
    params: tuple[Param, ...]
    group: int = -1
    part: int = 0


@dataclass
class HostStep:
    """A native step of the CPU over copies of what lies on the device."""

    native: NativeStep
    why: str
    group: int = -1
    part: int = 0

    @property
    def buffers(self) -> list[int]:
        """Slots in the order of the pointers."""
        return self.native.buffers

    @buffers.setter
    def buffers(self, slots: list[int]) -> None:
        self.native.buffers = slots

    @property
    def written(self) -> set[int]:
        """Which of them it writes."""
        return self.native.written
