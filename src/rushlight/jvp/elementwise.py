"""JVP rows of the elementwise primitives.  Level 5.

They follow from the VJP (`diagonal`), so a new primitive needs none.  Written out are those that
are not holomorphic for complex values, and the ones that every program uses.
"""

from __future__ import annotations

from rushlight.jvp.table import (
    bilinear,
    define,
    diagonal,
    linear,
    nondifferentiable,
    rules,
    spread,
    total,
    zero_tangent,
)
from rushlight.primitives import elementwise as p
from rushlight.tape.primitive import of_family
from rushlight.vjp import elementwise as _vjp  # noqa: F401  (its rows are read below)
from rushlight.vjp.broadcast import conjugate


def _absolute_jvp(tangents, out, operands):
    (t,) = tangents
    (x,) = operands
    turned = p.mul(conjugate(p.sign(x)), t)
    return p.real(turned) if x.dtype.is_complex else turned


def _sign_jvp(tangents, out, operands):
    """The Jacobian of a complex sign, over the reals, is symmetric; see the VJP."""
    return p.sign.vjp.rules[0].function(tangents[0], out, *operands)


def _cast_jvp(tangents, out, operands, dtype):
    return p.cast(tangents[0], dtype) if dtype.is_inexact else None


def _add_jvp(tangents, out, operands):
    return total(*tangents)


def _sub_jvp(tangents, out, operands):
    tx, ty = tangents
    if ty is None:
        return tx
    return p.neg(ty) if tx is None else p.sub(tx, ty)


def _div_jvp(tangents, out, operands):
    _, y = operands
    tx, ty = tangents
    first = None if tx is None else p.div(tx, y)
    second = None if ty is None else p.neg(p.mul(p.div(out, y), ty))
    return total(first, second)


def _where_jvp(tangents, out, operands):
    condition, x, y = operands
    _, tx, ty = tangents
    tx = x._scalar(0.0) if tx is None else spread(tx, x)
    ty = y._scalar(0.0) if ty is None else spread(ty, y)
    return p.where(condition, tx, ty)


def _make_complex_jvp(tangents, out, operands):
    tx, ty = (zero_tangent(x) if t is None else t for t, x in zip(tangents, operands))
    return p.make_complex(tx, ty)


for _primitive in (p.neg, p.conj, p.real, p.imag):
    linear(_primitive, __name__)
define(p.absolute, __name__, _absolute_jvp)
define(p.sign, __name__, _sign_jvp)
define(p.cast, __name__, _cast_jvp)
define(p.make_complex, __name__, _make_complex_jvp)
define(p.add, __name__, _add_jvp)
define(p.sub, __name__, _sub_jvp)
bilinear(p.mul, __name__)
define(p.div, __name__, _div_jvp)
define(p.where, __name__, _where_jvp)
# The rest follows from the VJP: where a result has no cotangent it has no tangent, and a diagonal
# Jacobian is its own transpose.
for _primitive in of_family("elementwise"):
    if _primitive.name in rules.rows:
        continue
    if _primitive.vjp is None:
        nondifferentiable(_primitive, __name__)
    else:
        diagonal(_primitive, __name__)
