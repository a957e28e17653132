"""Primitives that move elements without computing.  Level 2.

The three strided primitives treat an operand as its row-major elements, and name elements by an
affine index: offset + sum(i[k] * stride[k]).  The offset is an operand (a scalar leaf), so that
another slice of the same extent is the same program.  Strides may be zero or negative; the spelling
has checked that every index lies inside.
"""

from __future__ import annotations

from rushlight.base.orders import (
    as_first,
    channels_last_if_all,
    dense_order,
    expanded,
    permuted,
    read_through,
    reshaped,
)
from rushlight.base.shapes import broadcast_shapes, numel
from rushlight.tape.memo import SCALAR
from rushlight.tape.primitive import VARIADIC, Primitive


def _copied(x, axes=None):
    return x.shape, x.dtype


def _order_of_copy(inputs, params, shape):
    return dense_order(params[0]) if params else as_first(inputs, params, shape)


def _order_of_expanded(inputs, params, shape):
    # A number made a tensor of some shape is a new tensor, not a view.
    return None if inputs[0].step.primitive is SCALAR else expanded(inputs, params, shape)


def _order_of_base(inputs, params, shape):
    return inputs[0].step.order


def _sent(x, target, source):
    return x.shape, x.dtype


def _reshaped(x, shape):
    return shape, x.dtype


def _permuted(x, axes):
    return tuple(x.shape[a] for a in axes), x.dtype


def _expanded(x, shape):
    if broadcast_shapes(x.shape, shape) != shape:
        raise RuntimeError(f"expand: a tensor of shape {list(x.shape)} does not fit {list(shape)}")
    return shape, x.dtype


def _window(x, offset, size, strides):
    return size, x.dtype


def _written(base, source, offset, size, strides):
    return base.shape, base.dtype


def _accumulated(source, offset, size, strides, shape):
    return shape, source.dtype


def _concatenated(*arguments):
    *operands, axis = arguments
    total = sum(x.shape[axis] for x in operands)
    first = operands[0].shape
    return (*first[:axis], total, *first[axis + 1 :]), operands[0].dtype


def _packed(*operands):
    return (sum(numel(x.shape) for x in operands),), operands[0].dtype


def _unpacked(x, shapes):
    return [(shape, x.dtype) for shape in shapes]


def _movement(name, arity, result, params=(), **more) -> Primitive:
    return Primitive(name, "movement", "movement", arity, result, params, **more)


# The same elements as a value of its own, which lies as they do without gaps, or with its axes in
# the order of a parameter that may be left out.
copy = _movement(
    "copy", 1, _copied, grad_name="Clone", properties="moves view keeps_order",
    order=_order_of_copy,
)  # fmt: skip
reshape = _movement(
    "reshape", 1, _reshaped, ("shape",), grad_name="View", properties="moves view keeps_order",
    order=reshaped,
)  # fmt: skip
permute = _movement("permute", 1, _permuted, ("axes",), properties="moves view", order=permuted)
expand = _movement(
    "expand", 1, _expanded, ("shape",), properties="moves view keeps_order",
    order=_order_of_expanded,
)  # fmt: skip
# x, offset -> the window of x's elements.
strided_read = _movement(
    "strided_read", 2, _window, ("size", "strides"), grad_name="AsStrided", properties="moves",
    order=read_through,
)  # fmt: skip
# base, source, offset -> base with the window replaced by source; the window has no overlap.
strided_write = _movement(
    "strided_write", 3, _written, ("size", "strides"), grad_name="CopySlices", order=_order_of_base
)
# source, offset -> zeros of `shape` to whose window source is added; the window may overlap.
strided_add = _movement(
    "strided_add", 2, _accumulated, ("size", "strides", "shape"), grad_name="AsStridedBackward"
)
concatenate = _movement(
    "concatenate", VARIADIC, _concatenated, ("axis",), grad_name="Cat", order=channels_last_if_all
)
# The same elements on the device `target`; `source` is the one they come from.  Where a plan is cut
# into devices, this is where.
to_device = Primitive(
    "to_device", "movement", "opaque", 1, _sent, ("target", "source"),
    grad_name="ToCopy", target=0, order=as_first,
)  # fmt: skip
# All elements of all operands, one after the other; and the inverse.
pack = _movement("pack", VARIADIC, _packed)
unpack = _movement("unpack", 1, _unpacked, ("shapes",), multiple=True)
