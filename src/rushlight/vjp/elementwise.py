"""VJP rows of the elementwise primitives.  Level 4.

`g` is the cotangent; rules of two operands sum it back over broadcast axes.
"""

from __future__ import annotations

import math

from rushlight.primitives import elementwise as p
from rushlight.vjp.broadcast import conjugate, filled, real_if, scaled, sum_to
from rushlight.vjp.table import OUT, define, nondifferentiable, wrt


def _times(g, factor):
    """g times the conjugate of a derivative."""
    return p.mul(g, conjugate(factor))


def _one_minus(x):
    return p.sub(x._scalar(1.0), x)


def _one_plus(x):
    return p.add(x, x._scalar(1.0))


def _square(x):
    return p.mul(x, x)


def _zeros(g):
    return filled(g, 0.0, g.shape)


# ---- one operand ---------------------------------------------------------------------------------


def _absolute_vjp(g, out, x):
    if x.dtype.is_complex:
        g = p.make_complex(g, _zeros(g))
    return p.mul(g, p.sign(x))


def _sign_vjp(g, out, x):
    """Of a real number 0; a complex sign turns with the part of g across it, over |x|."""
    if not x.dtype.is_complex:
        return _zeros(g)
    along = p.real(p.mul(g, p.conj(out)))
    across = p.sub(g, p.mul(out, p.make_complex(along, _zeros(along))))
    size = p.absolute(x)
    zero = p.eq(size, size._scalar(0.0))
    safe = p.where(zero, size._scalar(1.0), size)
    return p.where(zero, g._scalar(0.0), p.div(across, p.make_complex(safe, _zeros(safe))))


def _real_vjp(g, out, x):
    return p.make_complex(g, _zeros(g)) if x.dtype.is_complex else g


def _imag_vjp(g, out, x):
    return p.make_complex(_zeros(g), g)


def _reciprocal_vjp(g, out, x):
    return p.neg(_times(g, _square(out)))


def _sqrt_vjp(g, out, x):
    return p.div(g, conjugate(scaled(out, 2.0)))


def _rsqrt_vjp(g, out, x):
    return scaled(_times(g, p.mul(out, _square(out))), -0.5)


def _exp2_vjp(g, out, x):
    return scaled(_times(g, out), math.log(2))


def _expm1_vjp(g, out, x):
    return _times(g, _one_plus(out))


def _log_vjp(g, out, x):
    return p.div(g, conjugate(x))


def _log2_vjp(g, out, x):
    return p.div(g, conjugate(scaled(x, math.log(2))))


def _log10_vjp(g, out, x):
    return p.div(g, conjugate(scaled(x, math.log(10))))


def _log1p_vjp(g, out, x):
    return p.div(g, conjugate(_one_plus(x)))


def _cos_vjp(g, out, x):
    return p.neg(_times(g, p.sin(x)))


def _tan_vjp(g, out, x):
    return _times(g, _one_plus(_square(out)))


def _asin_vjp(g, out, x):
    return _times(g, p.rsqrt(_one_minus(_square(x))))


def _acos_vjp(g, out, x):
    return p.neg(_asin_vjp(g, out, x))


def _atan_vjp(g, out, x):
    return p.div(g, conjugate(_one_plus(_square(x))))


def _tanh_vjp(g, out, x):
    return _times(g, _one_minus(_square(out)))


def _asinh_vjp(g, out, x):
    return _times(g, p.rsqrt(_one_plus(_square(x))))


def _acosh_vjp(g, out, x):
    if not x.dtype.is_complex:
        # x² - 1 is positive below -1 too; there acosh is NaN, but a mask's 0 must stay 0.
        x = p.absolute(x)
    return _times(g, p.mul(p.rsqrt(p.sub(x, x._scalar(1.0))), p.rsqrt(_one_plus(x))))


def _atanh_vjp(g, out, x):
    return p.div(g, conjugate(_one_minus(_square(x))))


def _sigmoid_vjp(g, out, x):
    return _times(g, p.mul(out, _one_minus(out)))


def _erf_vjp(g, out, x):
    return scaled(p.mul(g, p.exp(p.neg(_square(x)))), 2 / math.sqrt(math.pi))


def _erfc_vjp(g, out, x):
    return scaled(p.mul(g, p.exp(p.neg(_square(x)))), -2 / math.sqrt(math.pi))


def _erfinv_vjp(g, out, x):
    # From x, as in PyTorch, whose result may be overwritten before backward.
    return scaled(p.mul(g, p.exp(_square(p.erfinv(x)))), math.sqrt(math.pi) / 2)


def _lgamma_vjp(g, out, x):
    return p.mul(g, p.digamma(x))


def _digamma_vjp(g, out, x):
    return p.mul(g, p.polygamma(x, 1))


def _polygamma_vjp(g, out, x, order):
    return p.mul(g, p.polygamma(x, order + 1))


def _relu_vjp(g, out, x):
    # Asked this way round a NaN passes its cotangent on, as in PyTorch.
    return p.where(p.le(out, out._scalar(0.0)), g._scalar(0.0), g)


def _cast_vjp(g, out, x, dtype):
    return real_if(g, x) if x.dtype.is_inexact else None


define(p.neg, __name__, wrt(lambda g, out, x: p.neg(g)))
define(p.conj, __name__, wrt(lambda g, out, x: conjugate(g)))
define(p.sign, __name__, wrt(_sign_vjp, 0, OUT), unchecked=(0, OUT))
define(p.absolute, __name__, wrt(_absolute_vjp, 0))
nondifferentiable(p.logical_not, __name__)
define(p.real, __name__, wrt(_real_vjp))
define(p.imag, __name__, wrt(_imag_vjp))
define(
    p.make_complex,
    __name__,
    wrt(lambda g, out, x, y: real_if(sum_to(p.real(g), x), x)),
    wrt(lambda g, out, x, y: real_if(sum_to(p.imag(g), y), y)),
)
for _primitive in (
    p.bitwise_not, p.bitwise_and, p.bitwise_or, p.bitwise_xor, p.shift_left, p.shift_right,
    p.gcd, p.philox, p.philox_below,
    p.eq, p.ne, p.lt, p.le, p.gt, p.ge,
):  # fmt: skip
    nondifferentiable(_primitive, __name__)
define(p.reciprocal, __name__, wrt(_reciprocal_vjp, OUT))
define(p.sqrt, __name__, wrt(_sqrt_vjp, OUT))
define(p.rsqrt, __name__, wrt(_rsqrt_vjp, OUT))
define(p.exp, __name__, wrt(lambda g, out, x: _times(g, out), OUT))
define(p.exp2, __name__, wrt(_exp2_vjp, OUT))
define(p.expm1, __name__, wrt(_expm1_vjp, OUT))
define(p.log, __name__, wrt(_log_vjp, 0))
define(p.log2, __name__, wrt(_log2_vjp, 0))
define(p.log10, __name__, wrt(_log10_vjp, 0))
define(p.log1p, __name__, wrt(_log1p_vjp, 0))
define(p.sin, __name__, wrt(lambda g, out, x: _times(g, p.cos(x)), 0))
define(p.cos, __name__, wrt(_cos_vjp, 0))
define(p.tan, __name__, wrt(_tan_vjp, OUT))
define(p.asin, __name__, wrt(_asin_vjp, 0))
define(p.acos, __name__, wrt(_acos_vjp, 0))
define(p.atan, __name__, wrt(_atan_vjp, 0))
define(p.sinh, __name__, wrt(lambda g, out, x: _times(g, p.cosh(x)), 0))
define(p.cosh, __name__, wrt(lambda g, out, x: _times(g, p.sinh(x)), 0))
define(p.tanh, __name__, wrt(_tanh_vjp, OUT))
define(p.asinh, __name__, wrt(_asinh_vjp, 0))
define(p.acosh, __name__, wrt(_acosh_vjp, 0))
define(p.atanh, __name__, wrt(_atanh_vjp, 0))
define(p.sigmoid, __name__, wrt(_sigmoid_vjp, OUT))
define(p.erf, __name__, wrt(_erf_vjp, 0))
define(p.erfc, __name__, wrt(_erfc_vjp, 0))
define(p.erfinv, __name__, wrt(_erfinv_vjp, 0))
define(p.lgamma, __name__, wrt(_lgamma_vjp, 0))
define(p.digamma, __name__, wrt(_digamma_vjp, 0))
define(p.polygamma, __name__, wrt(_polygamma_vjp, 0))
for _primitive in (p.floor, p.ceil, p.trunc, p.round_even):
    define(_primitive, __name__, wrt(lambda g, out, x: _zeros(g)))
define(p.relu, __name__, wrt(_relu_vjp, OUT))
define(p.cast, __name__, wrt(_cast_vjp))


# ---- two operands --------------------------------------------------------------------------------


def _div_by_vjp(g, out, x, y):
    return sum_to(p.neg(_times(g, p.div(out, y))), y)


def _remainder_by_vjp(g, out, x, y):
    # The floor of the exact quotient: x / y may round to 0 or to a whole number.
    return sum_to(p.neg(p.mul(g, p.floor_divide(x, y))), y)


def _fmod_by_vjp(g, out, x, y):
    return sum_to(p.neg(p.mul(g, p.trunc(p.div(x, y)))), y)


def _power_base_vjp(g, out, x, y):
    zero = y._scalar(0.0)
    lower = p.power(x, p.sub(y, y._scalar(1.0)))
    # d(x**0)/dx is 0 everywhere, also where x**-1 is infinite.
    slope = p.where(p.eq(y, zero), zero, p.mul(y, lower))
    return sum_to(_times(g, slope), x)


def _power_exponent_vjp(g, out, x, y):
    zero = x._scalar(0.0)
    at_zero = p.eq(x, zero)
    if not x.dtype.is_complex:
        # 0**y is constant 0 for y >= 0.
        at_zero = p.bitwise_and(at_zero, p.ge(y, zero))
    slope = p.where(at_zero, zero, p.mul(out, p.log(x)))
    return sum_to(_times(g, slope), y)


def _extremum_vjp(loses):
    """Cotangent of the first operand of maximum or minimum; ties share it equally.

    Beside a NaN neither operand loses, and both take the cotangent, as in PyTorch.
    """

    def rule(g, x, y):
        half = scaled(g, 0.5)
        zero = g._scalar(0.0)
        return p.where(loses(x, y), zero, p.where(p.eq(x, y), half, g))

    return rule


_maximum_share = _extremum_vjp(p.lt)
_minimum_share = _extremum_vjp(p.gt)


def _turning(g, x, y):
    """g x / (x² + y²); 0 at the origin, where the angle has no derivative."""
    square = p.add(_square(x), _square(y))
    zero = square._scalar(0.0)
    origin = p.eq(square, zero)
    safe = p.where(origin, square._scalar(1.0), square)
    return p.where(origin, zero, p.div(p.mul(g, x), safe))


def _atan2_vjp(g, out, x, y):
    return sum_to(_turning(g, y, x), x)


def _atan2_other_vjp(g, out, x, y):
    return sum_to(p.neg(_turning(g, x, y)), y)


def _copysign_vjp(g, out, x, y):
    ratio = p.where(p.eq(x, x._scalar(0.0)), x._scalar(0.0), p.div(out, x))
    return sum_to(p.mul(g, ratio), x)


def _nextafter_vjp(g, out, x, y):
    """One step away from x the slope is 1; where nothing moves, PyTorch has 0."""
    return sum_to(p.where(p.eq(x, y), g._scalar(0.0), g), x)


def _igamma_order_vjp(g, out, a, x):
    raise NotImplementedError("the derivative for 'igamma' with respect to its order is unknown")


def _igamma_density(g, a, x):
    """The derivative of igamma for x: exp(-x) x**(a - 1) / gamma(a)."""
    exponent = p.sub(p.mul(p.sub(a, a._scalar(1.0)), p.log(x)), p.add(x, p.lgamma(a)))
    return p.mul(g, p.exp(exponent))


def _zeros_for(operand_index):
    def rule(g, out, *operands):
        return filled(g, 0.0, operands[operand_index].shape)

    return rule


define(
    p.add,
    __name__,
    wrt(lambda g, out, x, y: sum_to(g, x)),
    wrt(lambda g, out, x, y: sum_to(g, y)),
)
define(
    p.sub,
    __name__,
    wrt(lambda g, out, x, y: sum_to(g, x)),
    wrt(lambda g, out, x, y: sum_to(p.neg(g), y)),
)
define(
    p.mul,
    __name__,
    wrt(lambda g, out, x, y: sum_to(_times(g, y), x), 1),
    wrt(lambda g, out, x, y: sum_to(_times(g, x), y), 0),
)
define(
    p.div,
    __name__,
    wrt(lambda g, out, x, y: sum_to(p.div(g, conjugate(y)), x), 1),
    wrt(_div_by_vjp, 1, OUT),
    unchecked=(OUT,),
)
define(p.floor_divide, __name__, wrt(_zeros_for(0)), wrt(_zeros_for(1)))
define(
    p.remainder,
    __name__,
    wrt(lambda g, out, x, y: sum_to(g, x)),
    wrt(_remainder_by_vjp, 0, 1),
)
define(p.fmod, __name__, wrt(lambda g, out, x, y: sum_to(g, x)), wrt(_fmod_by_vjp, 0, 1))
define(p.power, __name__, wrt(_power_base_vjp, 0, 1), wrt(_power_exponent_vjp, 0, 1, OUT))
define(
    p.maximum,
    __name__,
    wrt(lambda g, out, x, y: sum_to(_maximum_share(g, x, y), x), 0, 1),
    wrt(lambda g, out, x, y: sum_to(_maximum_share(g, y, x), y), 0, 1),
)
define(
    p.minimum,
    __name__,
    wrt(lambda g, out, x, y: sum_to(_minimum_share(g, x, y), x), 0, 1),
    wrt(lambda g, out, x, y: sum_to(_minimum_share(g, y, x), y), 0, 1),
)
define(
    p.igamma,
    __name__,
    wrt(_igamma_order_vjp),
    wrt(lambda g, out, a, x: sum_to(_igamma_density(g, a, x), x), 0, 1),
)
define(
    p.igammac,
    __name__,
    wrt(_igamma_order_vjp),
    wrt(lambda g, out, a, x: sum_to(p.neg(_igamma_density(g, a, x)), x), 0, 1),
)
define(p.atan2, __name__, wrt(_atan2_vjp, 0, 1), wrt(_atan2_other_vjp, 0, 1))
define(p.nextafter, __name__, wrt(_nextafter_vjp, 0, 1), wrt(_zeros_for(1)))
define(p.copysign, __name__, wrt(_copysign_vjp, 0, OUT), wrt(_zeros_for(1)))


# ---- choice --------------------------------------------------------------------------------------


def _where_first_vjp(g, out, condition, x, y):
    return sum_to(p.where(condition, g, g._scalar(0.0)), x)


def _where_second_vjp(g, out, condition, x, y):
    return sum_to(p.where(condition, g._scalar(0.0), g), y)


define(p.where, __name__, None, wrt(_where_first_vjp, 0), wrt(_where_second_vjp, 0))
