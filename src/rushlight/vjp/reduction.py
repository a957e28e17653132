"""VJP rows of the reductions.  Level 4."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides, reduced_shape
from rushlight.primitives import reduction as p
from rushlight.primitives.elementwise import add, bitwise_or, cast, div, eq, mul, ne
from rushlight.primitives.movement import concatenate, expand, reshape, strided_read
from rushlight.vjp.broadcast import conjugate, filled
from rushlight.vjp.contraction import input_pads
from rushlight.vjp.table import OUT, define, nondifferentiable, wrt


def _spread(value, x, axes):
    """A reduced value, repeated over the axes it was reduced along."""
    kept = reduced_shape(tuple(x.shape), axes, True)
    if tuple(value.shape) != kept:
        value = reshape(value, kept)
    return expand(value, tuple(x.shape))


def _sum_vjp(g, out, x, axes, keepdim):
    return _spread(g, x, axes)


def _extremum_vjp(g, out, x, axes, keepdim):
    """Elements equal to the extremum share the cotangent: NaN is the extremum where it occurs."""
    hit = cast(bitwise_or(eq(x, _spread(out, x, axes)), ne(x, x)), x.dtype)
    count = p.reduce_sum(hit, axes, True)
    return mul(div(hit, count), _spread(g, x, axes))


def _flip(x, axis):
    """x in the opposite order along `axis`."""
    shape = tuple(x.shape)
    if 0 in shape:
        return x
    strides = list(contiguous_strides(shape))
    offset = (shape[axis] - 1) * strides[axis]
    strides[axis] = -strides[axis]
    return strided_read(x, x._scalar(offset, int64), shape, tuple(strides))


def _exclusive_product(x, axis):
    """Product of the elements before each one along `axis`."""
    shape = tuple(x.shape)
    strides = contiguous_strides(shape)
    first = filled(x, 1.0, (*shape[:axis], 1, *shape[axis + 1 :]))
    size = (*shape[:axis], shape[axis] - 1, *shape[axis + 1 :])
    rest = strided_read(p.cumprod(x, axis), x._scalar(0, int64), size, strides)
    return concatenate((first, rest), axis)


def _prod_vjp(g, out, x, axes, keepdim):
    """Product of all other elements, from both sides, so that zeros need no division."""
    if 0 in tuple(x.shape):
        return _spread(g, x, axes)
    if len(axes) == 0:
        return g
    result = g if keepdim else reshape(g, reduced_shape(tuple(x.shape), axes, True))
    others = _product_of_others(x, axes)
    return mul(expand(result, tuple(x.shape)), conjugate(others))


def _product_of_others(x, axes):
    axis = axes[-1]
    before = _exclusive_product(x, axis)
    after = _flip(_exclusive_product(_flip(x, axis), axis), axis)
    others = mul(before, after)
    if len(axes) == 1:
        return others
    # d/dx of a product over several axes: others within the axis, times the other axes' products.
    within = p.reduce_prod(x, (axis,), True)
    return mul(others, _product_of_others(within, axes[:-1]))


def _cumsum_vjp(g, out, x, axis):
    return _flip(p.cumsum(_flip(g, axis), axis), axis)


def _cumprod_vjp(g, out, x, axis):
    """Cotangents of the running products satisfy a[j] = g[j] + x[j + 1] * a[j + 1]; the answer is
    a[i] times the product before i.  No division, so zeros are exact.

    The recurrence is solved by doubling: each round joins stretches of `step` elements.
    """
    shape = tuple(x.shape)
    size = shape[axis]
    if 0 in shape:
        return g
    total = g
    ones = filled(x, 1.0, _slab(shape, axis, 1))
    factor = conjugate(_joined(_part(x, axis, 1, size), ones, axis))
    step = 1
    while step < size:
        rest = size - step
        later = mul(_part(factor, axis, 0, rest), _part(total, axis, step, size))
        head = add(_part(total, axis, 0, rest), later)
        wider = mul(_part(factor, axis, 0, rest), _part(factor, axis, step, size))
        total = _joined(head, _part(total, axis, rest, size), axis)
        factor = _joined(wider, _part(factor, axis, rest, size), axis)
        step *= 2
    return mul(total, conjugate(_exclusive_product(x, axis)))


def _joined(first, second, axis):
    """Both along `axis`; the first may be empty."""
    return second if first is None else concatenate((first, second), axis)


def _slab(shape, axis, size):
    return (*shape[:axis], size, *shape[axis + 1 :])


def _part(x, axis, start, stop):
    if start == stop:
        return None
    shape = tuple(x.shape)
    strides = contiguous_strides(shape)
    offset = x._scalar(start * strides[axis], int64)
    return strided_read(x, offset, _slab(shape, axis, stop - start), strides)


def _window_sum_vjp(g, out, x, kernel, stride, padding, dilation, kernel_dilation):
    """Each element takes the cotangents of the windows it is in."""
    pads = input_pads(g, x, kernel, stride, padding, dilation, kernel_dilation)
    return p.window_sum(g, kernel, dilation, pads, stride, kernel_dilation)


define(p.reduce_sum, __name__, wrt(_sum_vjp))
define(p.reduce_prod, __name__, wrt(_prod_vjp, 0))
define(p.reduce_max, __name__, wrt(_extremum_vjp, 0, OUT))
define(p.reduce_min, __name__, wrt(_extremum_vjp, 0, OUT))
nondifferentiable(p.argmax, __name__)
nondifferentiable(p.argmin, __name__)
define(p.cumsum, __name__, wrt(_cumsum_vjp))
define(p.cumprod, __name__, wrt(_cumprod_vjp, 0))
nondifferentiable(p.cummax, __name__)
nondifferentiable(p.cummin, __name__)
define(p.window_sum, __name__, wrt(_window_sum_vjp))
nondifferentiable(p.window_argmax, __name__)
