"""Kernels that no loop nest describes, as native steps: products, windows, sorts, recurrences,
attention.  Level 9.
"""

from __future__ import annotations

from rushlight.engine.attention import attention_steps
from rushlight.engine.convolutions import windows_step
from rushlight.engine.products import product_steps
from rushlight.engine.recurrences import recurrence_steps
from rushlight.engine.sorting import sort_steps
from rushlight.engine.steps import NativeStep
from rushlight.lowering.attention import Attention
from rushlight.lowering.convolution import Windows
from rushlight.lowering.matmul import Product
from rushlight.lowering.ordering import Sort
from rushlight.lowering.recurrence import Recurrence
from rushlight.tape.program import Program


def item_steps(
    item: Product | Windows | Sort | Recurrence | Attention, program: Program, constants: dict
) -> list[NativeStep]:
    """The steps of one item of a lowering; the tables they read are added to `constants`."""
    if isinstance(item, Windows):
        return [windows_step(item, program, constants)]
    if isinstance(item, Sort):
        return sort_steps(item, program)
    if isinstance(item, Recurrence):
        return recurrence_steps(item, program)
    if isinstance(item, Attention):
        return attention_steps(item, program)
    return product_steps(item, program, constants)
