"""Steps of a plan on a device: a launch there, or a step of the CPU over copies.  Level 9."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rushlight.codegen.grid import GridKernel
from rushlight.codegen.ptx import module_text
from rushlight.engine.kernels import COMPILED, Origin
from rushlight.engine.steps import NativeStep
from rushlight.loopnest.ir import Expr, Kernel, Param

_LONG, _DOUBLE = struct.Struct("<q"), struct.Struct("<d")


@dataclass
class DeviceCode:
    """Where a launch's code came from, as a `Library` of the CPU says it."""

    origin: Origin


def bits_of_word(number: float, floating: bool) -> int:
    """A number as the 64 bits that a launch is given."""
    return _LONG.unpack(_DOUBLE.pack(number))[0] if floating else int(number)


@dataclass
class DeviceStep:
    """One launch.

    kernel: of the abstract machine; entry: the driver's handle of it; function: its name.
    buffers: slots in the order of the pointers; written: which of them it writes.
    words: (number, slot of a scalar leaf or None, whether it is floating).
    scratch: elements and item size of each row of scratch, as expressions of the parameters.
    library: what its code was made from.  sizes: of a matrix product (batches, m, n, k).
    blocks: of a launch.  pointers: how many words of it are addresses, the first ones; table: all
    words, each as 64 bits; places: of each buffer's address among them; varying: (place, slot,
    whether it is floating) of numbers that a scalar leaf gives.
    """

    kernel: GridKernel
    entry: Any
    buffers: list[int]
    written: set[int]
    words: list[tuple[int | float, int | None, bool]]
    extent: int
    scratch: tuple[tuple[Expr, int], ...] = ()
    params: tuple[Param, ...] = ()
    nest: Kernel | None = None
    sizes: tuple[int, ...] = ()
    group: int = -1
    part: int = 0
    facts: Any = None

    def __post_init__(self) -> None:
        self.blocks = self.kernel.blocks(self.extent)
        self.pointers = len(self.buffers) + len(self.scratch)
        bits = [bits_of_word(n, floating) for n, _, floating in self.words]
        self.table = [*[0] * self.pointers, *bits, self.extent]
        self.places = list(range(len(self.buffers)))
        self.varying = [
            (place, slot, floating)
            for place, (_, slot, floating) in enumerate(self.words, self.pointers)
            if slot is not None
        ]

    @property
    def function(self) -> str:
        """The kernel's name."""
        return self.kernel.name

    @property
    def library(self) -> DeviceCode:
        """What its code was made from."""
        return DeviceCode(Origin(self.nest, lambda: module_text(self.kernel), COMPILED))


def launch_of(
    loaded: tuple[Any, Any], buffers: list[int], written: set[int], words: Sequence[int | float],
    extent: int,
) -> DeviceStep:  # fmt: skip
    """A launch of a kernel that no loop nest describes, of numbers that do not vary."""
    kernel, function = loaded
    numbers = [(word, None, floating) for word, floating in zip(words, kernel.params)]
    return DeviceStep(kernel, function, buffers, written, list(numbers), extent)


class HostStep:
    """A native step of the CPU over copies of what lies on the device; why: the reason."""

    __slots__ = ("native", "why")

    def __init__(self, native: NativeStep, why: str) -> None:
        self.native = native
        self.why = why

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Its place in the schedule and its buffers are those of the native step."""
        if name in HostStep.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.native, name, value)
