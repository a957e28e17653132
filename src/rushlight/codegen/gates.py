"""Sigmoid and tanh of recurrent gates, as IR: in half the operations of those in exponential.py.

They are a fifth of a recurrent layer's time.  Here exp is bounded so that one shift makes its power
of two, and nothing is decided by sign.  The results are as exact, but where a sigmoid falls below
the smallest normal number: there it stays.  Level 7.
"""

from __future__ import annotations

import math

from rushlight.codegen import polynomials as poly
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.exponential import (
    BIAS,
    INTEGER,
    LN2_HIGH,
    LN2_LOW,
    MAGIC,
    MANTISSA,
    horner,
    lower_bound,
    upper_bound,
)

# exp of these, and its reciprocal, are normal numbers.
_MOST = {"float": 87.0, "double": 708.0}
# From here on tanh is 1.
_TANH_IS_ONE = {"float": 10.0, "double": 20.0}


def _bounded(b: Emitter, x: Value, most: float) -> Value:
    """x brought between -most and most; a NaN stays."""
    return lower_bound(b, upper_bound(b, x, most), -most)


def _exp_parts(b: Emitter, x: Value, sign: float) -> tuple[Value, Value]:
    """(q, power) with exp(sign * x) = (1 + q) * power; power is one of two, |q| < 0.42."""
    # The bias of the exponent comes along, so that one shift leaves the power.
    magic = b.like(MAGIC[x.type] + BIAS[x.type], x)
    shifted = b.fma(x, b.like(sign / math.log(2), x), magic)
    n = b.sub(shifted, magic)
    bits = b.convert("bitcast", shifted, INTEGER[x.type])
    bits = b.binary("shl", bits, b.like(MANTISSA[x.type], bits))
    power = b.convert("bitcast", bits, x.type)
    r = b.fma(n, b.like(-LN2_HIGH[x.type], x), x if sign > 0 else b.neg(x))
    r = b.fma(n, b.like(-LN2_LOW[x.type], x), r)
    q = b.fma(b.mul(r, r), horner(b, r, poly.EXP_TAIL[x.type]), r)
    return q, power


def gate_sigmoid(b: Emitter, x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    one = b.like(1.0, x)
    q, power = _exp_parts(b, _bounded(b, x, _MOST[x.type]), -1.0)
    return b.div(one, b.fma(power, b.add(q, one), one))


def gate_tanh(b: Emitter, x: Value) -> Value:
    """(exp(2 x) - 1) / (exp(2 x) + 1), exact near zero."""
    x = _bounded(b, x, _TANH_IS_ONE[x.type])
    q, power = _exp_parts(b, b.add(x, x), 1.0)
    growth = b.fma(power, q, b.sub(power, b.like(1.0, x)))
    return b.div(growth, b.add(growth, b.like(2.0, x)))
