"""Lowerings of the elementwise primitives: scalar expressions of the loop nest.  Level 6."""

from __future__ import annotations

from rushlight.loopnest.ir import Cast, Const, call
from rushlight.lowering.table import OPAQUE, define
from rushlight.primitives import elementwise as p


def _operation(name: str):
    return lambda *operands: call(name, *operands)


def _of_bool(numbers: str, bools: str):
    """A pair operation whose meaning on bool differs."""

    def rule(x, y):
        return call(bools if x.dtype == "bool" else numbers, x, y)

    return rule


def _neg(x):
    return call("not", x) if x.dtype == "bool" else call("neg", x)


def _absolute(x):
    return x if x.dtype in ("bool", "uint8") else call("abs", x)


def _sign(x):
    """0 for NaN, as PyTorch's."""
    zero, one = Const(0, x.dtype), Const(1, x.dtype)
    if x.dtype == "bool":
        return x
    if x.dtype == "uint8":
        return call("where", call("gt", x, zero), one, zero)
    minus = Const(-1, x.dtype)
    negative = call("where", call("lt", x, zero), minus, zero)
    return call("where", call("gt", x, zero), one, negative)


def _logical_not(x):
    return call("not", x) if x.dtype == "bool" else call("eq", x, Const(0, x.dtype))


def _relu(x):
    return call("maximum", x, Const(0, x.dtype))


def _rounding(name: str):
    def rule(x):
        return x if x.dtype not in ("float32", "float64") else call(name, x)

    return rule


def _cast(x, dtype):
    return Cast(x, dtype.name)


def _where(condition, x, y):
    return call("where", condition, x, y)


_UNARY = {
    p.neg: _neg, p.absolute: _absolute, p.sign: _sign, p.logical_not: _logical_not, p.relu: _relu,
    p.bitwise_not: _operation("not"), p.floor: _rounding("floor"), p.ceil: _rounding("ceil"),
    p.trunc: _rounding("trunc"), p.round_even: _rounding("round"),
}  # fmt: skip
for _primitive, _rule in _UNARY.items():
    define(_primitive, __name__, _rule)
for _primitive in (
    p.reciprocal, p.sqrt, p.rsqrt, p.exp, p.exp2, p.expm1, p.log, p.log2, p.log10, p.log1p, p.sin,
    p.cos, p.tan, p.asin, p.acos, p.atan, p.sinh, p.cosh, p.tanh, p.asinh, p.acosh, p.atanh,
    p.sigmoid, p.erf, p.erfc, p.erfinv, p.div, p.maximum, p.minimum, p.atan2, p.copysign, p.eq,
    p.ne, p.lt, p.le, p.gt, p.ge,
):  # fmt: skip
    define(_primitive, __name__, _operation(_primitive.name))
define(p.power, __name__, _operation("pow"))
define(p.fmod, __name__, _operation("fmod"))
define(p.remainder, __name__, _operation("mod"))
define(p.add, __name__, _of_bool("add", "or"))
define(p.mul, __name__, _of_bool("mul", "and"))
define(p.sub, __name__, _operation("sub"))
define(p.bitwise_and, __name__, _operation("and"))
define(p.bitwise_or, __name__, _operation("or"))
define(p.bitwise_xor, __name__, _operation("xor"))
define(p.where, __name__, _where)
define(p.cast, __name__, _cast)
for _primitive in (
    p.conj, p.real, p.imag, p.make_complex, p.lgamma, p.digamma, p.floor_divide, p.nextafter,
    p.shift_left, p.shift_right,
):  # fmt: skip
    define(_primitive, __name__, OPAQUE)
