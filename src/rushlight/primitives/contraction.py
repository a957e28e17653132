"""Matrix product and convolution.  Level 2."""

from __future__ import annotations

from rushlight.base.dtypes import HALVES, float32, int8, int32, uint8
from rushlight.base.errors import InternalError
from rushlight.base.orders import channels_last_if_any
from rushlight.base.shapes import broadcast_shapes
from rushlight.tape.primitive import Primitive


def _matmul_result(x, y, transpose_x, transpose_y):
    m, k = x.shape[-2:]
    if transpose_x:
        m, k = k, m
    inner, n = y.shape[-2:]
    if transpose_y:
        inner, n = n, inner
    if k != inner:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {inner}x{n}): matmul needs "
            f"equal inner sizes, got {list(x.shape)} and {list(y.shape)}"
        )
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {x.dtype} != {y.dtype}; "
            "convert one with .to(dtype)"
        )
    return (*broadcast_shapes(x.shape[:-2], y.shape[:-2]), m, n), x.dtype


# (..., m, k) @ (..., k, n) -> (..., m, n); batch axes broadcast.  A flag says that the operand's
# last two axes are stored the other way round.
matmul = Primitive(
    "matmul",
    "contraction",
    "contraction",
    2,
    _matmul_result,
    ("transpose_x", "transpose_y"),
    grad_name="Mm",
    properties="sizeless",
)


def _unrounded_matmul_result(x, y, transpose_x, transpose_y):
    if x.dtype not in HALVES:
        raise InternalError(f"unrounded_matmul of {x.dtype}, whose sums have that dtype")
    shape, _ = _matmul_result(x, y, transpose_x, transpose_y)
    return shape, float32


# The same of 16-bit floats -> float32: the sums before they are rounded, to which a bias is added.
unrounded_matmul = Primitive(
    "unrounded_matmul",
    "contraction",
    "contraction",
    2,
    _unrounded_matmul_result,
    ("transpose_x", "transpose_y"),
    grad_name="Mm",
    properties="sizeless",
)


def _byte_matmul_result(x, y, transpose_x, transpose_y):
    if x.dtype is not uint8 or y.dtype is not int8:
        raise RuntimeError(
            f"byte_matmul: expected uint8 @ int8, got {x.dtype} @ {y.dtype}; convert them first"
        )
    m, k = x.shape[-2:][:: -1 if transpose_x else 1]
    inner, n = y.shape[-2:][:: -1 if transpose_y else 1]
    if k != inner:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {inner}x{n}): byte_matmul "
            f"needs equal inner sizes, got {list(x.shape)} and {list(y.shape)}"
        )
    return (*broadcast_shapes(x.shape[:-2], y.shape[:-2]), m, n), int32


# The same for uint8 @ int8 -> int32, exact but for overflow of the sum, which wraps around.
byte_matmul = Primitive(
    "byte_matmul",
    "contraction",
    "contraction",
    2,
    _byte_matmul_result,
    ("transpose_x", "transpose_y"),
    properties="sizeless",
)


def convolution_size(size, kernel, stride, low, high, dilation, kernel_dilation) -> int:
    """Output size along one axis; see `convolution`."""
    spread = (size - 1) * dilation + 1 if size else 0
    reach = (kernel - 1) * kernel_dilation + 1
    return max((spread + low + high - reach) // stride + 1, 0)


def _convolution_result(x, w, stride, padding, dilation, kernel_dilation, groups):
    if x.dtype is not w.dtype:
        raise RuntimeError(f"Input type ({x.dtype}) and weight type ({w.dtype}) should be the same")
    if x.shape[1] != w.shape[1] * groups:
        raise InternalError(f"convolution of {x.shape} with {w.shape} in {groups} groups")
    sizes = [
        convolution_size(n, k, s, low, high, d, kd)
        for n, k, s, (low, high), d, kd in zip(
            x.shape[2:], w.shape[2:], stride, padding, dilation, kernel_dilation
        )
    ]
    return (x.shape[0], w.shape[0], *sizes), x.dtype


# x: (N, C, *spatial), w: (O, C / groups, *kernel) -> (N, O, *output); cross-correlation.
# `dilation` spreads x with zeros between its elements (transposed convolution), `kernel_dilation`
# spreads w; `padding` is (low, high) for each axis, after spreading, and may be negative.
convolution = Primitive(
    "convolution",
    "contraction",
    "contraction",
    2,
    _convolution_result,
    ("stride", "padding", "dilation", "kernel_dilation", "groups"),
    properties="spatial",
    order=channels_last_if_any,
)


def _unrounded_convolution_result(x, w, *params):
    if x.dtype not in HALVES:
        raise InternalError(f"unrounded_convolution of {x.dtype}, whose sums have that dtype")
    shape, _ = _convolution_result(x, w, *params)
    return shape, float32


# The same of 16-bit floats -> float32: the sums before they are rounded, to which a bias is added.
unrounded_convolution = Primitive(
    "unrounded_convolution",
    "contraction",
    "contraction",
    2,
    _unrounded_convolution_result,
    ("stride", "padding", "dilation", "kernel_dilation", "groups"),
    grad_name="Convolution",
    properties="spatial",
    order=channels_last_if_any,
)
