"""Primitives that act on each element.  Level 2.

Operands of one primitive have the same dtype (spellings promote first) and broadcast.  The domain
of each primitive is stated by the group it is defined in; a violation here is rushlight's own
mistake unless a message says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.base.dtypes import DType, bool_, int64, uint32
from rushlight.base.errors import InternalError
from rushlight.base.orders import as_first, as_operands
from rushlight.base.shapes import broadcast_all, broadcast_shapes
from rushlight.tape.primitive import Primitive


def _same(x):
    return x.shape, x.dtype


def _inexact_unary(x):
    if not x.dtype.is_inexact:
        raise InternalError(f"elementwise operand of dtype {x.dtype} was not promoted to floating")
    return x.shape, x.dtype


def _inexact_of_order(x, order):
    return _inexact_unary(x)


def _to_bool(x):
    return x.shape, bool_


def _real_part(x):
    return x.shape, x.dtype.to_real()


def _equal_dtypes(x, y) -> DType:
    if x.dtype is not y.dtype:
        raise InternalError(f"elementwise operands of dtypes {x.dtype} and {y.dtype}")
    return x.dtype


def _binary(x, y):
    return broadcast_shapes(x.shape, y.shape), _equal_dtypes(x, y)


def _comparison(x, y):
    _equal_dtypes(x, y)
    return broadcast_shapes(x.shape, y.shape), bool_


def _complex_of_parts(x, y):
    return broadcast_shapes(x.shape, y.shape), _equal_dtypes(x, y).to_complex()


def _where_result(condition, x, y):
    if condition.dtype is not bool_:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype}"
        )
    shape = broadcast_shapes(condition.shape, broadcast_shapes(x.shape, y.shape))
    return shape, _equal_dtypes(x, y)


def _cast_result(x, dtype):
    return x.shape, dtype


def _words_drawn(index, seed, call, threads, each, run, word):
    return broadcast_all([x.shape for x in (index, seed, call, threads)]), uint32


def _integers_drawn(index, seed, call, threads, span, each):
    return broadcast_all([x.shape for x in (index, seed, call, threads, span)]), int64


def _define(
    name: str,
    arity: int,
    result: Callable,
    params=(),
    grad_name=None,
    properties: str = "",
    order=as_operands,
) -> Primitive:
    return Primitive(
        name, "elementwise", "elementwise", arity, result, params,
        grad_name=grad_name, properties=properties, order=order,
    )  # fmt: skip


# Any dtype.
neg = _define("neg", 1, _same, properties="light")
conj = _define("conj", 1, _same)
sign = _define("sign", 1, _same)
absolute = _define("absolute", 1, _real_part, grad_name="Abs", properties="light")
logical_not = _define("logical_not", 1, _to_bool, properties="light")
# Parts of complex numbers.
real = _define("real", 1, _real_part)
imag = _define("imag", 1, _real_part)
make_complex = _define("make_complex", 2, _complex_of_parts, grad_name="Complex")
# Integers and bool.
bitwise_not = _define("bitwise_not", 1, _same, properties="light")
bitwise_and = _define("bitwise_and", 2, _binary, properties="light commutative")
bitwise_or = _define("bitwise_or", 2, _binary, properties="light commutative")
bitwise_xor = _define("bitwise_xor", 2, _binary, properties="light commutative")
shift_left = _define("shift_left", 2, _binary)
shift_right = _define("shift_right", 2, _binary)
gcd = _define("gcd", 2, _binary)  # integers only
# Floating and complex.
reciprocal = _define("reciprocal", 1, _inexact_unary)
sqrt = _define("sqrt", 1, _inexact_unary)
rsqrt = _define("rsqrt", 1, _inexact_unary)
exp = _define("exp", 1, _inexact_unary)
exp2 = _define("exp2", 1, _inexact_unary)
expm1 = _define("expm1", 1, _inexact_unary)
log = _define("log", 1, _inexact_unary)
log2 = _define("log2", 1, _inexact_unary)
log10 = _define("log10", 1, _inexact_unary)
log1p = _define("log1p", 1, _inexact_unary, grad_name="Log1P")
sin = _define("sin", 1, _inexact_unary)
cos = _define("cos", 1, _inexact_unary)
tan = _define("tan", 1, _inexact_unary)
asin = _define("asin", 1, _inexact_unary)
acos = _define("acos", 1, _inexact_unary)
atan = _define("atan", 1, _inexact_unary)
sinh = _define("sinh", 1, _inexact_unary)
cosh = _define("cosh", 1, _inexact_unary)
tanh = _define("tanh", 1, _inexact_unary)
asinh = _define("asinh", 1, _inexact_unary)
acosh = _define("acosh", 1, _inexact_unary)
atanh = _define("atanh", 1, _inexact_unary)
sigmoid = _define("sigmoid", 1, _inexact_unary)
# Floating only.
erf = _define("erf", 1, _inexact_unary)
erfc = _define("erfc", 1, _inexact_unary)
erfinv = _define("erfinv", 1, _inexact_unary)
lgamma = _define("lgamma", 1, _inexact_unary)
digamma = _define("digamma", 1, _inexact_unary)
polygamma = _define("polygamma", 1, _inexact_of_order, ("order",))  # order >= 1
floor = _define("floor", 1, _same)
ceil = _define("ceil", 1, _same)
trunc = _define("trunc", 1, _same)
round_even = _define("round_even", 1, _same, grad_name="Round")
relu = _define("relu", 1, _same, properties="light")
# Pairs, any dtype.
add = _define("add", 2, _binary, properties="light commutative")
sub = _define("sub", 2, _binary, properties="light")
mul = _define("mul", 2, _binary, properties="light commutative")
div = _define("div", 2, _binary)  # floating and complex
floor_divide = _define("floor_divide", 2, _binary, grad_name="FloorDivide")
remainder = _define("remainder", 2, _binary)  # sign of the divisor, as Python
fmod = _define("fmod", 2, _binary)  # sign of the dividend, as C
power = _define("power", 2, _binary, grad_name="Pow")
maximum = _define("maximum", 2, _binary, properties="light")
minimum = _define("minimum", 2, _binary, properties="light")
igamma = _define("igamma", 2, _binary)  # lower incomplete gamma over gamma; floating
igammac = _define("igammac", 2, _binary)  # upper
atan2 = _define("atan2", 2, _binary)
copysign = _define("copysign", 2, _binary)
nextafter = _define("nextafter", 2, _binary)
# Comparisons.
eq = _define("eq", 2, _comparison, properties="light commutative")
ne = _define("ne", 2, _comparison, properties="light commutative")
lt = _define("lt", 2, _comparison, properties="light")
le = _define("le", 2, _comparison, properties="light")
gt = _define("gt", 2, _comparison, properties="light")
ge = _define("ge", 2, _comparison, properties="light")
# Choice and conversion.
where = _define("where", 3, _where_result, properties="light")
cast = _define(
    "cast", 1, _cast_result, ("dtype",), grad_name="ToCopy", properties="light", order=as_first
)
# Random numbers of devices, by Philox; all operands int64.  Which of a thread's words belongs to an
# element follows from its number, `index`, and from how elements are shared out among `threads`
# (see `rng/philox.py: place_of`); `call` counts calls of one thread before this draw.  Everything
# that changes from draw to draw is an operand: a program that draws is the same at every step.
philox = _define("philox", 4, _words_drawn, ("each", "run", "word"))  # words of 32 bits
# The word (each 4) or the pair of words (each 2) modulo span; a span of 0: all of it.
philox_below = _define("philox_below", 5, _integers_drawn, ("each",))
