"""What drivers share that are given kernels as text and make no graphs of launches: OpenCL, Metal.

In: nothing.  Out: the part of `devices.Driver` that is alike for them.  Level 8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.codegen.device_c import DeviceText
from rushlight.codegen.grid import GridKernel
from rushlight.runtime.page_locked import OrdinaryHostMemory


class Function:
    """A kernel that the library made from a text; handle: the library's."""

    __slots__ = ("kernel", "text", "handle")

    def __init__(self, kernel: GridKernel, text: DeviceText, handle: Any) -> None:
        self.kernel = kernel
        self.text = text
        self.handle = handle


class TextDriver(OrdinaryHostMemory):
    """Devices whose memory is ordinary to the host, and whose launches make no graphs."""

    emulated = False
    graphs = joins = pooled = False

    def trim(self, index: int) -> None:
        """Nothing is kept."""

    def reaches(self, index: int, other: int) -> bool:
        """Each device is alone."""
        return False

    def chain(
        self, index: int, launches: Sequence[tuple[Function, int, int]], stream: int = 0
    ) -> Any:
        """Raises: RuntimeError: there are no graphs."""
        raise RuntimeError("launches on such a device make no graphs")

    def run_chain(self, index: int, chain: Any, table: np.ndarray, stream: int = 0) -> None:
        """Nobody has a chain."""

    def free_chain(self, index: int, chain: Any, stream: int = 0) -> None:
        """Nobody has a chain."""
