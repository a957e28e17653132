"""Random numbers as LLVM text: the engine's words, and what distributions make of them.

Every function has the same arguments: source, target, count, and numbers p, q, r (`ARGUMENTS`).
What they compute is defined by `rng/`, bit for bit, with the same roundings and fused operations
at the same places; neither the vector width nor the machine changes a bit.  Source and target may
be the same memory where their elements are of one size.  Level 7.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.base.target import Target
from rushlight.codegen.emit import Emitter, Value

ARGUMENTS = "ptr %source, ptr %target, i64 %count, i64 %k, double %p, double %q, double %r"

# Words in one block of the recurrence, and how far back it reaches.
BLOCK_WORDS = 624
_FAR = 397
_NEAR = BLOCK_WORDS - _FAR
# Lanes of the recurrence; more than _NEAR would read words before they are written.
_WORD_LANES = 16

# Normal numbers of one block, and the half of them that one uniform number each decides.
_NORMAL_BLOCK = 16
_NORMAL_HALF = 8

_SOURCE, _TARGET = Value("%source", "ptr"), Value("%target", "ptr")
_COUNT, _K = Value("%count", "i64"), Value("%k", "i64")
_P, _Q, _R = Value("%p", "double"), Value("%q", "double"), Value("%r", "double")

Body = Callable[[Emitter, Value, int], None]


def _at(b: Emitter, base: Value, index: Value, type_: str) -> Value:
    return b.pointer_offset(base, index, type_)


def _each(b: Emitter, lanes: int, body: Body, start: Value | None = None) -> None:
    """`body` of the index and the lanes at all indices below the count: vectors, then the rest."""
    first = b.const(0, "i64") if start is None else start
    whole = b.binary("and", _COUNT, b.const(-lanes, "i64"))
    loop = b.begin_loop(first, whole, lanes)
    body(b, loop.counter, lanes)
    b.end_loop(loop)
    loop = b.begin_loop(whole, _COUNT, 1)
    body(b, loop.counter, 1)
    b.end_loop(loop)


# ---- the engine ----------------------------------------------------------------------------------


def _words(b: Emitter) -> None:
    """source: 624 words of state, moved on; target: `count` blocks of tempered words.

    Source: M. Matsumoto and T. Nishimura 1998.
    """
    zero = b.const(0, "i64")
    blocks = b.begin_loop(zero, _COUNT, 1)
    vectors = _NEAR // _WORD_LANES * _WORD_LANES
    _twist(b, 0, vectors, _FAR, _WORD_LANES)
    _twist(b, vectors, _NEAR, _FAR, 1)
    last = BLOCK_WORDS - 1
    vectors = _NEAR + (last - _NEAR) // _WORD_LANES * _WORD_LANES
    _twist(b, _NEAR, vectors, -_NEAR, _WORD_LANES)
    _twist(b, vectors, last, -_NEAR, 1)
    _twist_one(b, b.const(last, "i64"), zero, b.const(last - _NEAR, "i64"), 1)
    start = b.mul(blocks.counter, b.const(BLOCK_WORDS, "i64"))
    loop = b.begin_loop(zero, b.const(BLOCK_WORDS, "i64"), _WORD_LANES)
    word = b.load(_at(b, _SOURCE, loop.counter, "i32"), "i32", _WORD_LANES, 4)
    place = _at(b, _TARGET, b.add(start, loop.counter), "i32")
    b.store(_tempered(b, word), place, 4)
    b.end_loop(loop)
    b.end_loop(blocks)


def _twist(b: Emitter, start: int, stop: int, far: int, lanes: int) -> None:
    """Moves words start … stop - 1 on; the word `far` places on is mixed in."""
    loop = b.begin_loop(b.const(start, "i64"), b.const(stop, "i64"), lanes)
    i = loop.counter
    _twist_one(b, i, b.add(i, b.const(1, "i64")), b.add(i, b.const(far, "i64")), lanes)
    b.end_loop(loop)


def _twist_one(b: Emitter, place: Value, following: Value, far: Value, lanes: int) -> None:
    at = _at(b, _SOURCE, place, "i32")
    word, after, mixed = [
        b.load(_at(b, _SOURCE, i, "i32"), "i32", lanes, 4) for i in (place, following, far)
    ]
    upper = b.binary("and", word, b.like(0x80000000, word))
    y = b.binary("or", upper, b.binary("and", after, b.like(0x7FFFFFFF, word)))
    odd = b.compare("ne", b.binary("and", after, b.like(1, word)), b.like(0, word))
    matrix = b.select(odd, b.like(0x9908B0DF, word), b.like(0, word))
    shifted = b.binary("lshr", y, b.like(1, word))
    b.store(b.binary("xor", b.binary("xor", mixed, shifted), matrix), at, 4)


def _tempered(b: Emitter, y: Value) -> Value:
    y = b.binary("xor", y, b.binary("lshr", y, b.like(11, y)))
    for shift, mask in ((7, 0x9D2C5680), (15, 0xEFC60000)):
        shifted = b.binary("shl", y, b.like(shift, y))
        y = b.binary("xor", y, b.binary("and", shifted, b.like(mask, y)))
    return b.binary("xor", y, b.binary("lshr", y, b.like(18, y)))


# ---- uniform numbers -----------------------------------------------------------------------------


def _float_of(b: Emitter, word: Value) -> Value:
    """float32 on the grid of 2**-24, from the low bits of a word."""
    low = b.binary("and", word, b.like(0xFFFFFF, word))
    number = b.convert("sitofp", low, "float")
    return b.mul(number, b.like(2.0**-24, number))


def _double_of(b: Emitter, pair: Value) -> Value:
    """float64 on the grid of 2**-53, from two words read as one number, the first one lower."""
    high = b.binary("shl", b.binary("and", pair, b.like(0x1FFFFF, pair)), b.like(32, pair))
    bits = b.binary("or", high, b.binary("lshr", pair, b.like(32, pair)))
    number = b.convert("sitofp", bits, "double")
    return b.mul(number, b.like(2.0**-53, number))


def _uniform(wide: bool, between: bool):
    """Words to [0, 1), or to p + q [0, 1) in which r, the upper end, becomes p."""
    word, type_, size = ("i64", "double", 8) if wide else ("i32", "float", 4)
    make = _double_of if wide else _float_of

    def text(b: Emitter) -> None:
        low, span, high = [b.convert("fptrunc", v, type_) for v in (_P, _Q, _R)]

        def body(b: Emitter, i: Value, lanes: int) -> None:
            x = make(b, b.load(_at(b, _SOURCE, i, word), word, lanes, 4))
            if between:
                x = b.fma(x, span, low)
                x = b.select(b.compare("oeq", x, high), low, x)
            b.store(x, _at(b, _TARGET, i, type_), size)

        _each(b, b.target.lanes(size), body)

    return text


def _coins(b: Emitter) -> None:
    """Two words each to one byte: whether the double they make is below p."""

    def body(b: Emitter, i: Value, lanes: int) -> None:
        x = _double_of(b, b.load(_at(b, _SOURCE, i, "i64"), "i64", lanes, 4))
        flip = b.convert("zext", b.compare("olt", x, _P), "i8")
        b.store(flip, _at(b, _TARGET, i, "i8"), 1)

    _each(b, b.target.lanes(8), body)


def _remainders(b: Emitter) -> None:
    """Words modulo k < 2**32 as int64.

    The quotient is that of doubles, rounded down: since word and k are below 2**32, it is at least
    2**-32 away from the integer above, which is more than the quotient's rounding.
    """
    divisor = b.convert("uitofp", _K, "double")

    def body(b: Emitter, i: Value, lanes: int) -> None:
        word = b.convert("zext", b.load(_at(b, _SOURCE, i, "i32"), "i32", lanes, 4), "i64")
        quotient = b.div(b.convert("sitofp", word, "double"), divisor)
        whole = b.convert("fptosi", quotient, "i64")
        rest = b.sub(word, b.mul(whole, _K))
        b.store(rest, _at(b, _TARGET, i, "i64"), 8)

    _each(b, b.target.lanes(8), body)


def _shuffle(b: Emitter) -> None:
    """target: 0 … count - 1, then place i swapped with place i + word i modulo count - i."""
    index = b.target.lanes(8)

    def identity(b: Emitter, i: Value, lanes: int) -> None:
        numbers = i
        if lanes > 1:
            numbers = b.add(b.splat(i, lanes), b.vector_constant(range(lanes), "i64"))
        b.store(numbers, _at(b, _TARGET, i, "i64"), 8)

    _each(b, index, identity)
    one = b.const(1, "i64")
    loop = b.begin_loop(b.const(0, "i64"), b.sub(_COUNT, one), 1)
    word = b.load(_at(b, _SOURCE, loop.counter, "i32"), "i32", 1, 4)
    remaining = b.convert("trunc", b.sub(_COUNT, loop.counter), "i32")
    step = b.convert("zext", b.binary("urem", word, remaining), "i64")
    here = _at(b, _TARGET, loop.counter, "i64")
    there = _at(b, _TARGET, b.add(loop.counter, step), "i64")
    mine, other = b.load(here, "i64", 1, 8), b.load(there, "i64", 1, 8)
    b.store(other, here, 8)
    b.store(mine, there, 8)
    b.end_loop(loop)


# ---- normal numbers ------------------------------------------------------------------------------

_LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_LOG2_LOW, _LOG2_HIGH = -2.12194440e-4, 0.693359375
_SQRT_HALF = 0.707106781186547524
_FOUR_OVER_PI = 1.27323954473516
_QUARTER_PI = (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_TWO_PI = 6.283185307179586


def _polynomial(b: Emitter, x: Value, coefficients) -> Value:
    y = b.like(coefficients[0], x)
    for coefficient in coefficients[1:]:
        y = b.fma(y, x, b.like(coefficient, x))
    return y


def _log(b: Emitter, x: Value) -> Value:
    """log of float32 in (0, 1], as `rng.normal.log_f32`."""
    bits = b.convert("bitcast", x, "i32")
    exponent = b.sub(b.binary("ashr", bits, b.like(23, bits)), b.like(126, bits))
    mantissa = b.binary("and", bits, b.like(0x7FFFFF, bits))
    mantissa = b.binary("or", mantissa, b.like(0x3F000000, bits))
    m = b.convert("bitcast", mantissa, "float")
    small = b.compare("olt", m, b.like(_SQRT_HALF, m))
    exponent = b.select(small, b.sub(exponent, b.like(1, exponent)), exponent)
    e = b.convert("sitofp", exponent, "float")
    t = b.sub(b.select(small, b.add(m, m), m), b.like(1.0, m))
    square = b.mul(t, t)
    y = b.mul(_polynomial(b, t, _LOG), t)
    y = b.fma(y, square, b.mul(e, b.like(_LOG2_LOW, e)))
    y = b.fma(b.like(-0.5, y), square, y)
    return b.fma(b.like(_LOG2_HIGH, e), e, b.add(t, y))


def _sin_cos(b: Emitter, x: Value) -> tuple[Value, Value]:
    """Sine and cosine of float32 in [0, 2 pi), as `rng.normal.sin_cos_f32`."""
    octant = b.convert("fptosi", b.mul(x, b.like(_FOUR_OVER_PI, x)), "i32")
    octant = b.binary("and", b.add(octant, b.like(1, octant)), b.like(-2, octant))
    pieces = b.convert("sitofp", octant, "float")
    for part in _QUARTER_PI:
        x = b.fma(b.like(part, x), pieces, x)
    square = b.mul(x, x)
    cosine = b.mul(_polynomial(b, square, _COS), square)
    cosine = b.fma(cosine, square, b.mul(square, b.like(-0.5, square)))
    cosine = b.add(cosine, b.like(1.0, cosine))
    sine = b.mul(_polynomial(b, square, _SIN), square)
    sine = b.fma(sine, x, x)
    swapped = b.compare("ne", b.binary("and", octant, b.like(2, octant)), b.like(0, octant))
    flipped = b.logic_not(b.sub(octant, b.like(2, octant)))
    return (
        _signed(b, b.select(swapped, cosine, sine), octant),
        _signed(b, b.select(swapped, sine, cosine), flipped),
    )


def _signed(b: Emitter, x: Value, octant: Value) -> Value:
    """x, negated where bit 2 of the octant is set."""
    sign = b.binary("shl", b.binary("and", octant, b.like(4, octant)), b.like(29, octant))
    return b.convert("bitcast", b.binary("xor", b.convert("bitcast", x, "i32"), sign), "float")


def _normals(b: Emitter) -> None:
    """`count` blocks of 16 words to 16 normal numbers q + p z each."""
    scale, shift = b.convert("fptrunc", _P, "float"), b.convert("fptrunc", _Q, "float")
    loop = b.begin_loop(b.const(0, "i64"), _COUNT, 1)
    start = b.mul(loop.counter, b.const(_NORMAL_BLOCK, "i64"))
    half = b.add(start, b.const(_NORMAL_HALF, "i64"))
    first, second = [
        _float_of(b, b.load(_at(b, _SOURCE, i, "i32"), "i32", _NORMAL_HALF, 4))
        for i in (start, half)
    ]
    logarithm = _log(b, b.sub(b.like(1.0, first), first))
    radius = b.intrinsic("sqrt", b.mul(b.like(-2.0, logarithm), logarithm))
    sine, cosine = _sin_cos(b, b.mul(b.like(_TWO_PI, second), second))
    for place, wave in ((start, cosine), (half, sine)):
        z = b.fma(b.mul(radius, wave), scale, shift)
        b.store(z, _at(b, _TARGET, place, "float"), 4)
    b.end_loop(loop)


def _wide_normals(b: Emitter) -> None:
    """The same in float64: `count` blocks of 32 words, and the C library's functions."""
    blocks = b.begin_loop(b.const(0, "i64"), _COUNT, 1)
    start = b.mul(blocks.counter, b.const(_NORMAL_BLOCK, "i64"))
    pairs = b.begin_loop(start, b.add(start, b.const(_NORMAL_HALF, "i64")), 1)
    first = pairs.counter
    second = b.add(first, b.const(_NORMAL_HALF, "i64"))
    u, v = [_double_of(b, b.load(_at(b, _SOURCE, i, "i64"), "i64", 1, 4)) for i in (first, second)]
    logarithm = _library_call(b, "log", b.sub(b.const(1.0, "double"), u))
    radius = b.intrinsic("sqrt", b.mul(b.const(-2.0, "double"), logarithm))
    angle = b.mul(b.const(_TWO_PI, "double"), v)
    for place, wave in ((first, "cos"), (second, "sin")):
        z = b.fma(b.mul(radius, _library_call(b, wave, angle)), _P, _Q)
        b.store(z, _at(b, _TARGET, place, "double"), 8)
    b.end_loop(pairs)
    b.end_loop(blocks)


def _library_call(b: Emitter, name: str, x: Value) -> Value:
    b.declarations.add(f"declare double @{name}(double)")
    return b.effect(f"call double @{name}({x.typed})", "double", 1)


# ---- arithmetic that NumPy lacks -----------------------------------------------------------------


def _fused(type_: str, size: int):
    """q + p x with one rounding."""

    def text(b: Emitter) -> None:
        factor, term = b.convert("fptrunc", _P, type_), b.convert("fptrunc", _Q, type_)

        def body(b: Emitter, i: Value, lanes: int) -> None:
            x = b.load(_at(b, _SOURCE, i, type_), type_, lanes, size)
            b.store(b.fma(x, factor, term), _at(b, _TARGET, i, type_), size)

        _each(b, b.target.lanes(size), body)

    return text


def _of_c_library(name: str):
    """A function of the C library at each double."""

    def text(b: Emitter) -> None:
        loop = b.begin_loop(b.const(0, "i64"), _COUNT, 1)
        x = b.load(_at(b, _SOURCE, loop.counter, "double"), "double", 1, 8)
        b.store(_library_call(b, name, x), _at(b, _TARGET, loop.counter, "double"), 8)
        b.end_loop(loop)

    return text


C_LIBRARY = ("log", "log1p", "exp", "cos", "sin", "tan")
DRAWS: dict[str, Callable[[Emitter], None]] = {
    "words": _words,
    "floats": _uniform(wide=False, between=False),
    "floats_between": _uniform(wide=False, between=True),
    "doubles": _uniform(wide=True, between=False),
    "doubles_between": _uniform(wide=True, between=True),
    "coins": _coins,
    "remainders": _remainders,
    "shuffle": _shuffle,
    "normals": _normals,
    "wide_normals": _wide_normals,
    "fused_f32": _fused("float", 4),
    "fused_f64": _fused("double", 8),
    **{name: _of_c_library(name) for name in C_LIBRARY},
}


def draw_text(name: str, target: Target) -> str:
    """The module of one function, which is called draw_<name>."""
    b = Emitter(target)
    DRAWS[name](b)
    function = b.function(f"draw_{name}", ARGUMENTS)
    header = f'target triple = "{target.triple}"\n'
    return header + "\n".join(sorted(b.declarations)) + "\n\n" + function
