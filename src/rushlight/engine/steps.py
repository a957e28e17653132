"""NativeStep: one call of machine code inside a plan, whatever made the code.  Level 9."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from rushlight.base.symbolic import Sym, largest
from rushlight.engine.kernels import kernel_library
from rushlight.loopnest.ir import Kernel
from rushlight.lowering.group import Nest
from rushlight.runtime.jit import Library

# Up to so many elements, the fastest code saves half a microsecond a run over brief code at most,
# and takes milliseconds longer to compile.
FEW_ELEMENTS = 2048
# How much larger sizes may become than those known before brief code gets in their way.
_GROWTH = 8
# Elements that one thread takes at least of a kernel's parallel loop.
_SMALLEST_SHARE = 1 << 15


class Brief(NamedTuple):
    """A kernel that is brief code as long as it has few elements."""

    kernel: Kernel
    elements: Sym


@dataclass
class NativeStep:
    """A function of the common signature and its arguments.

    library: the module that holds it; its code stays loaded as long as somebody refers to it.
    buffers: slots in the order of the pointers; written: which of them it writes.
    words: (number, None, False), or (0, slot of a scalar leaf, whether it is floating).
    extent, grain: iterations of its parallel loop, and how many a thread takes at least.
    sizes: of a matrix product (batches, m, n, k).
    group, part: the group of the schedule it is of, and which of that group's steps.
    facts: what reports say of it, once one asked (`describe.KernelFacts`).
    brief: how to get faster code where its sizes vary and this is brief code, else None.
    copies: as of a nest (`lowering/group.py`), by slots of memory.
    """

    library: Library
    function: str
    buffers: list[int]
    written: set[int]
    words: list[tuple[int, int | None, bool]]
    extent: int
    grain: int
    sizes: tuple[int, ...] = ()
    group: int = -1
    part: int = 0
    facts: Any = None
    brief: Brief | None = None
    copies: tuple[int, int] | None = None


def step_of_nest(nest: Nest) -> NativeStep:
    """The step that runs a loop nest's kernel."""
    words = []
    for param, word in zip(nest.kernel.params, nest.words):
        floating = param.dtype in ("float32", "float64")
        words.append((word.value or 0, word.slot, floating))
    grain = largest([1, _SMALLEST_SHARE // largest([nest.row_elements, 1])])
    elements: Any = nest.extent * nest.row_elements
    varies = elements.__class__ is Sym
    if varies:
        # What grew may grow further, and is better compiled now than in the middle of a program;
        # a short last batch is served by the code there is.
        grew = elements.samples[-1] > elements.samples[0]
        brief = (_GROWTH if grew else 1) * max(elements.samples) <= FEW_ELEMENTS
    else:
        brief = elements <= FEW_ELEMENTS
    library, name = kernel_library(nest.kernel, brief)
    step = NativeStep(library, name, nest.buffers, nest.written, words, nest.extent, grain)
    step.copies = nest.copies
    if brief and varies:
        step.brief = Brief(nest.kernel, elements)
    return step
