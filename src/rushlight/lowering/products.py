"""Contractions computed by the GEMM's cores: which, what they read, what runs in order.

16-bit floats are widened into memory of their own, multiplied and added in float32, and rounded
once; a matrix that a vector is multiplied by is widened as it is read.  Level 6.
"""

from __future__ import annotations

from rushlight.lowering.alone import Checks, Maker
from rushlight.lowering.convolution import (
    convolution_items,
    convolution_operands,
    is_convolution,
)
from rushlight.lowering.matmul import matmul_operands, matrix_of, product_of
from rushlight.lowering.windows import is_single
from rushlight.schedule.views import StridedOperand
from rushlight.tape.program import Program, Value

_DTYPES = ("float32", "float64", "float16", "bfloat16")


def is_product(value: Value, program: Program) -> bool:
    """Whether the cores compute this operation."""
    if value.primitive.name != "matmul" and not is_convolution(value):
        return False
    if value.dtype.name not in _DTYPES:
        return False
    operands = [program.values[s] for s in value.inputs]
    if is_convolution(value) and is_single(value, *operands):
        return False
    return value.numel > 0 and all(v.numel > 0 for v in operands)


def product_operands(value: Value, program: Program) -> tuple[StridedOperand, StridedOperand]:
    """The two operands as they lie in memory."""
    if is_convolution(value):
        return convolution_operands(value, program)
    return matmul_operands(value, program)


def product_items(value: Value, program: Program, checks: Checks) -> list:
    """Nests, Products and Windows in the order in which they run."""
    maker = Maker(program, checks)
    items: list = maker.nests
    read = None if is_convolution(value) else matrix_of(value)
    x, y = (
        operand if place == read else _widened(operand, maker)
        for place, operand in enumerate(product_operands(value, program))
    )
    target = maker.temporary(value)
    if target.dtype is value.dtype:
        target = value
    if is_convolution(value):
        convolution_items(value, maker, x, y, target)
    else:
        stored = value.dtype.name if read is not None and target is not value else ""
        items.append(product_of(value, x, y, target, stored))
    if target is not value:
        maker.copy(target, value)
    return items


def _widened(operand: StridedOperand, maker: Maker) -> StridedOperand:
    """The operand with its buffer in the dtype of arithmetic; adds the nest that converts it."""
    source = maker.program.values[operand.slot]
    wide = maker.temporary(source)
    if wide.dtype is source.dtype:
        return operand
    maker.copy(source, wide)
    return StridedOperand(wide.slot, operand.shape, operand.strides)
