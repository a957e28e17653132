"""Lowerings of the elementwise primitives: scalar expressions of the loop nest.  Level 6."""

from __future__ import annotations

from rushlight.loopnest.ir import Cast, Const, call
from rushlight.lowering.alone import axes_of, broadcast_steps
from rushlight.lowering.table import Alone, Opaque, define
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
    return x if x.dtype == "bool" or x.dtype.startswith("uint") else call("abs", x)


def _sign(x):
    """0 for NaN, as PyTorch's."""
    zero, one = Const(0, x.dtype), Const(1, x.dtype)
    if x.dtype == "bool":
        return x
    if x.dtype.startswith("uint"):
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


def _floor_divide(x, y):
    """The quotient as PyTorch rounds it: from the exact remainder, to the nearest integer."""
    zero, one = Const(0, x.dtype), Const(1, x.dtype)
    rest = call("fmod", x, y)
    signs_differ = call("xor", call("lt", y, zero), call("lt", rest, zero))
    adjust = call("and", call("ne", rest, zero), signs_differ)
    quotient = call("div", call("sub", x, rest), y)
    quotient = call("where", adjust, call("sub", quotient, one), quotient)
    floor = call("floor", quotient)
    high = call("gt", call("sub", quotient, floor), Const(0.5, x.dtype))
    rounded = call("where", high, call("add", floor, one), floor)
    whole = call("div", x, y)
    signed = call("where", call("eq", quotient, zero), call("copysign", zero, whole), rounded)
    return call("where", call("eq", y, zero), whole, signed)


def _power(x, y):
    if x.dtype == "bool":
        return call("or", x, call("not", y))
    return call("pow" if x.dtype in ("float32", "float64") else "intpow", x, y)


def _gcd(x, y):
    return call("or", x, y) if x.dtype == "bool" else call("gcd", x, y)


def _is_floating(dtype) -> bool:
    return dtype.is_floating_point


def _checked_division(operation: str):
    """Integers: a divisor of 0 is an error, which the reference rule then raises."""

    def rule(maker, value):
        x, y = maker.operand(value, 0), maker.operand(value, 1)
        maker.flagged(y, lambda c: call("eq", maker.load(y, c), Const(0, y.dtype.name)))
        steps = [broadcast_steps(value.shape, operand.shape) for operand in (x, y)]

        def body(at):
            quotient = call(operation, maker.load(x, at[0]), maker.load(y, at[1]))
            return [maker.store(value, at[-1], quotient)]

        maker.each(axes_of(value.shape, *steps), body)

    return rule


def _of_bools(value, operands) -> bool:
    return value.dtype.name == "bool"


def _define_division(primitive, integers: str, floats) -> None:
    row = Alone(_checked_division(integers), _of_bools, floats, _is_floating)
    define(primitive, __name__, row)


def _unsigned(x):
    return Cast(x, "uint64")


def _number(value):
    return Const(value, "uint64")


def _philox(index, seed, call_number, threads, each, run, word):
    """As `rng/philox.py: words_at`."""
    index, threads = _unsigned(index), _unsigned(threads)
    share = call("mul", threads, _number(run)) if run > 1 else threads
    turn = call("floordiv", index, share)
    held = call("floordiv", index, _number(run)) if run > 1 else index
    thread = call("mod", held, threads)
    if run == 1:
        calls, own = call("floordiv", turn, _number(each)), call("mod", turn, _number(each))
        own = call("mul", own, _number(4 // each))
    else:
        within = call("mod", index, _number(run))
        calls = call("mul", turn, _number(max(run // 4, 1)))
        calls = call("add", calls, call("floordiv", within, _number(4)))
        own = call("mod", within, _number(4))
    if word == "first":
        own = call("and", own, _number(2))
    elif word == "second":
        own = call("or", own, _number(1))
    elif not isinstance(word, str):
        own = _number(word)
    if word == "number":
        return Cast(own, "uint32")
    place = call("add", call("mul", thread, _number(4)), own)
    calls = call("add", _unsigned(call_number), calls)
    return Cast(call("philox", place, calls, _unsigned(seed)), "uint32")


def _philox_below(index, seed, call_number, threads, span, each):
    """As `rng/philox.py: integers_at`."""
    drawn = [
        _unsigned(_philox(index, seed, call_number, threads, each, 1, word))
        for word in (("own",) if each == 4 else ("first", "second"))
    ]
    joined = drawn[0]
    if each == 2:
        joined = call("or", call("shl", drawn[0], _number(32)), drawn[1])
    span = _unsigned(span)
    rest = call("where", call("eq", span, _number(0)), joined, call("mod", joined, span))
    return Cast(rest, "int64")


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
    p.sigmoid, p.erf, p.erfc, p.erfinv, p.lgamma, p.digamma, p.nextafter, p.div,
    p.maximum, p.minimum, p.atan2, p.copysign, p.eq, p.ne, p.lt, p.le, p.gt, p.ge,
):  # fmt: skip
    define(_primitive, __name__, _operation(_primitive.name))
_define_division(p.floor_divide, "floordiv", _floor_divide)
_define_division(p.remainder, "mod", _operation("mod"))
_define_division(p.fmod, "fmod", _operation("fmod"))
define(p.power, __name__, _power)
define(p.gcd, __name__, _gcd)
define(p.shift_left, __name__, _operation("shl"))
define(p.shift_right, __name__, _operation("shr"))
define(p.add, __name__, _of_bool("add", "or"))
define(p.mul, __name__, _of_bool("mul", "and"))
define(p.sub, __name__, _operation("sub"))
define(p.bitwise_and, __name__, _operation("and"))
define(p.bitwise_or, __name__, _operation("or"))
define(p.bitwise_xor, __name__, _operation("xor"))
define(p.conj, __name__, lambda x: x)
define(p.where, __name__, _where)
define(p.cast, __name__, _cast)
define(p.philox, __name__, _philox)
define(p.philox_below, __name__, _philox_below)
for _primitive in (p.real, p.imag, p.make_complex):
    define(_primitive, __name__, Opaque("complex numbers have no kernels yet"))
for _primitive in (p.polygamma, p.igamma, p.igammac):
    define(_primitive, __name__, Opaque("its series takes as many terms as an element needs"))
