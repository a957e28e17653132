"""VJP rows of the movement primitives.  Level 4."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides
from rushlight.primitives import movement as p
from rushlight.vjp.broadcast import filled, sum_to
from rushlight.vjp.table import define, define_for_all, wrt


def _sent_vjp(g, out, x, target, source):
    return p.to_device(g, source, target)


def _permute_vjp(g, out, x, axes):
    inverse = [0] * len(axes)
    for position, axis in enumerate(axes):
        inverse[axis] = position
    return p.permute(g, tuple(inverse))


def _read_vjp(g, out, x, offset, size, strides):
    return p.strided_add(g, offset, size, strides, tuple(x.shape))


def _write_base_vjp(g, out, base, source, offset, size, strides):
    nothing = filled(g, 0.0, source.shape)
    return p.strided_write(g, nothing, offset, size, strides)


def _write_source_vjp(g, out, base, source, offset, size, strides):
    return p.strided_read(g, offset, size, strides)


def _add_vjp(g, out, source, offset, size, strides, shape):
    return p.strided_read(g, offset, size, strides)


def _concatenate_vjp(wanted, g, out, operands, axis):
    strides = contiguous_strides(tuple(g.shape))
    start = 0
    found = []
    for want, operand in zip(wanted, operands):
        if want:
            offset = g._scalar(start * strides[axis], int64)
            found.append(p.strided_read(g, offset, tuple(operand.shape), strides))
        else:
            found.append(None)
        start += operand.shape[axis]
    return found


def _pack_vjp(wanted, g, out, operands):
    return p.unpack(g, tuple(tuple(x.shape) for x in operands))


def _unpack_vjp(wanted, g, out, operands, shapes):
    like = next(part for part in g if part is not None)
    parts = [filled(like, 0.0, shape) if part is None else part for part, shape in zip(g, shapes)]
    return [p.pack(parts)]


define(p.copy, __name__, wrt(lambda g, out, x, axes=None: g))
define(p.to_device, __name__, wrt(_sent_vjp))
define(p.reshape, __name__, wrt(lambda g, out, x, shape: p.reshape(g, tuple(x.shape))))
define(p.permute, __name__, wrt(_permute_vjp))
define(p.expand, __name__, wrt(lambda g, out, x, shape: sum_to(g, x)))
define(p.strided_read, __name__, wrt(_read_vjp, 1), None)
define(p.strided_write, __name__, wrt(_write_base_vjp, 2), wrt(_write_source_vjp, 2), None)
define(p.strided_add, __name__, wrt(_add_vjp, 1), None)
define_for_all(p.concatenate, __name__, _concatenate_vjp)
define_for_all(p.pack, __name__, _pack_vjp)
define_for_all(p.unpack, __name__, _unpack_vjp)
