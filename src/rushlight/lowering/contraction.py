"""Lowerings of matrix product and convolution: what the GEMM's cores do not compute.  Level 6."""

from __future__ import annotations

from rushlight.loopnest.ir import call
from rushlight.lowering.alone import Maker, broadcast_steps
from rushlight.lowering.scalars import as_dtype
from rushlight.lowering.table import Alone, define
from rushlight.lowering.window_gradients import is_single_gradient, single_gradient
from rushlight.lowering.windows import is_single, single_convolution
from rushlight.primitives import contraction as p
from rushlight.tape.program import Value


def _integer_product(maker: Maker, value: Value) -> None:
    """Rows of the result, each the sum of multiples of rows of the second operand."""
    x, y = maker.operand(value, 0), maker.operand(value, 1)
    transpose_x, transpose_y = value.params
    batch = value.shape[:-2]
    m, n = value.shape[-2:]
    k = x.shape[-2] if transpose_x else x.shape[-1]
    x_steps = _steps(x.shape, len(batch), transpose_x)
    y_steps = _steps(y.shape, len(batch), transpose_y)
    logical = value.dtype.name == "bool"
    maker.fill(value, 0)

    def body(shared, ordered, c):
        (step,) = ordered
        *outer, row = shared
        x_at = row * maker.size(x_steps[-2]) + step * maker.size(x_steps[-1])
        y_at = step * maker.size(y_steps[-2]) + c * maker.size(y_steps[-1])
        place = row * maker.size(n) + c
        stride = m * n
        for axis in range(len(batch) - 1, -1, -1):
            x_at = x_at + outer[axis] * maker.size(x_steps[axis])
            y_at = y_at + outer[axis] * maker.size(y_steps[axis])
            place = place + outer[axis] * maker.size(stride)
            stride *= batch[axis]
        read = [as_dtype(e, value.dtype.name) for e in (maker.load(x, x_at), maker.load(y, y_at))]
        term = call("and" if logical else "mul", *read)
        total = call("or" if logical else "add", maker.load(value, place), term)
        return [maker.store(value, place, total)]

    maker.loops((*batch, m), (k,), n, body)


def _steps(shape, batch: int, transposed: bool) -> list[int]:
    """Strides of a contiguous operand along the batch's axes, then rows and columns."""
    steps = broadcast_steps((*(0,) * batch, *shape[-2:]), shape)
    if transposed:
        steps[-2], steps[-1] = steps[-1], steps[-2]
    return steps


def _is_inexact(value: Value, operands: list[Value]) -> bool:
    return value.dtype.is_inexact


def _not_single(value: Value, operands: list[Value]) -> bool:
    return not is_single(value, *operands) and not is_single_gradient(value, *operands)


def _of_single_channels(maker: Maker, value: Value) -> None:
    if is_single(value, *(maker.operand(value, place) for place in range(2))):
        single_convolution(maker, value)
    else:
        single_gradient(maker, value)


define(p.matmul, __name__, Alone(_integer_product, _is_inexact))
define(p.unrounded_matmul, __name__, Alone(_integer_product, _is_inexact))
define(p.byte_matmul, __name__, Alone(_integer_product))
define(p.convolution, __name__, Alone(_of_single_channels, _not_single))
define(p.unrounded_convolution, __name__, Alone(_of_single_channels, _not_single))
