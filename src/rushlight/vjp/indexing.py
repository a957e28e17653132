"""VJP rows of the indexing primitives.  Level 4."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel
from rushlight.primitives import indexing as p
from rushlight.primitives.elementwise import cast, div, eq, mul, sub, where
from rushlight.primitives.movement import reshape
from rushlight.vjp.broadcast import conjugate, filled
from rushlight.vjp.table import OUT, define, nondifferentiable, wrt, wrt_reading


def _take_vjp(g, out, x, index, axis):
    if len(index.shape) != 1:
        count = numel(tuple(index.shape))
        shape = tuple(x.shape)
        index = reshape(index, (count,))
        g = reshape(g, (*shape[:axis], count, *shape[axis + 1 :]))
    return p.put(filled(g, 0.0, x.shape), index, g, axis, "add")


def _gather_vjp(g, out, x, index, axis):
    return p.scatter(filled(g, 0.0, x.shape), index, g, axis, "add")


def _base_vjp(write, read):
    """Cotangent of the tensor written into."""

    def rule(g, out, x, index, source, axis, mode):
        if mode == "add":
            return g
        if mode == "set":
            return write(g, index, filled(g, 0.0, source.shape), axis, "set")
        if mode == "multiply":
            ones = filled(g, 1.0, x.shape)
            return mul(g, conjugate(write(ones, index, source, axis, "multiply")))
        return _winner_share(write, read, g, out, x, index, source, axis)[0]

    return rule


def _source_vjp(write, read):
    """Cotangent of the values written."""

    def rule(g, out, x, index, source, axis, mode):
        seen = read(g, index, axis)
        if mode in ("add", "set"):
            return seen
        if mode == "multiply":
            return mul(seen, conjugate(_product_of_others(write, read, x, index, source, axis)))
        return _winner_share(write, read, g, out, x, index, source, axis)[1]

    return rule


def _product_of_others(write, read, x, index, source, axis):
    """For each source element, the product of everything else that meets at its place.

    Zeros are counted, not divided by: with one zero only that element has a product left.
    """
    zero = source._scalar(0)
    one = source._scalar(1)
    x_zero, source_zero = eq(x, zero), eq(source, zero)
    zeros = write(cast(x_zero, int64), index, cast(source_zero, int64), axis, "add")
    nonzero = where(source_zero, one, source)
    product = write(where(x_zero, one, x), index, nonzero, axis, "multiply")
    others = sub(read(zeros, index, axis), cast(source_zero, int64))
    alone = eq(others, zeros._scalar(0))
    return where(alone, div(read(product, index, axis), nonzero), zero)


def _winner_share(write, read, g, out, x, index, source, axis):
    """Maximum and minimum: the values equal to the result share its cotangent."""
    kept = cast(eq(x, out), g.dtype)
    won = cast(eq(source, read(out, index, axis)), g.dtype)
    count = write(kept, index, won, axis, "add")
    share = div(g, count)
    return mul(kept, share), mul(won, read(share, index, axis))


nondifferentiable(p.ravel_index, __name__)
define(p.take, __name__, wrt(_take_vjp, 1), None)
define(p.gather, __name__, wrt(_gather_vjp, 1), None)


def _reads(params):
    """Only multiplication and extrema need the values; setting and adding need the places."""
    _, mode = params
    return (1,) if mode in ("set", "add") else (0, 1, 2, OUT)


for _write, _read in ((p.put, p.take), (p.scatter, p.gather)):
    define(
        _write,
        __name__,
        wrt_reading(_base_vjp(_write, _read), _reads),
        None,
        wrt_reading(_source_vjp(_write, _read), _reads),
    )
