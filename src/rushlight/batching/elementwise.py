"""Batching rules of the elementwise primitives: they broadcast.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import broadcasting
from rushlight.primitives import elementwise as p

for _primitive in (
    p.neg, p.conj, p.sign, p.absolute, p.logical_not, p.real, p.imag, p.make_complex,
    p.bitwise_not, p.bitwise_and, p.bitwise_or, p.bitwise_xor, p.shift_left, p.shift_right, p.gcd,
    p.reciprocal, p.sqrt, p.rsqrt, p.exp, p.exp2, p.expm1, p.log, p.log2, p.log10, p.log1p,
    p.sin, p.cos, p.tan, p.asin, p.acos, p.atan, p.sinh, p.cosh, p.tanh, p.asinh, p.acosh, p.atanh,
    p.sigmoid, p.erf, p.erfc, p.erfinv, p.lgamma, p.digamma, p.polygamma,
    p.floor, p.ceil, p.trunc, p.round_even, p.relu,
    p.add, p.sub, p.mul, p.div, p.floor_divide, p.remainder, p.fmod, p.power,
    p.maximum, p.minimum, p.igamma, p.igammac, p.atan2, p.copysign, p.nextafter,
    p.eq, p.ne, p.lt, p.le, p.gt, p.ge,
    p.where, p.cast,
):  # fmt: skip
    broadcasting(_primitive, __name__)
