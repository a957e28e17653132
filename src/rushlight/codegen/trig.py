"""sin, cos, tan and their inverses as IR: see codegen/math.py for contract and sources.

Arguments are reduced by Cody and Waite's method in double precision; the rare huge ones take
Payne and Hanek's, lane by lane in integer arithmetic, behind a loop that normally runs no times.
Level 7.
"""

from __future__ import annotations

import math

from rushlight.codegen import polynomials as poly
from rushlight.codegen.emit import Emitter, Value
from rushlight.codegen.exponential import horner, nearest_integer

# pi/2 in parts; the first two of the three-part split have 33 bits, so that their products with
# a 20-bit integer are exact (fdlibm's constants).
_HALF_PI = math.pi / 2
_HALF_PI_LOW = 6.123233995736766e-17
_PART_1 = 1.57079632673412561417e00
_PART_2 = 6.07710050630396597660e-11
_PART_3 = 2.02226624879595063154e-21
_PART_3_LOW = -5.52167643501146e-38
_FAST_LIMIT = {"float": 2.0**28, "double": 2.0**20}
_TABLE = "two_over_pi"
_FRACTION_BITS = 190  # of a 192-bit product; the two bits above count quarter turns


def _two_difference(b: Emitter, x: Value, y: Value) -> tuple[Value, Value]:
    total = b.sub(x, y)
    back = b.sub(x, total)
    error = b.add(b.sub(x, b.add(total, back)), b.sub(back, y))
    return total, error


def _reduce_fast(b: Emitter, x: Value, accurate: bool) -> tuple[Value, Value, Value]:
    """(r, r_low, quadrant) of a moderate double."""
    n, k = nearest_integer(b, x, 2 / math.pi)
    if not accurate:
        r = b.fma(n, b.like(-_HALF_PI, x), x)
        return b.fma(n, b.like(-_HALF_PI_LOW, x), r), b.like(0.0, x), k
    high = b.fma(n, b.like(-_PART_1, x), x)
    high, low = _two_difference(b, high, b.mul(n, b.like(_PART_2, x)))
    third = b.mul(n, b.like(_PART_3, x))
    third_low = b.fma(n, b.like(_PART_3, x), b.neg(third))
    high, error = _two_difference(b, high, third)
    low = b.sub(b.add(low, error), third_low)
    low = b.fma(n, b.like(-_PART_3_LOW, x), low)
    total = b.add(high, low)
    return total, b.sub(low, b.sub(total, high)), k


def _table_word(b: Emitter, word: Value, offset: int) -> Value:
    index = b.add(word, b.like(offset, word))
    pointer = b.pointer_offset(Value(f"@{_TABLE}", "ptr"), index, "i64")
    return b.load(pointer, "i64", 1, 8)


def _wide(b: Emitter, words: list[Value], type_: str) -> Value:
    """64-bit words, most significant first, as one wide integer."""
    total = b.const(0, type_)
    for word in words:
        shifted = b.binary("shl", total, b.const(64, type_))
        total = b.binary("or", shifted, b.convert("zext", word, type_))
    return total


def _reduce_huge_scalar(b: Emitter, x: Value) -> tuple[Value, Value, Value]:
    """Payne and Hanek: x * 2/pi modulo 4 to 190 fractional bits, for one finite double."""
    bits = b.convert("bitcast", b.fabs(x), "i64")
    exponent = b.binary("lshr", bits, b.const(52, "i64"))
    fraction = b.binary("and", bits, b.const((1 << 52) - 1, "i64"))
    mantissa = b.binary("or", fraction, b.const(1 << 52, "i64"))
    # x = mantissa * 2^(exponent - 1075).  Bits of 2/pi worth 4 or more times that drop out; the
    # first that counts has index exponent - 1077 from the point, 64 more with the table's zeros.
    first = b.sub(exponent, b.const(1077 - 64, "i64"))
    word = b.binary("lshr", first, b.const(6, "i64"))
    shift = b.binary("and", first, b.const(63, "i64"))
    window = _wide(b, [_table_word(b, word, i) for i in range(4)], "i256")
    down = b.convert("zext", b.sub(b.const(64, "i64"), shift), "i256")
    window = b.convert("trunc", b.binary("lshr", window, down), "i192")
    product = b.mul(b.convert("zext", mantissa, "i192"), window)
    half = b.const(1 << (_FRACTION_BITS - 1), "i192")
    quadrant = b.binary("lshr", b.add(product, half), b.const(_FRACTION_BITS, "i192"))
    whole = b.binary("shl", quadrant, b.const(_FRACTION_BITS, "i192"))
    signed = b.sub(product, whole)
    negative = b.compare("slt", signed, b.const(0, "i192"))
    magnitude = b.select(negative, b.neg(signed), signed)
    high, low = _fraction_to_doubles(b, magnitude)
    # The sign of the fraction and of x; the quadrant turns with x's sign too.
    x_negative = b.compare("olt", x, b.const(0.0, "double"))
    flip = b.binary("xor", negative, x_negative)
    turn = b.convert("trunc", quadrant, "i64")
    turn = b.select(x_negative, b.neg(turn), turn)
    factor = b.const(_HALF_PI, "double")
    r = b.mul(high, factor)
    r_low = b.fma(high, factor, b.neg(r))
    r_low = b.fma(high, b.const(_HALF_PI_LOW, "double"), b.fma(low, factor, r_low))
    return b.select(flip, b.neg(r), r), b.select(flip, b.neg(r_low), r_low), turn


def _fraction_to_doubles(b: Emitter, magnitude: Value) -> tuple[Value, Value]:
    """A 192-bit integer over 2^190 as a sum of two doubles."""
    zero_is_defined = b.const(0, "i1")
    name = "@llvm.ctlz.i192"
    b.declarations.add(f"declare i192 {name}(i192, i1)")
    text = f"call i192 {name}({magnitude.typed}, {zero_is_defined.typed})"
    leading = b.pure(text, [magnitude], "i192", 1)
    # At most 191, which keeps the shift defined; a zero magnitude stays zero.
    leading = b.select(
        b.compare("ugt", leading, b.const(191, "i192")), b.const(191, "i192"), leading
    )
    normalized = b.binary("shl", magnitude, leading)
    top = b.convert("trunc", b.binary("lshr", normalized, b.const(139, "i192")), "i64")
    rest = b.convert("trunc", b.binary("lshr", normalized, b.const(86, "i192")), "i64")
    rest = b.binary("and", rest, b.const((1 << 53) - 1, "i64"))
    count = b.convert("trunc", leading, "i64")
    # top has 53 bits and weight 2^(139 - 190 - count), rest follows 53 bits below.
    weight = b.sub(b.const(1023 + 139 - _FRACTION_BITS, "i64"), count)
    weight = b.binary("shl", weight, b.const(52, "i64"))
    unit = b.convert("bitcast", weight, "double")
    high = b.mul(b.convert("uitofp", top, "double"), unit)
    low = b.mul(b.convert("uitofp", rest, "double"), b.mul(unit, b.const(2.0**-53, "double")))
    return high, low


def _reduce_huge(b: Emitter, x: Value, huge: Value, fast: list[Value]) -> list[Value]:
    """Replaces the lanes where ``huge`` holds; the loop runs no times if there are none."""
    b.declarations.add(_table_declaration())
    width = x.width
    if width == 1:
        any_huge = huge
    else:
        mask = b.pure(f"bitcast {huge.typed} to i{width}", [huge], f"i{width}", 1)
        zero = Value("0", f"i{width}")
        any_huge = b.pure(f"icmp ne {mask.typed}, {zero.text}", [mask], "i1", 1)
    stop = b.select(any_huge, b.const(width, "i64"), b.const(0, "i64"))
    loop = b.begin_loop(b.const(0, "i64"), stop, 1, fast)
    lane = loop.counter
    scalar = _dynamic_extract(b, x, lane)
    # Lanes that are not huge reduce 2^30 instead, which is inside the table, and are dropped.
    take = _dynamic_extract(b, huge, lane)
    safe = b.select(take, scalar, b.const(2.0**30, "double"))
    reduced = _reduce_huge_scalar(b, safe)
    updated = []
    for held, new in zip(loop.values, reduced):
        chosen = b.select(take, new, _dynamic_extract(b, held, lane))
        updated.append(_dynamic_insert(b, held, chosen, lane))
    return b.end_loop(loop, updated)


def _table_declaration() -> str:
    words = ", ".join(f"i64 {word}" for word in poly.TWO_OVER_PI)
    count = len(poly.TWO_OVER_PI)
    return f"@{_TABLE} = private unnamed_addr constant [{count} x i64] [{words}], align 64"


def _dynamic_extract(b: Emitter, x: Value, lane: Value) -> Value:
    if x.width == 1:
        return x
    return b.pure(f"extractelement {x.typed}, {lane.typed}", [x, lane], x.type, 1)


def _dynamic_insert(b: Emitter, x: Value, new: Value, lane: Value) -> Value:
    if x.width == 1:
        return new
    text = f"insertelement {x.typed}, {new.typed}, {lane.typed}"
    return b.pure(text, [x, new, lane], x.type, x.width)


def reduce_quarter_turns(b: Emitter, x: Value) -> tuple[Value, Value, Value]:
    """(r, r_low, quadrant): x is quadrant * pi/2 + r + r_low, |r| <= pi/4.

    r has x's type, the quadrant its low bits in i32; both are garbage for infinities and NaN.
    """
    wide = b.convert("fpext", x, "double") if x.type == "float" else x
    fast = list(_reduce_fast(b, wide, accurate=x.type == "double"))
    magnitude = b.fabs(wide)
    huge = b.compare("ogt", magnitude, b.like(_FAST_LIMIT[x.type], wide))
    finite = b.compare("olt", magnitude, b.like(math.inf, wide))
    r, low, k = _reduce_huge(b, wide, b.binary("and", huge, finite), fast)
    if x.type == "float":
        r = b.convert("fptrunc", r, "float")
        low = b.like(0.0, r)
    return r, low, b.convert("trunc", k, "i32")


def _sin_cos_polynomials(b: Emitter, r: Value, low: Value) -> tuple[Value, Value]:
    z = b.mul(r, r)
    half = b.mul(z, b.like(0.5, z))
    one = b.like(1.0, r)
    w = b.sub(one, half)
    cube = b.mul(b.mul(r, z), horner(b, z, poly.SIN_TAIL[r.type]))
    square = b.mul(b.mul(z, z), horner(b, z, poly.COS_TAIL[r.type]))
    if r.type == "double":
        cube = b.fma(low, w, cube)
        square = b.fma(b.neg(r), low, square)
    cos = b.add(w, b.add(b.sub(b.sub(one, w), half), square))
    return b.add(r, cube), cos


def _odd(b: Emitter, k: Value) -> Value:
    return b.compare("ne", b.binary("and", k, b.like(1, k)), b.like(0, k))


def _bit_1(b: Emitter, k: Value) -> Value:
    return b.compare("ne", b.binary("and", k, b.like(2, k)), b.like(0, k))


def _undefined_at_infinity(b: Emitter, x: Value, result: Value) -> Value:
    finite = b.compare("olt", b.fabs(x), b.like(math.inf, x))
    return b.select(finite, result, b.like(math.nan, x))


def sin(b: Emitter, x: Value) -> Value:
    r, low, k = reduce_quarter_turns(b, x)
    s, c = _sin_cos_polynomials(b, r, low)
    chosen = b.select(_odd(b, k), c, s)
    result = b.select(_bit_1(b, k), b.neg(chosen), chosen)
    result = b.select(b.compare("oeq", x, b.like(0.0, x)), x, result)
    return _undefined_at_infinity(b, x, result)


def cos(b: Emitter, x: Value) -> Value:
    r, low, k = reduce_quarter_turns(b, x)
    s, c = _sin_cos_polynomials(b, r, low)
    chosen = b.select(_odd(b, k), s, c)
    following = b.add(k, b.like(1, k))
    result = b.select(_bit_1(b, following), b.neg(chosen), chosen)
    return _undefined_at_infinity(b, x, result)


def tan(b: Emitter, x: Value) -> Value:
    r, low, k = reduce_quarter_turns(b, x)
    s, c = _sin_cos_polynomials(b, r, low)
    odd = _odd(b, k)
    result = b.div(b.select(odd, b.neg(c), s), b.select(odd, s, c))
    result = b.select(b.compare("oeq", x, b.like(0.0, x)), x, result)
    return _undefined_at_infinity(b, x, result)


# --- inverses ---------------------------------------------------------------------------------


def _pi_parts(type_: str, multiple: float) -> tuple[float, float]:
    """multiple * pi rounded to the type, and what is missing."""
    high = math.pi * multiple
    if type_ == "double":
        return high, 1.2246467991473532e-16 * multiple
    rounded = _round_to_float(high)
    return rounded, high - rounded


def _round_to_float(number: float) -> float:
    mantissa, exponent = math.frexp(number)
    return math.ldexp(round(mantissa * 2**24), exponent - 24)


def _from_angle(b: Emitter, multiple: float, angle: Value) -> Value:
    """multiple * pi - angle."""
    high, low = _pi_parts(angle.type, multiple)
    return b.add(b.like(high, angle), b.sub(b.like(low, angle), angle))


def _atan_unit(b: Emitter, t: Value) -> Value:
    """atan on [0, 1]."""
    z = b.mul(t, t)
    return b.fma(b.mul(t, z), horner(b, z, poly.ATAN_TAIL[t.type]), t)


def atan(b: Emitter, x: Value) -> Value:
    magnitude, one = b.fabs(x), b.like(1.0, x)
    steep = b.compare("ogt", magnitude, one)
    ratio = b.div(b.select(steep, one, magnitude), b.select(steep, magnitude, one))
    angle = _atan_unit(b, ratio)
    return b.copysign(b.select(steep, _from_angle(b, 0.5, angle), angle), x)


def atan2(b: Emitter, y: Value, x: Value) -> Value:
    p, q = b.fabs(y), b.fabs(x)
    zero, infinity = b.like(0.0, x), b.like(math.inf, x)
    steep = b.compare("ogt", p, q)
    smaller, larger = b.select(steep, q, p), b.select(steep, p, q)
    ratio = b.div(smaller, larger)
    ratio = b.select(b.compare("oeq", larger, zero), zero, ratio)
    ratio = b.select(b.compare("oeq", smaller, infinity), b.like(1.0, x), ratio)
    angle = _atan_unit(b, ratio)
    angle = b.select(steep, _from_angle(b, 0.5, angle), angle)
    bits = b.convert("bitcast", x, {"float": "i32", "double": "i64"}[x.type])
    left = b.compare("slt", bits, b.like(0, bits))
    angle = b.select(left, _from_angle(b, 1.0, angle), angle)
    result = b.copysign(angle, y)
    return b.select(b.compare("uno", x, y), b.like(math.nan, x), result)


def _asin_core(b: Emitter, magnitude: Value) -> tuple[Value, Value]:
    """(steep, p): asin(magnitude) is pi/2 - 2p where steep, else p."""
    half = b.like(0.5, magnitude)
    steep = b.compare("ogt", magnitude, half)
    z = b.select(
        steep, b.mul(b.sub(b.like(1.0, magnitude), magnitude), half), b.mul(magnitude, magnitude)
    )
    s = b.select(steep, b.intrinsic("sqrt", z), magnitude)
    return steep, b.fma(b.mul(s, z), horner(b, z, poly.ASIN_TAIL[s.type]), s)


def asin(b: Emitter, x: Value) -> Value:
    steep, p = _asin_core(b, b.fabs(x))
    return b.copysign(b.select(steep, _from_angle(b, 0.5, b.add(p, p)), p), x)


def acos(b: Emitter, x: Value) -> Value:
    steep, p = _asin_core(b, b.fabs(x))
    twice = b.add(p, p)
    negative = b.compare("olt", x, b.like(0.0, x))
    outer = b.select(negative, _from_angle(b, 1.0, twice), twice)
    inner = _from_angle(b, 0.5, b.select(negative, b.neg(p), p))
    return b.select(steep, outer, inner)
