"""The logarithm of the gamma function and its derivative: see codegen/math.py for the contract.

Both are computed in double for float too.  Between 0 and 8 (10 for digamma) the argument is moved
by its recurrence to an interval around a root, where a polynomial times the distance from the
root keeps the relative error small; beyond stands Stirling's series; negative arguments are
reflected.  Near the roots on the negative axis only the absolute error is small.  Level 7.
"""

from __future__ import annotations

import math

from rushlight.codegen import polynomials as poly
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.exponential import horner, log

# B(2k) / (2k (2k - 1)) and B(2k) / 2k.
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
_STIRLING_SLOPE = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_HALF_LOG_TAU_LESS_HALF = 0.5 * math.log(2 * math.pi) - 0.5
_LGAMMA_FAR, _DIGAMMA_FAR = 8, 10
# Below this, 1 + x is 1.
_SMALL = 2.0**-60
# The root of digamma in two parts.
_ROOT, _ROOT_REST = 1.4616321449683622, 9.549995429965697e-17


def _in_double(b: Emitter, x: Value, function) -> Value:
    if x.type == "double":
        return function(b, x)
    return b.convert("fptrunc", function(b, b.convert("fpext", x, "double")), "float")


def lgamma(b: Emitter, x: Value) -> Value:
    """log |gamma(x)|; infinite at 0, the negative integers and both infinities."""
    return _in_double(b, x, _lgamma)


def digamma(b: Emitter, x: Value) -> Value:
    """The derivative of lgamma; infinite at +-0 with the other sign, NaN at negative integers."""
    return _in_double(b, x, _digamma)


def _lgamma(b: Emitter, x: Value) -> Value:
    a, zero = b.fabs(x), b.like(0.0, x)
    positive = _lgamma_positive(b, a)
    sine, _ = _around_integer(b, x)
    area = b.mul(a, b.fabs(sine))
    reflected = b.sub(log(b, b.div(b.like(math.pi, x), area)), positive)
    tiny = b.compare("olt", a, b.like(_SMALL, x))
    plain = b.binary("or", b.compare("oge", x, zero), tiny)
    value = b.select(plain, positive, reflected)
    return b.select(b.compare("oeq", a, b.like(math.inf, x)), a, value)


def _lgamma_positive(b: Emitter, x: Value) -> Value:
    """One logarithm and one polynomial serve all intervals."""
    one = b.like(1.0, x)
    far = b.compare("oge", x, b.like(float(_LGAMMA_FAR), x))
    low = b.compare("olt", x, b.like(0.5, x))
    middle = b.compare("olt", x, b.like(1.5, x))
    steps = b.intrinsic("floor", b.sub(x, b.like(1.5, x)))
    near = b.sub(x, steps)  # in [1.5, 2.5) if x is not smaller
    product = one
    for i in range(_LGAMMA_FAR - 2):
        counts = b.compare("olt", b.like(float(i), x), steps)
        product = b.mul(product, b.select(counts, b.add(near, b.like(float(i), x)), one))
    t = b.select(low, x, b.sub(b.select(middle, b.add(x, one), near), b.like(2.0, x)))
    exact = b.sub(x, one)
    t = b.select(b.binary("and", middle, b.logic_not(low)), exact, t)
    inner = b.select(low, b.mul(x, b.add(x, one)), b.select(middle, x, product))
    logarithm = log(b, b.select(far, x, inner))
    by_recurrence = b.fma(
        t,
        horner(b, b.select(far, b.like(0.0, x), t), poly.LGAMMA_AT_TWO["double"]),
        b.select(middle, b.neg(logarithm), logarithm),
    )
    z = b.div(one, x)
    series = b.mul(z, horner(b, b.mul(z, z), _STIRLING))
    rest = b.add(series, b.like(_HALF_LOG_TAU_LESS_HALF, x))
    by_series = b.fma(b.sub(x, b.like(0.5, x)), b.sub(logarithm, one), rest)
    return b.select(far, by_series, by_recurrence)


def _around_integer(b: Emitter, x: Value) -> tuple[Value, Value]:
    """(sin, cos) of pi times the distance to the nearest integer; the signs are those at even."""
    r = b.sub(x, b.intrinsic("roundeven", x))
    square = b.mul(r, r)
    sine = b.mul(r, horner(b, square, poly.SIN_PI["double"]))
    return sine, horner(b, square, poly.COS_PI["double"])


def _digamma(b: Emitter, x: Value) -> Value:
    zero, one = b.like(0.0, x), b.like(1.0, x)
    reflect = b.compare("olt", x, zero)
    positive = _digamma_positive(b, b.select(reflect, b.sub(one, x), x))
    sine, cosine = _around_integer(b, x)
    cotangent = b.div(b.mul(b.like(math.pi, x), cosine), sine)
    value = b.select(reflect, b.sub(positive, cotangent), positive)
    whole = b.binary("and", reflect, b.compare("oeq", sine, zero))
    value = b.select(whole, b.like(math.nan, x), value)
    pole = b.copysign(b.like(math.inf, x), b.neg(x))
    return b.select(b.compare("oeq", x, zero), pole, value)


def _digamma_positive(b: Emitter, x: Value) -> Value:
    zero, one = b.like(0.0, x), b.like(1.0, x)
    far = b.compare("oge", x, b.like(float(_DIGAMMA_FAR), x))
    low = b.compare("olt", x, one)
    steps = b.sub(b.intrinsic("floor", x), one)
    near = b.sub(x, steps)  # in [1, 2) if x is not smaller
    above, below = zero, one  # the sum of reciprocals that the recurrence adds
    for i in range(_DIGAMMA_FAR - 2):
        counts = b.compare("olt", b.like(float(i), x), steps)
        term = b.add(near, b.like(float(i), x))
        above = b.select(counts, b.fma(above, term, below), above)
        below = b.select(counts, b.mul(below, term), below)
    above = b.select(low, b.like(-1.0, x), above)
    below = b.select(low, x, below)
    u = b.select(far, one, b.select(low, b.add(x, one), near))
    distance = b.sub(b.sub(u, b.like(_ROOT, x)), b.like(_ROOT_REST, x))
    slope = horner(b, b.sub(u, b.like(1.5, x)), poly.DIGAMMA_AT_ROOT["double"])
    by_recurrence = b.fma(distance, slope, b.div(above, below))
    z = b.div(one, x)
    square = b.mul(z, z)
    tail = b.mul(square, horner(b, square, _STIRLING_SLOPE))
    half = b.mul(b.like(0.5, x), z)
    by_series = b.sub(b.sub(log(b, x), half), tail)
    return b.select(far, by_series, by_recurrence)
