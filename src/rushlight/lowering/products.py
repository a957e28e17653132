"""Contractions computed by the GEMM's cores: which, what they read, what runs in order.

16-bit floats are multiplied and added in float32, and sums are rounded once.  A product of two
matrices reads them where they lie and writes them so; a matrix that a vector is multiplied by is
widened as it is read; a convolution's operands are widened into memory of their own.  Level 6.
"""

from __future__ import annotations

from rushlight.lowering.alone import Checks, Maker
from rushlight.lowering.convolution import (
    can_exchange,
    convolution_items,
    convolution_operands,
    is_convolution,
)
from rushlight.lowering.matmul import UNROUNDED, matmul_operands, matrix_of, product_of
from rushlight.lowering.scalars import HALF
from rushlight.lowering.window_gradients import is_single_gradient
from rushlight.lowering.windows import is_single
from rushlight.schedule.views import StridedOperand
from rushlight.tape.program import OPERATION, Program, Value

_DTYPES = ("float32", "float64", "float16", "bfloat16")
_BYTES = "byte_matmul"


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


def wide_product_source(value: Value, program: Program) -> Value | None:
    """The same where the cores have no products of bytes."""
    return None if value.primitive.name == _BYTES else product_source(value, program)


def _is_product(value: Value, program: Program) -> bool:
    if value.primitive.name not in ("matmul", UNROUNDED, _BYTES) and not is_convolution(value):
        return False
    if value.dtype.name not in _DTYPES and value.primitive.name != _BYTES:
        return False
    operands = [program.values[s] for s in value.inputs]
    if is_convolution(value):
        if is_single(value, *operands) or is_single_gradient(value, *operands):
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


def product_items(
    value: Value, program: Program, checks: Checks, reads_narrow: bool = True
) -> list:
    """Nests, Products and Windows in the order in which they run, that make `value`.

    reads_narrow: whether the machine's products of matrices read and write 16-bit floats.
    """
    source = product_source(value, program)
    assert source is not None
    maker = Maker(program, checks)
    items: list = maker.nests
    if is_convolution(source):
        operands = product_operands(source, program)
        return convolution_items_of(value, source, operands, program, checks)
    read_as = program.values[source.inputs[0]].dtype.name
    if _is_narrow(source, read_as) and reads_narrow:
        narrow = read_as if source.primitive.name == UNROUNDED else ""
        operands = product_operands(source, program)
        items.append(product_of(value, *operands, value, narrow=narrow))
        return items
    read = matrix_of(source)
    x, y = (
        operand if place == read else _widened(operand, maker)
        for place, operand in enumerate(product_operands(source, program))
    )
    target = maker.temporary(value)
    if target.dtype is value.dtype:
        target = value
    stored = read_as if read is not None and read_as in HALF else ""
    items.append(product_of(value, x, y, target, stored))
    if target is not value:
        maker.copy(target, value)
    return items


def convolution_items_of(
    value: Value,
    source: Value,
    operands: tuple[StridedOperand, StridedOperand],
    program: Program,
    checks: Checks,
) -> list:
    """What makes `value` of a convolution and its operands as they lie in memory."""
    maker = Maker(program, checks)
    x, w = [_widened(operand, maker) for operand in operands]
    target = maker.temporary(value)
    if target.dtype is value.dtype:
        target = value
    convolution_items(source, maker, x, w, target, exchanged=source is not value)
    if target is not value:
        maker.copy(target, value)
    return maker.nests


def _is_narrow(source: Value, read_as: str) -> bool:
    """Whether the cores read operands of a dtype where they lie, though those are no float32."""
    if source.primitive.name == _BYTES:
        return True
    halves = read_as in HALF and not is_convolution(source)
    return halves and matrix_of(source) is None


def _widened(operand: StridedOperand, maker: Maker) -> StridedOperand:
    """The operand with its buffer in the dtype of arithmetic; adds the nest that converts it."""
    source = maker.program.values[operand.slot]
    wide = maker.temporary(source)
    if wide.dtype is source.dtype:
        return operand
    maker.copy(source, wide)
    return StridedOperand(wide.slot, operand.shape, operand.strides)
