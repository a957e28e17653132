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


def _shifted_left(b: Emitter, high: Value, low: Value, count: Value) -> Value:
    """The upper word of two words shifted left by less than 64."""
    name = "@llvm.fshl.i64"
    b.declarations.add(f"declare i64 {name}(i64, i64, i64)")
    args = [high, low, count]
    return b.pure(f"call i64 {name}({', '.join(x.typed for x in args)})", args, "i64", 1)


def _product(b: Emitter, factor: Value, words: list[Value]) -> list[Value]:
    """A number below 2^63 times three words, modulo 2^192; most significant words first."""
    wide, by_64 = b.convert("zext", factor, "i128"), b.const(64, "i128")
    lowest = b.mul(wide, b.convert("zext", words[2], "i128"))
    middle = b.mul(wide, b.convert("zext", words[1], "i128"))
    middle = b.add(middle, b.binary("lshr", lowest, by_64))
    carry = b.convert("trunc", b.binary("lshr", middle, by_64), "i64")
    highest = b.add(b.mul(factor, words[0]), carry)
    return [highest, b.convert("trunc", middle, "i64"), b.convert("trunc", lowest, "i64")]


def _negated(b: Emitter, words: list[Value]) -> list[Value]:
    """The two's complement of three words."""
    zero, one = b.const(0, "i64"), b.const(1, "i64")
    high, middle, low = words
    borrow = b.select(b.compare("ne", low, zero), one, zero)
    some = b.compare("ne", b.binary("or", middle, low), zero)
    return [
        b.sub(b.sub(zero, high), b.select(some, one, zero)),
        b.sub(b.sub(zero, middle), borrow),
        b.sub(zero, low),
    ]


def _reduce_huge_scalar(b: Emitter, x: Value) -> tuple[Value, Value, Value]:
    """Payne and Hanek: x * 2/pi modulo 4 to 190 fractional bits, for one finite double.

    In words of 64 bits: LLVM takes wider integers, and three times as long for them.
    """
    bits = b.convert("bitcast", b.fabs(x), "i64")
    exponent = b.binary("lshr", bits, b.const(52, "i64"))
    fraction = b.binary("and", bits, b.const((1 << 52) - 1, "i64"))
    mantissa = b.binary("or", fraction, b.const(1 << 52, "i64"))
    # x = mantissa * 2^(exponent - 1075).  Bits of 2/pi worth 4 or more times that drop out; the
    # first that counts has index exponent - 1077 from the point, 64 more with the table's zeros.
    first = b.sub(exponent, b.const(1077 - 64, "i64"))
    word = b.binary("lshr", first, b.const(6, "i64"))
    shift = b.binary("and", first, b.const(63, "i64"))
    table = [_table_word(b, word, i) for i in range(4)]
    window = [_shifted_left(b, table[i], table[i + 1], shift) for i in range(3)]
    top, *rest = _product(b, mantissa, window)
    # Two bits of the product are whole quarter turns, to the nearest.
    whole = b.const(_FRACTION_BITS - 128, "i64")
    half = b.const(1 << (_FRACTION_BITS - 129), "i64")
    quadrant = b.binary("lshr", b.add(top, half), whole)
    signed = [b.sub(top, b.binary("shl", quadrant, whole)), *rest]
    negative = b.compare("slt", signed[0], b.const(0, "i64"))
    magnitude = [b.select(negative, n, w) for n, w in zip(_negated(b, signed), signed)]
    high, low = _fraction_to_doubles(b, magnitude)
    # The sign of the fraction and of x; the quadrant turns with x's sign too.
    x_negative = b.compare("olt", x, b.const(0.0, "double"))
    flip = b.binary("xor", negative, x_negative)
    turn = b.select(x_negative, b.neg(quadrant), quadrant)
    factor = b.const(_HALF_PI, "double")
    r = b.mul(high, factor)
    r_low = b.fma(high, factor, b.neg(r))
    r_low = b.fma(high, b.const(_HALF_PI_LOW, "double"), b.fma(low, factor, r_low))
    return b.select(flip, b.neg(r), r), b.select(flip, b.neg(r_low), r_low), turn


def _fraction_to_doubles(b: Emitter, words: list[Value]) -> tuple[Value, Value]:
    """A 192-bit integer over 2^190 as a sum of two doubles; zero stays zero."""
    zero = b.const(0, "i64")
    count = zero
    high, middle, low = words
    for _ in range(2):
        empty = b.compare("eq", high, zero)
        high, middle = b.select(empty, middle, high), b.select(empty, low, middle)
        low = b.select(empty, zero, low)
        count = b.add(count, b.select(empty, b.const(64, "i64"), zero))
    b.declarations.add("declare i64 @llvm.ctlz.i64(i64, i1)")
    leading = b.pure(f"call i64 @llvm.ctlz.i64({high.typed}, i1 false)", [high], "i64", 1)
    count = b.add(count, leading)
    shift = b.binary("and", leading, b.const(63, "i64"))
    high, middle = _shifted_left(b, high, middle, shift), _shifted_left(b, middle, low, shift)
    top = b.binary("lshr", high, b.const(11, "i64"))
    rest = b.binary("shl", high, b.const(42, "i64"))
    rest = b.binary("or", rest, b.binary("lshr", middle, b.const(22, "i64")))
    rest = b.binary("and", rest, b.const((1 << 53) - 1, "i64"))
    # top has 53 bits and weight 2^(139 - 190 - count), rest follows 53 bits below.
    weight = b.sub(b.const(1023 + 139 - _FRACTION_BITS, "i64"), count)
    weight = b.binary("shl", weight, b.const(52, "i64"))
    unit = b.convert("bitcast", weight, "double")
    high_part = b.mul(b.convert("uitofp", top, "double"), unit)
    low_unit = b.mul(unit, b.const(2.0**-53, "double"))
    return high_part, b.mul(b.convert("uitofp", rest, "double"), low_unit)


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
    once = b.select(any_huge, b.const(1, "i64"), b.const(0, "i64"))
    loop = b.begin_loop(b.const(0, "i64"), once, 1, fast)
    # Lanes that are not huge reduce 2^30 instead, which is inside the table, and are dropped.
    safe = b.select(huge, x, b.like(2.0**30, x))
    reduced = _reduce_huge_scalar(b, safe) if width == 1 else _reduce_lanes(b, safe)
    updated = [b.select(huge, new, held) for new, held in zip(reduced, loop.values)]
    return b.end_loop(loop, updated)


def _reduce_lanes(b: Emitter, x: Value) -> list[Value]:
    """Each lane by itself, through memory: LLVM is slow at lanes chosen by a variable."""
    types = ("double", "double", "double", "i64")
    source, *places = [b.alloca(type_, x.width, 64) for type_ in types]
    b.store(x, source, 8)
    lane = b.begin_loop(b.const(0, "i64"), b.const(x.width, "i64"), 1)
    scalar = b.load(b.pointer_offset(source, lane.counter, "double"), "double", 1, 8)
    for value, place in zip(_reduce_huge_scalar(b, scalar), places):
        b.store(value, b.pointer_offset(place, lane.counter, value.type), 8)
    b.end_loop(lane)
    return [b.load(place, type_, x.width, 8) for place, type_ in zip(places, types[1:])]


def _table_declaration() -> str:
    words = ", ".join(f"i64 {word}" for word in poly.TWO_OVER_PI)
    count = len(poly.TWO_OVER_PI)
    return f"@{_TABLE} = private unnamed_addr constant [{count} x i64] [{words}], align 64"


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
