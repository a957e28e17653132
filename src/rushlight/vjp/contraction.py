"""VJP rows of matrix product and convolution.  Level 4."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.orders import channels_last_axes, shows_channels_last
from rushlight.base.shapes import contiguous_strides
from rushlight.primitives.contraction import (
    byte_matmul,
    convolution,
    matmul,
    unrounded_convolution,
    unrounded_matmul,
)
from rushlight.primitives.elementwise import cast
from rushlight.primitives.movement import copy, permute, reshape, strided_read
from rushlight.vjp.broadcast import conjugate, sum_to
from rushlight.vjp.table import define, nondifferentiable, wrt


def _matmul_first_vjp(g, out, x, y, transpose_x, transpose_y):
    y = conjugate(y)
    if transpose_x:
        found = matmul(y, g, transpose_y, True)
    else:
        found = matmul(g, y, False, not transpose_y)
    return sum_to(found, x)


def _matmul_second_vjp(g, out, x, y, transpose_x, transpose_y):
    x = conjugate(x)
    if transpose_y:
        found = matmul(g, x, True, transpose_x)
    else:
        found = matmul(x, g, not transpose_x, False)
    return sum_to(found, y)


def _unrounded_first_vjp(g, out, x, y, transpose_x, transpose_y):
    """As of a product that is rounded: its cotangent has 16 bits."""
    return _matmul_first_vjp(cast(g, x.dtype), out, x, y, transpose_x, transpose_y)


def _unrounded_second_vjp(g, out, x, y, transpose_x, transpose_y):
    return _matmul_second_vjp(cast(g, y.dtype), out, x, y, transpose_x, transpose_y)


def flip_spatial(w):
    """w with its spatial axes in the opposite order."""
    shape = tuple(w.shape)
    if 0 in shape:
        return w
    strides = list(contiguous_strides(shape))
    offset = 0
    for axis in range(2, len(shape)):
        offset += (shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    return strided_read(w, w._scalar(offset, int64), shape, tuple(strides))


def swap_channels(w, groups):
    """(O, C / groups, *kernel) -> (C, O / groups, *kernel) within each group."""
    outputs, inner, *kernel = w.shape
    if groups == 1:
        return permute(w, (1, 0, *range(2, 2 + len(kernel))))
    spatial = tuple(range(3, 3 + len(kernel)))
    grouped = reshape(w, (groups, outputs // groups, inner, *kernel))
    swapped = permute(grouped, (0, 2, 1, *spatial))
    return reshape(swapped, (groups * inner, outputs // groups, *kernel))


def input_pads(g, x, kernel, stride, padding, dilation, kernel_dilation):
    """What is padded to g, spread by the stride, so that the kernel gives a cotangent like x."""
    pads = []
    for n, k, (low, _), s, d, kd, size in zip(
        x.shape[2:], kernel, padding, stride, dilation, kernel_dilation, g.shape[2:]
    ):
        reach = (k - 1) * kd
        before = reach - low
        spread = (size - 1) * s + 1 if size else 0
        needed = (n - 1) * d + 1 + reach
        pads.append((before, needed - spread - before))
    return tuple(pads)


def _input_vjp(g, out, x, w, stride, padding, dilation, kernel_dilation, groups):
    """Convolve g, spread by the stride, with the flipped kernel."""
    pads = input_pads(g, x, w.shape[2:], stride, padding, dilation, kernel_dilation)
    flipped = swap_channels(flip_spatial(conjugate(w)), groups)
    # Where x was spread, only each d-th position belongs to an element of x: stride by it.
    return convolution(g, flipped, dilation, pads, stride, kernel_dilation, groups)


def _order(operand):
    """How a tensor lies in memory, or what is known of one whose value was not kept."""
    node = getattr(operand, "_node", None)
    return operand.order if node is None else node.step.order


def _weight_vjp(g, out, x, w, stride, padding, dilation, kernel_dilation, groups):
    """Correlate x with g, batch and channels exchanged."""
    batch, channels, *sizes = x.shape
    spatial = tuple(range(3, 3 + len(stride)))
    # (N, G, C/G, *) -> (C/G, G * N, *): each group sees its own channels.
    grouped = permute(
        reshape(conjugate(x), (batch, groups, channels // groups, *sizes)), (2, 1, 0, *spatial)
    )
    seen = reshape(grouped, (channels // groups, groups * batch, *sizes))
    kernel = permute(g, (1, 0, *range(2, 2 + len(stride))))  # (O, N, *output)
    pads = []
    for n, k, (low, _), s, d, kd, size in zip(
        sizes, w.shape[2:], padding, stride, dilation, kernel_dilation, g.shape[2:]
    ):
        spread = (n - 1) * d + 1 if n else 0
        used = (size - 1) * s + 1 + (k - 1) * kd
        # Elements that no window reached must not add positions to the result.
        pads.append((low, used - spread - low))
    found = convolution(seen, kernel, kernel_dilation, tuple(pads), dilation, stride, groups)
    found = permute(found, (1, 0, *range(2, 2 + len(stride))))  # (O, C/G, *kernel)
    shown = any(shows_channels_last(tuple(v.shape), _order(v)) for v in (x, w))
    rank = len(stride) + 2
    return copy(found, channels_last_axes(rank) if shown else tuple(range(rank)))


def _unrounded_input_vjp(g, out, x, w, *params):
    return _input_vjp(cast(g, x.dtype), out, x, w, *params)


def _unrounded_weight_vjp(g, out, x, w, *params):
    return _weight_vjp(cast(g, w.dtype), out, x, w, *params)


define(matmul, __name__, wrt(_matmul_first_vjp, 1), wrt(_matmul_second_vjp, 0))
define(unrounded_matmul, __name__, wrt(_unrounded_first_vjp, 1), wrt(_unrounded_second_vjp, 0))
define(convolution, __name__, wrt(_input_vjp, 1), wrt(_weight_vjp, 0))
define(unrounded_convolution, __name__, wrt(_unrounded_input_vjp, 1), wrt(_unrounded_weight_vjp, 0))
nondifferentiable(byte_matmul, __name__)
