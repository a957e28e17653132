"""exp, log and what is built from them, as IR: see codegen/math.py for contract and sources.

Level 7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rushlight.codegen import polynomials as poly
from rushlight.codegen.emit import Emitter, Value

# 1.5 * 2^(mantissa bits): adding it leaves the nearest integer in the low bits.
MAGIC = {"float": 12582912.0, "double": 6755399441055744.0}
_MAGIC_BITS = {"float": 0x4B400000, "double": 0x4338000000000000}
MANTISSA = {"float": 23, "double": 52}
BIAS = {"float": 127, "double": 1023}
INTEGER = {"float": "i32", "double": "i64"}
# ln 2 in two parts; the upper has trailing zeros enough that a multiple of it is exact.
LN2_HIGH = {"float": 0.693145751953125, "double": 6.93147180369123816490e-01}
LN2_LOW = {"float": math.log(2) - 0.693145751953125, "double": 1.90821492927058770002e-10}
# Beyond these exp is 0 or infinite for certain; within, the two-step scaling reaches.
_EXP_LOWEST = {"float": -105.0, "double": -747.0}
_EXP_HIGHEST = {"float": 90.0, "double": 712.0}
_SQRT_HALF_BITS = {"float": 0x3F3504F3, "double": 0x3FE6A09E667F3BCD}
_SMALLEST_NORMAL = {"float": 2.0**-126, "double": 2.0**-1022}
_DENORMAL_SHIFT = {"float": 25, "double": 54}
# Above this x^2 + 1 is x^2 and 1/x is lost in log x.
_HUGE = {"float": 2.0**26, "double": 2.0**54}
_TWO_THIRDS_LOW = 3.700743415417188e-17  # 2/3 - float(2/3)


def horner(b: Emitter, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial in x, lowest power first, by fused multiply-adds."""
    result = b.like(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        result = b.fma(result, x, b.like(coefficient, x))
    return result


def upper_bound(b: Emitter, x: Value, bound: float) -> Value:
    """min(x, bound); a NaN stays."""
    limit = b.like(bound, x)
    return b.select(b.compare("ogt", x, limit), limit, x)


def lower_bound(b: Emitter, x: Value, bound: float) -> Value:
    """max(x, bound); a NaN stays."""
    limit = b.like(bound, x)
    return b.select(b.compare("olt", x, limit), limit, x)


def nearest_integer(b: Emitter, x: Value, factor: float) -> tuple[Value, Value]:
    """The integer nearest x * factor, as float and as the integer of the same size."""
    magic = b.like(MAGIC[x.type], x)
    shifted = b.fma(x, b.like(factor, x), magic)
    integer = b.convert("bitcast", shifted, INTEGER[x.type])
    return b.sub(shifted, magic), b.sub(integer, b.like(_MAGIC_BITS[x.type], integer))


def small_integer_to_float(b: Emitter, k: Value, type_: str) -> Value:
    """|k| < 2^22 (2^51) to float by the magic constant: AVX2 has no conversion from int64."""
    bits = b.add(k, b.like(_MAGIC_BITS[type_], k))
    number = b.convert("bitcast", bits, type_)
    return b.sub(number, b.like(MAGIC[type_], number))


def power_of_two(b: Emitter, k: Value, type_: str) -> Value:
    """2^k for k in the normal range."""
    biased = b.add(k, b.like(BIAS[type_], k))
    return b.convert("bitcast", b.binary("shl", biased, b.like(MANTISSA[type_], k)), type_)


def scale(b: Emitter, x: Value, k: Value, n: Value | None = None) -> Value:
    """x * 2^k in two exact steps, so that overflow and denormal results round once.

    n: k as a float, where it is at hand: AVX-512 has one instruction that rounds once.
    """
    scaled = None if n is None else b.scaled(x, n)
    if scaled is not None:
        return scaled
    first = b.binary("ashr", k, b.like(1, k))
    second = b.sub(k, first)
    return b.mul(b.mul(x, power_of_two(b, first, x.type)), power_of_two(b, second, x.type))


def exp_reduced(b: Emitter, x: Value, low: Value | None = None) -> tuple[Value, Value]:
    """(q, k) with exp(x + low) = (1 + q) * 2^k and |q| < 0.42; x is bounded first."""
    q, k, _ = _exp_parts(b, x, low)
    return q, k


def _exp_parts(b: Emitter, x: Value, low: Value | None = None) -> tuple[Value, Value, Value]:
    """As exp_reduced; third, k as a float."""
    x = lower_bound(b, upper_bound(b, x, _EXP_HIGHEST[x.type]), _EXP_LOWEST[x.type])
    n, k = nearest_integer(b, x, 1 / math.log(2))
    r = b.fma(n, b.like(-LN2_HIGH[x.type], x), x)
    r = b.fma(n, b.like(-LN2_LOW[x.type], x), r)
    if low is not None:
        r = b.add(r, low)
    tail = horner(b, r, poly.EXP_TAIL[x.type])
    return b.fma(b.mul(r, r), tail, r), k, n


def exp(b: Emitter, x: Value) -> Value:
    q, k, n = _exp_parts(b, x)
    return scale(b, b.add(q, b.like(1.0, q)), k, n)


def exp2(b: Emitter, x: Value) -> Value:
    limit = {"float": 160.0, "double": 1080.0}[x.type]
    x = lower_bound(b, upper_bound(b, x, limit), -limit)
    n, k = nearest_integer(b, x, 1.0)
    fraction = b.sub(x, n)
    high = math.log(2) if x.type == "double" else float_part(math.log(2))
    low = 2.3190468138462996e-17 if x.type == "double" else math.log(2) - high
    r = b.mul(fraction, b.like(high, x))
    # The product's own rounding error and the rest of ln 2 come back in one term.
    rest = b.fma(fraction, b.like(high, x), b.neg(r))
    rest = b.fma(fraction, b.like(low, x), rest)
    tail = horner(b, r, poly.EXP_TAIL[x.type])
    q = b.add(r, b.fma(b.mul(r, r), tail, rest))
    return scale(b, b.add(q, b.like(1.0, q)), k, n)


def float_part(number: float) -> float:
    """The first 24 bits of a double."""
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(mantissa * 2**24), exponent - 24)


def expm1(b: Emitter, x: Value) -> Value:
    bounded = lower_bound(b, x, {"float": -30.0, "double": -60.0}[x.type])
    q, k = exp_reduced(b, bounded)
    # 2^k * q + (2^k - 1), halved inside so that 2^k itself does not overflow at the top.
    half = power_of_two(b, b.sub(k, b.like(1, k)), x.type)
    large = b.fma(half, q, b.sub(half, b.like(0.5, half)))
    large = b.add(large, large)
    # 2^(k-1) leaves the format for the k beyond overflow.
    too_large = b.compare("sgt", k, b.like(BIAS[x.type] + 1, k))
    large = b.select(too_large, b.like(math.inf, x), large)
    result = b.select(b.compare("eq", k, b.like(0, k)), q, large)
    result = b.select(b.compare("uno", x, x), x, result)
    return b.copysign(result, x)


def _split(b: Emitter, x: Value) -> tuple[Value, Value]:
    """(f, e) with x = (1 + f) * 2^e and sqrt(1/2) <= 1 + f < sqrt(2); x positive and finite."""
    shift = _DENORMAL_SHIFT[x.type]
    tiny = b.compare("olt", x, b.like(_SMALLEST_NORMAL[x.type], x))
    scaled = b.select(tiny, b.mul(x, b.like(2.0**shift, x)), x)
    bits = b.convert("bitcast", scaled, INTEGER[x.type])
    mantissa = b.like(MANTISSA[x.type], bits)
    offset = b.sub(bits, b.like(_SQRT_HALF_BITS[x.type], bits))
    e = b.binary("ashr", offset, mantissa)
    m = b.convert("bitcast", b.sub(bits, b.binary("shl", e, mantissa)), x.type)
    adjusted = b.select(tiny, b.sub(e, b.like(shift, e)), e)
    return b.sub(m, b.like(1.0, m)), small_integer_to_float(b, adjusted, x.type)


def _log_parts(b: Emitter, f: Value) -> tuple[Value, Value]:
    """(f, low) with log(1 + f) = f + low."""
    if f.type == "float":
        square = b.mul(f, f)
        tail = horner(b, f, poly.LOG_TAIL["float"])
        cube = b.mul(b.mul(square, f), tail)
        return f, b.fma(b.like(-0.5, f), square, cube)
    half_square = b.mul(b.mul(b.like(0.5, f), f), f)
    s = b.div(f, b.add(b.like(2.0, f), f))
    z = b.mul(s, s)
    rest = b.mul(z, horner(b, z, poly.LOG_ATANH["double"]))
    return f, b.sub(b.mul(s, b.add(half_square, rest)), half_square)


def _log_special(b: Emitter, x: Value, result: Value) -> Value:
    """The values of a logarithm at 0, below, at infinity and NaN."""
    infinity = b.like(math.inf, x)
    result = b.select(b.compare("oeq", x, infinity), infinity, result)
    result = b.select(b.compare("oeq", x, b.like(0.0, x)), b.like(-math.inf, x), result)
    return b.select(b.compare("ult", x, b.like(0.0, x)), b.like(math.nan, x), result)


def _join(b: Emitter, high: Value, low: Value, e: Value) -> Value:
    low = b.fma(e, b.like(LN2_LOW[e.type], e), low)
    return b.fma(e, b.like(LN2_HIGH[e.type], e), b.add(high, low))


def log(b: Emitter, x: Value) -> Value:
    f, e = _split(b, x)
    high, low = _log_parts(b, f)
    return _log_special(b, x, _join(b, high, low, e))


def _log_in_base(b: Emitter, x: Value, factor: float, ln2_factor: tuple[float, float]) -> Value:
    """e * log_base(2) + log(1+f) * factor; the products keep their rounding errors."""
    f, e = _split(b, x)
    high, low = _log_parts(b, f)
    top = factor if x.type == "double" else float_part(factor)
    rest = factor - top  # zero for double, whose factor is rounded already
    main = b.mul(high, b.like(top, x))
    error = b.fma(high, b.like(top, x), b.neg(main))
    tail = b.fma(low, b.like(top, x), error)
    tail = b.fma(high, b.like(rest, x), tail)
    tail = b.fma(e, b.like(ln2_factor[1], x), tail)
    result = b.fma(e, b.like(ln2_factor[0], x), b.add(main, tail))
    return _log_special(b, x, result)


def log2(b: Emitter, x: Value) -> Value:
    return _log_in_base(b, x, 1 / math.log(2), (1.0, 0.0))


def log10(b: Emitter, x: Value) -> Value:
    high = 0.301025390625 if x.type == "float" else 3.01029995663611771306e-01
    low = math.log10(2) - high if x.type == "float" else 3.69423907715893078616e-13
    return _log_in_base(b, x, 1 / math.log(10), (high, low))


def log1p(b: Emitter, x: Value) -> Value:
    one = b.like(1.0, x)
    u = b.add(one, x)
    back = b.sub(u, one)
    # u + lost is 1 + x exactly (Knuth's two-sum).
    lost = b.add(b.sub(one, b.sub(u, back)), b.sub(x, back))
    f, e = _split(b, u)
    high, low = _log_parts(b, f)
    result = _join(b, high, b.add(low, b.div(lost, u)), e)
    result = _log_special(b, u, result)
    # Tiny x is its own logarithm, and keeps the sign of zero.
    tiny = {"float": 2.0**-26, "double": 2.0**-55}[x.type]
    return b.select(b.compare("olt", b.fabs(x), b.like(tiny, x)), x, result)


# --- built from exp and log -------------------------------------------------------------------


def sigmoid(b: Emitter, x: Value) -> Value:
    one = b.like(1.0, x)
    small = exp(b, b.neg(b.fabs(x)))
    positive = b.compare("oge", x, b.like(0.0, x))
    return b.div(b.select(positive, one, small), b.add(one, small))


def softplus_unit(b: Emitter, x: Value) -> Value:
    """log(1 + exp(x)) without overflow."""
    tail = log1p(b, exp(b, b.neg(b.fabs(x))))
    result = b.add(lower_bound(b, x, 0.0), tail)
    return b.select(b.compare("uno", x, x), x, result)


def tanh(b: Emitter, x: Value) -> Value:
    bounded = upper_bound(b, b.fabs(x), {"float": 10.0, "double": 20.0}[x.type])
    q, k = exp_reduced(b, b.add(bounded, bounded))
    power = power_of_two(b, k, x.type)
    growth = b.fma(power, q, b.sub(power, b.like(1.0, x)))
    growth = b.select(b.compare("eq", k, b.like(0, k)), q, growth)
    result = b.div(growth, b.add(growth, b.like(2.0, x)))
    return b.copysign(result, x)


def _half_exp(b: Emitter, magnitude: Value) -> Value:
    """exp(magnitude) / 2 without overflow where that half is finite."""
    q, k = exp_reduced(b, magnitude)
    return scale(b, b.add(q, b.like(1.0, q)), b.sub(k, b.like(1, k)))


def sinh(b: Emitter, x: Value) -> Value:
    magnitude = b.fabs(x)
    half = _half_exp(b, magnitude)
    large = b.sub(half, b.div(b.like(0.25, x), half))
    square = b.mul(x, x)
    tail = horner(b, square, poly.SINH_TAIL[x.type])
    small = b.fma(b.mul(magnitude, square), tail, magnitude)
    near_zero = b.compare("olt", magnitude, b.like(1.0, x))
    return b.copysign(b.select(near_zero, small, large), x)


def cosh(b: Emitter, x: Value) -> Value:
    half = _half_exp(b, b.fabs(x))
    return b.add(half, b.div(b.like(0.25, x), half))


def asinh(b: Emitter, x: Value) -> Value:
    magnitude = b.fabs(x)
    huge = b.compare("ogt", magnitude, b.like(_HUGE[x.type], x))
    square = b.mul(magnitude, magnitude)
    one = b.like(1.0, x)
    root = b.intrinsic("sqrt", b.add(square, one))
    near = b.add(magnitude, b.div(square, b.add(one, root)))
    result = log1p(b, b.select(huge, magnitude, near))
    ln2 = b.select(huge, b.like(math.log(2), x), b.like(0.0, x))
    return b.copysign(b.add(result, ln2), x)


def acosh(b: Emitter, x: Value) -> Value:
    huge = b.compare("ogt", x, b.like(_HUGE[x.type], x))
    t = b.sub(x, b.like(1.0, x))
    root = b.intrinsic("sqrt", b.fma(t, t, b.add(t, t)))
    result = log1p(b, b.select(huge, x, b.add(t, root)))
    ln2 = b.select(huge, b.like(math.log(2), x), b.like(0.0, x))
    defined = b.compare("oge", x, b.like(1.0, x))
    return b.select(defined, b.add(result, ln2), b.like(math.nan, x))


def atanh(b: Emitter, x: Value) -> Value:
    magnitude = b.fabs(x)
    ratio = b.div(b.add(magnitude, magnitude), b.sub(b.like(1.0, x), magnitude))
    result = b.mul(b.like(0.5, x), log1p(b, ratio))
    # Half of a denormal would lose a bit.
    tiny = b.compare("olt", magnitude, b.like({"float": 2.0**-13, "double": 2.0**-28}[x.type], x))
    return b.select(tiny, x, b.copysign(result, x))


def hypot(b: Emitter, x: Value, y: Value) -> Value:
    if x.type == "float":
        wide_x, wide_y = b.convert("fpext", x, "double"), b.convert("fpext", y, "double")
        square = b.add(b.mul(wide_x, wide_x), b.mul(wide_y, wide_y))
        result = b.convert("fptrunc", b.intrinsic("sqrt", square), "float")
    else:
        p, q = b.fabs(x), b.fabs(y)
        larger = b.select(b.compare("ogt", p, q), p, q)
        smaller = b.select(b.compare("ogt", p, q), q, p)
        ratio = b.div(smaller, larger)
        zero = b.like(0.0, x)
        ratio = b.select(b.compare("oeq", larger, zero), zero, ratio)
        root = b.intrinsic("sqrt", b.fma(ratio, ratio, b.like(1.0, x)))
        result = b.mul(larger, root)
    infinity = b.like(math.inf, x)
    infinite = b.binary(
        "or", b.compare("oeq", b.fabs(x), infinity), b.compare("oeq", b.fabs(y), infinity)
    )
    return b.select(infinite, infinity, result)


# --- pow --------------------------------------------------------------------------------------


def _log_double_double(b: Emitter, x: Value) -> tuple[Value, Value]:
    """log x as an unevaluated sum of two doubles, to about 2^-64 of its size; x positive."""
    f, e = _split(b, x)
    two = b.like(2.0, f)
    t = b.add(two, f)
    t_low = b.sub(f, b.sub(t, two))
    s = b.div(f, t)
    remainder = b.fma(b.neg(s), t_low, b.fma(b.neg(s), t, f))
    s_low = b.div(remainder, t)
    z = b.mul(s, s)
    z_low = b.fma(s, s, b.neg(z))
    cube = b.mul(s, z)
    cube_low = b.fma(s, z_low, b.fma(s, z, b.neg(cube)))
    cube_low = b.fma(b.mul(b.like(3.0, z), z), s_low, cube_low)
    third = b.like(poly.LOG_ATANH["double"][0], f)
    w = b.mul(cube, third)
    w_low = b.fma(cube, third, b.neg(w))
    w_low = b.fma(cube_low, third, w_low)
    w_low = b.fma(cube, b.like(_TWO_THIRDS_LOW, f), w_low)
    rest = b.mul(b.mul(cube, z), horner(b, z, poly.LOG_ATANH["double"][1:]))
    exponent = b.mul(e, b.like(LN2_HIGH["double"], f))
    high, error1 = _two_sum(b, exponent, b.add(s, s))
    high, error2 = _two_sum(b, high, w)
    low = b.add(b.add(error1, error2), b.add(b.add(s_low, s_low), b.add(w_low, rest)))
    low = b.fma(e, b.like(LN2_LOW["double"], f), low)
    total = b.add(high, low)
    return total, b.sub(low, b.sub(total, high))


def _two_sum(b: Emitter, x: Value, y: Value) -> tuple[Value, Value]:
    total = b.add(x, y)
    back = b.sub(total, x)
    return total, b.add(b.sub(x, b.sub(total, back)), b.sub(y, back))


def _power_to_float(b: Emitter, x: Value, y: Value) -> Value:
    """|x|^y to well below a float's last place: a plain double logarithm is enough."""
    return exp(b, b.mul(y, log(b, b.fabs(x))))


def _power_of_magnitude(b: Emitter, x: Value, y: Value) -> Value:
    """|x|^y in double for finite positive |x|, zero and infinity included by their logarithms."""
    magnitude = b.fabs(x)
    log_high, log_low = _log_double_double(b, magnitude)
    special = _log_special(b, magnitude, log_high)
    log_low = b.select(b.compare("oeq", special, log_high), log_low, b.like(0.0, x))
    product = b.mul(y, special)
    low = b.fma(y, log_low, b.fma(y, special, b.neg(product)))
    inside = b.compare("olt", b.fabs(product), b.like(746.0, x))
    q, k, n = _exp_parts(b, product, b.select(inside, low, b.like(0.0, x)))
    return scale(b, b.add(q, b.like(1.0, q)), k, n)


def power(b: Emitter, x: Value, y: Value) -> Value:
    """x^y with C's special cases."""
    if x.type == "float":
        wide = [b.convert("fpext", v, "double") for v in (x, y)]
        result = b.convert("fptrunc", _power_to_float(b, *wide), "float")
    else:
        result = _power_of_magnitude(b, x, y)
    one, zero = b.like(1.0, x), b.like(0.0, x)
    whole = b.compare("oeq", b.intrinsic("trunc", y), y)
    half = b.mul(y, b.like(0.5, y))
    odd = b.binary("and", whole, b.compare("une", b.intrinsic("trunc", half), half))
    signed = b.select(odd, b.copysign(result, x), result)
    # A negative base has a power only at whole exponents; -0 and -inf have one at all.
    infinity = b.like(math.inf, x)
    negative = b.compare("olt", x, zero)
    undefined = b.binary("and", negative, b.logic_not(whole))
    finite = b.compare("one", b.fabs(x), infinity)
    undefined = b.binary("and", undefined, finite)
    signed = b.select(undefined, b.like(math.nan, x), signed)
    unordered = b.compare("uno", x, y)
    signed = b.select(unordered, b.like(math.nan, x), signed)
    unit = b.binary("or", b.compare("oeq", x, one), b.compare("oeq", y, zero))
    minus_one = b.compare("oeq", x, b.like(-1.0, x))
    unit_magnitude = b.binary("and", minus_one, b.compare("oeq", b.fabs(y), infinity))
    return b.select(b.binary("or", unit, unit_magnitude), one, signed)
