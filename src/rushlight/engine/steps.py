"""NativeStep: one call of machine code inside a plan, whatever made the code.  Level 9."""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.engine.kernels import kernel_address
from rushlight.lowering.group import Nest

# Elements that one thread takes at least of a kernel's parallel loop.
_SMALLEST_SHARE = 1 << 15


@dataclass
class NativeStep:
    """A function of the common signature and its arguments.

    buffers: slots in the order of the pointers; written: which of them it writes.
    words: (number, None, False), or (0, slot of a scalar leaf, whether it is floating).
    extent, grain: iterations of its parallel loop, and how many a thread takes at least.
    """

    address: int
    buffers: list[int]
    written: set[int]
    words: list[tuple[int, int | None, bool]]
    extent: int
    grain: int


def step_of_nest(nest: Nest) -> NativeStep:
    """The step that runs a loop nest's kernel."""
    words = []
    for param, word in zip(nest.kernel.params, nest.words):
        floating = param.dtype in ("float32", "float64")
        words.append((word.value or 0, word.slot, floating))
    grain = max(1, _SMALLEST_SHARE // max(nest.row_elements, 1))
    address = kernel_address(nest.kernel)
    return NativeStep(address, nest.buffers, nest.written, words, nest.extent, grain)
