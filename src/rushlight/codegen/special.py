"""erf, erfc and erfinv as IR: see codegen/math.py for contract and sources.  Level 7."""

from __future__ import annotations

import math

from rushlight.codegen import polynomials as poly
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.exponential import (
    exp,
    exp_reduced,
    horner,
    log,
    log1p,
    power_of_two,
    scale,
    upper_bound,
)

_ERF_IS_ONE = 4.0  # from 3.92 on, in float
_BEYOND_ERFC = 30.0  # erfc underflows to zero before 11 in float, before 28 in double
# Giles, "Approximating the erfinv function", single precision: w < 5, and w >= 5 in sqrt(w).
_GILES_NEAR = (1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087,
               -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08)  # fmt: skip
_GILES_FAR = (2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773,
              -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257)  # fmt: skip

_GILES_END = 16.0


def _erfc_positive(b: Emitter, magnitude: Value) -> Value:
    """erfc on [0, inf): exp(-a^2) times a polynomial in (a-2)/(a+2) over 1+2a."""
    a = upper_bound(b, magnitude, _BEYOND_ERFC)
    two, one = b.like(2.0, a), b.like(1.0, a)
    q = b.div(b.sub(a, two), b.add(a, two))
    envelope = b.div(horner(b, q, poly.ERFCX[a.type]), b.fma(two, a, one))
    square = b.mul(a, a)
    error = b.fma(a, a, b.neg(square))
    growth, k = exp_reduced(b, b.neg(square))
    value = b.mul(b.add(growth, one), envelope)
    return scale(b, b.fma(b.neg(error), value, value), k)


def _erf_small(b: Emitter, x: Value) -> Value:
    return b.mul(x, horner(b, b.mul(x, x), poly.ERF_SMALL[x.type]))


def _erf_large(b: Emitter, magnitude: Value) -> Value:
    """1 - erfc on [1, inf).  erfc is at most 0.16 there, so that in float the logarithm's rounding
    is lost on it, and a polynomial of that takes the place of two divisions."""
    one = b.like(1.0, magnitude)
    if magnitude.type != "float":
        return b.sub(one, _erfc_positive(b, magnitude))
    beyond = b.sub(upper_bound(b, magnitude, _ERF_IS_ONE), one)
    growth, k = exp_reduced(b, horner(b, beyond, poly.LOG_ERFC["float"]))
    return b.fma(b.neg(b.add(growth, one)), power_of_two(b, k, "float"), one)


def erf(b: Emitter, x: Value) -> Value:
    magnitude = b.fabs(x)
    large = _erf_large(b, magnitude)
    small = _erf_small(b, magnitude)
    near_zero = b.compare("olt", magnitude, b.like(1.0, x))
    return b.copysign(b.select(near_zero, small, large), x)


def erfc(b: Emitter, x: Value) -> Value:
    magnitude = b.fabs(x)
    tail = _erfc_positive(b, magnitude)
    near = b.sub(b.like(1.0, x), _erf_small(b, x))
    positive = b.compare("ogt", x, b.like(0.0, x))
    far = b.select(positive, tail, b.sub(b.like(2.0, x), tail))
    return b.select(b.compare("olt", magnitude, b.like(0.4, x)), near, far)


def _giles(b: Emitter, a: Value, reach_double: bool) -> Value:
    square = b.mul(a, a)
    near_one = b.mul(b.sub(b.like(1.0, a), a), b.add(b.like(1.0, a), a))
    argument = b.select(
        b.compare("olt", square, b.like(0.5, a)),
        b.neg(square),
        b.sub(near_one, b.like(1.0, a)),
    )
    # log1p of -a^2 while that is accurate; close to 1 the factored form loses nothing.
    w = b.neg(log1p(b, argument))
    far = b.compare("oge", w, b.like(5.0, a))
    near_variable = b.sub(w, b.like(2.5, a))
    far_variable = b.sub(b.intrinsic("sqrt", w), b.like(3.0, a))
    estimate = b.select(
        far, horner(b, far_variable, _GILES_FAR), horner(b, near_variable, _GILES_NEAR)
    )
    if not reach_double:
        return b.mul(estimate, a)
    # Closer to 1 than a float can be: erfc(y) = exp(-y^2) / (y sqrt(pi)) solved for y once.
    tail = b.add(w, b.like(math.log(2), a))
    bend = b.mul(b.like(0.5, a), log(b, b.mul(tail, b.like(math.pi, a))))
    asymptotic = b.intrinsic("sqrt", b.sub(tail, bend))
    beyond = b.compare("oge", w, b.like(_GILES_END, a))
    return b.select(beyond, asymptotic, b.mul(estimate, a))


def erfinv(b: Emitter, x: Value) -> Value:
    """Computed in double for float too: near +-1 the slope magnifies every error."""
    if x.type == "float":
        wide = b.convert("fpext", x, "double")
        return b.convert("fptrunc", _erfinv_double(b, wide, steps=1), "float")
    return _erfinv_double(b, x, steps=2)


def _erfinv_double(b: Emitter, x: Value, steps: int) -> Value:
    a, one = b.fabs(x), b.like(1.0, x)
    y = _giles(b, a, reach_double=steps > 1)
    slope_unit = b.like(2 / math.sqrt(math.pi), x)
    for _ in range(steps):
        far = b.sub(b.sub(one, a), _erfc_positive(b, y))
        near = b.sub(_erf_small(b, y), a)
        error = b.select(b.compare("olt", y, b.like(0.5, x)), near, far)
        slope = b.mul(slope_unit, exp(b, b.neg(b.mul(y, y))))
        y = b.sub(y, b.div(error, b.fma(y, error, slope)))
    y = b.select(b.compare("oeq", a, one), b.like(math.inf, x), y)
    y = b.select(b.compare("ole", a, one), y, b.like(math.nan, x))
    return b.copysign(y, x)
