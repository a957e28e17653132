"""NumPy rules of the elementwise primitives.  Level 3."""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import DType
from rushlight.primitives import elementwise as p
from rushlight.reference import special
from rushlight.reference.table import define
from rushlight.rng import philox


def _neg(x):
    return ~x if x.dtype == np.bool_ else -x


def _sign(x):
    if np.iscomplexobj(x):
        size = np.abs(x)
        return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)
    if x.dtype.kind in "bu":
        return (x != 0).astype(x.dtype)
    # Through comparisons: PyTorch's sign of NaN is 0.
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)


def _reciprocal(x):
    return np.true_divide(x.dtype.type(1), x)


def _rsqrt(x):
    return np.true_divide(x.dtype.type(1), np.sqrt(x))


def _sigmoid(x):
    one = x.dtype.type(1)
    if np.iscomplexobj(x):
        return one / (one + np.exp(-x))
    # exp(-|x|) cannot overflow.
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, one, small) / (one + small)


def _relu(x):
    # maximum keeps NaN, as PyTorch's relu does.
    return np.maximum(x, x.dtype.type(0))


def _floor_divide(x, y):
    if x.dtype.kind in "iu":
        _refuse_zero_divisor(y)
        return np.floor_divide(x, y)
    # PyTorch rounds the quotient; NumPy's special cases differ for infinities.
    remainder = np.fmod(x, y)
    quotient = (x - remainder) / y
    adjust = (remainder != 0) & ((y < 0) != (remainder < 0))
    quotient = np.where(adjust, quotient - 1, quotient)
    rounded = np.floor(quotient)
    rounded = np.where(quotient - rounded > 0.5, rounded + 1, rounded)
    zero = np.copysign(x.dtype.type(0), x / y)
    return np.where(y == 0, x / y, np.where(quotient == 0, zero, rounded))


def _refuse_zero_divisor(y) -> None:
    if y.size and not np.all(y):
        raise RuntimeError("ZeroDivisionError")


def _remainder(x, y):
    if x.dtype.kind in "iu":
        _refuse_zero_divisor(y)
        return np.remainder(x, y)
    rest = np.fmod(x, y)
    return np.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest)


def _fmod(x, y):
    if x.dtype.kind in "iu":
        _refuse_zero_divisor(y)
    return np.fmod(x, y)


def _power(x, y):
    if x.dtype.kind not in "iu":
        return np.power(x, y)
    # A negative exponent of an integer truncates 1 / x**-y.
    negative = y < 0
    result = np.power(x, np.where(negative, 0, y))
    inverse = np.where(x == 1, 1, np.where(x == -1, np.where(y % 2 == 0, 1, -1), 0))
    return np.where(negative, inverse, result)


def _shift_left(x, y):
    bits = x.dtype.itemsize * 8
    inside = (y >= 0) & (y < bits)
    return np.where(inside, np.left_shift(x, np.where(inside, y, 0)), 0)


def _shift_right(x, y):
    bits = x.dtype.itemsize * 8
    inside = (y >= 0) & (y < bits)
    beyond = np.where(x < 0, -1, 0).astype(x.dtype)
    return np.where(inside, np.right_shift(x, np.where(inside, y, 0)), beyond)


def _make_complex(x, y):
    result = np.empty(np.broadcast_shapes(x.shape, y.shape), np.result_type(x.dtype, np.complex64))
    result.real = x
    result.imag = y
    return result


def _cast(x, dtype: DType):
    if dtype.name == "bool":
        return x != 0
    if np.iscomplexobj(x) and not dtype.is_complex:
        x = x.real
    if not dtype.is_inexact and x.dtype.kind == "f":
        return _float_to_integer(x, dtype)
    return x.astype(dtype.compute)


def _float_to_integer(x, dtype: DType):
    """Truncate; through int64 so that small types wrap around as PyTorch's do."""
    if dtype.name == "uint64":
        upper = x >= 2.0**63
        return np.where(upper, np.where(upper, x, 0).astype(np.uint64), x.astype(np.int64))
    return x.astype(np.int64).astype(dtype.numpy)


def _log2(x):
    if not np.iscomplexobj(x):
        return np.log2(x)
    natural = np.log(x)
    # Part by part: a complex quotient would turn infinity into NaN.
    return _make_complex(natural.real / math.log(2), natural.imag / math.log(2))


def _exp2(x):
    return np.exp(x * math.log(2)) if np.iscomplexobj(x) else np.exp2(x)


def _real(x):
    return np.array(x.real)


def _imag(x):
    return np.array(x.imag)


def _absolute(x):
    return x.copy() if x.dtype == np.bool_ else np.abs(x)


define(p.neg, __name__, _neg)
define(p.conj, __name__, np.conj)
define(p.sign, __name__, _sign)
define(p.absolute, __name__, _absolute)
define(p.logical_not, __name__, np.logical_not)
define(p.real, __name__, _real)
define(p.imag, __name__, _imag)
define(p.make_complex, __name__, _make_complex)
define(p.bitwise_not, __name__, np.invert)
define(p.bitwise_and, __name__, np.bitwise_and)
define(p.bitwise_or, __name__, np.bitwise_or)
define(p.bitwise_xor, __name__, np.bitwise_xor)
define(p.shift_left, __name__, _shift_left)
define(p.shift_right, __name__, _shift_right)
define(p.gcd, __name__, np.gcd)
define(p.reciprocal, __name__, _reciprocal)
define(p.sqrt, __name__, np.sqrt)
define(p.rsqrt, __name__, _rsqrt)
define(p.exp, __name__, np.exp)
define(p.exp2, __name__, _exp2)
define(p.expm1, __name__, np.expm1)
define(p.log, __name__, np.log)
define(p.log2, __name__, _log2)
define(p.log10, __name__, np.log10)
define(p.log1p, __name__, np.log1p)
define(p.sin, __name__, np.sin)
define(p.cos, __name__, np.cos)
define(p.tan, __name__, np.tan)
define(p.asin, __name__, np.arcsin)
define(p.acos, __name__, np.arccos)
define(p.atan, __name__, np.arctan)
define(p.sinh, __name__, np.sinh)
define(p.cosh, __name__, np.cosh)
define(p.tanh, __name__, np.tanh)
define(p.asinh, __name__, np.arcsinh)
define(p.acosh, __name__, np.arccosh)
define(p.atanh, __name__, np.arctanh)
define(p.sigmoid, __name__, _sigmoid)
define(p.erf, __name__, special.erf)
define(p.erfc, __name__, special.erfc)
define(p.erfinv, __name__, special.erfinv)
define(p.lgamma, __name__, special.lgamma)
define(p.digamma, __name__, special.digamma)
define(p.polygamma, __name__, special.polygamma)
define(p.floor, __name__, np.floor)
define(p.ceil, __name__, np.ceil)
define(p.trunc, __name__, np.trunc)
define(p.round_even, __name__, np.rint)
define(p.relu, __name__, _relu)
define(p.add, __name__, np.add)
define(p.sub, __name__, np.subtract)
define(p.mul, __name__, np.multiply)
define(p.div, __name__, np.true_divide)
define(p.floor_divide, __name__, _floor_divide)
define(p.remainder, __name__, _remainder)
define(p.fmod, __name__, _fmod)
define(p.power, __name__, _power)
define(p.maximum, __name__, np.maximum)
define(p.minimum, __name__, np.minimum)
define(p.igamma, __name__, special.igamma)
define(p.igammac, __name__, special.igammac)
define(p.atan2, __name__, np.arctan2)
define(p.copysign, __name__, np.copysign)
define(p.nextafter, __name__, np.nextafter)
define(p.eq, __name__, np.equal)
define(p.ne, __name__, np.not_equal)
define(p.lt, __name__, np.less)
define(p.le, __name__, np.less_equal)
define(p.gt, __name__, np.greater)
define(p.ge, __name__, np.greater_equal)
define(p.where, __name__, np.where)
define(p.cast, __name__, _cast)
define(p.philox, __name__, philox.words_at)
define(p.philox_below, __name__, philox.integers_at)
