"""Contractions computed by the GEMM's cores: which, what they read, what runs in order.

16-bit floats are widened into memory of their own, multiplied and added in float32, and rounded
once; a matrix that a vector is multiplied by is widened as it is read.  Level 6.
"""

from __future__ import annotations

from rushlight.lowering.alone import Checks, Maker
from rushlight.lowering.convolution import (
    can_exchange,
    convolution_items,
    convolution_operands,
    is_convolution,
)
from rushlight.lowering.matmul import matmul_operands, matrix_of, product_of
from rushlight.lowering.windows import is_single
from rushlight.schedule.views import StridedOperand
from rushlight.tape.program import OPERATION, Program, Value

_DTYPES = ("float32", "float64", "float16", "bfloat16")


def product_source(value: Value, program: Program) -> Value | None:
    """The matrix product or convolution that the cores compute into this value's memory.

    That is the operation itself, or, of a permutation that exchanges images and channels, the
    convolution that nothing else reads: the gradient of a weight comes so, and the cores write it
    in either order.
    """
    shown = _exchanged(value, program)
    if shown is not None:
        return shown
    return value if _is_product(value, program) and not _is_passed_on(value, program) else None


def _is_product(value: Value, program: Program) -> bool:
    if value.primitive.name != "matmul" and not is_convolution(value):
        return False
    if value.dtype.name not in _DTYPES:
        return False
    operands = [program.values[s] for s in value.inputs]
    if is_convolution(value) and is_single(value, *operands):
        return False
    return value.numel > 0 and all(v.numel > 0 for v in operands)


def _exchanged(value: Value, program: Program) -> Value | None:
    """The convolution whose images and channels the permutation `value` exchanges."""
    if value.primitive.name != "permute":
        return None
    axes = tuple(value.params[0])
    if axes[:2] != (1, 0) or axes[2:] != tuple(range(2, len(axes))):
        return None
    shown = program.values[value.inputs[0]]
    if shown.source != OPERATION or not is_convolution(shown) or shown.live:
        return None
    if len(program.users[shown.slot]) != 1 or not _is_product(shown, program):
        return None
    return shown if can_exchange(shown, program) else None


def _is_passed_on(value: Value, program: Program) -> bool:
    """Whether a convolution is computed into the memory of the permutation that reads it."""
    users = program.users[value.slot]
    if not is_convolution(value) or len(users) != 1:
        return False
    reader = program.values[users[0]]
    return reader.source == OPERATION and _exchanged(reader, program) is value


def product_operands(value: Value, program: Program) -> tuple[StridedOperand, StridedOperand]:
    """The two operands of a product as they lie in memory."""
    if is_convolution(value):
        return convolution_operands(value, program)
    return matmul_operands(value, program)


def product_items(value: Value, program: Program, checks: Checks) -> list:
    """Nests, Products and Windows in the order in which they run, that make `value`."""
    source = product_source(value, program)
    assert source is not None
    maker = Maker(program, checks)
    items: list = maker.nests
    read = None if is_convolution(source) else matrix_of(source)
    x, y = (
        operand if place == read else _widened(operand, maker)
        for place, operand in enumerate(product_operands(source, program))
    )
    target = maker.temporary(value)
    if target.dtype is value.dtype:
        target = value
    if is_convolution(source):
        convolution_items(source, maker, x, y, target, exchanged=source is not value)
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
