"""Integer power, greatest common divisor, the float next to another, random words, as IR.

The loops run as often as the type has bits, whatever the operands are, so that lanes need no
conditions.  Level 7.
"""

from __future__ import annotations

from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.rng.philox import MULTIPLIERS, ROUNDS, WEYL


def integer_power(b: Emitter, x: Value, y: Value, kind: str) -> Value:
    """By squaring, wrapping around; for a negative exponent, 1 / x**-y truncated."""
    zero, one = b.like(0, x), b.like(1, x)
    signed = kind == "i"
    exponent = b.select(b.compare("slt", y, zero), zero, y) if signed else y
    loop = b.begin_loop(b.const(0, "i64"), b.const(bits_of(x.type), "i64"), 1, [one, x, exponent])
    result, base, left = loop.values
    odd = b.compare("ne", b.binary("and", left, one), zero)
    updated = [b.select(odd, b.mul(result, base), result), b.mul(base, base),
               b.binary("lshr", left, one)]  # fmt: skip
    power = b.end_loop(loop, updated)[0]
    if not signed:
        return power
    minus = b.like(-1, x)
    even = b.compare("eq", b.binary("and", y, one), zero)
    inverse = b.select(b.compare("eq", x, minus), b.select(even, one, minus), zero)
    inverse = b.select(b.compare("eq", x, one), one, inverse)
    return b.select(b.compare("slt", y, zero), inverse, power)


def greatest_divisor(b: Emitter, x: Value, y: Value, kind: str) -> Value:
    """Stein's algorithm: two odd numbers' difference is even, and loses a bit at least."""
    if kind == "i":
        x, y = _magnitude(b, x), _magnitude(b, y)
    zero = b.like(0, x)
    shared = _trailing_zeros(b, b.binary("or", x, y))
    first = b.binary("lshr", x, _trailing_zeros(b, x))
    steps = b.const(2 * bits_of(x.type), "i64")
    loop = b.begin_loop(b.const(0, "i64"), steps, 1, [first, y])
    a, rest = loop.values
    rest = b.binary("lshr", rest, _trailing_zeros(b, rest))
    larger = b.compare("ugt", a, rest)
    smaller = b.select(larger, rest, a)
    difference = b.select(larger, b.sub(a, rest), b.sub(rest, a))
    done = b.compare("eq", rest, zero)
    found = b.end_loop(loop, [b.select(done, a, smaller), b.select(done, rest, difference)])[0]
    found = b.binary("shl", found, shared)
    return b.select(b.compare("eq", x, zero), y, b.select(b.compare("eq", y, zero), x, found))


def _magnitude(b: Emitter, x: Value) -> Value:
    """As an unsigned number, so that the lowest one has one."""
    return b.select(b.compare("slt", x, b.like(0, x)), b.neg(x), x)


def _trailing_zeros(b: Emitter, x: Value) -> Value:
    """Zeros below the lowest bit; 0 for 0."""
    lowest = b.binary("and", x, b.neg(x))
    below = b.intrinsic("ctpop", b.sub(lowest, b.like(1, x)))
    return b.select(b.compare("eq", x, b.like(0, x)), b.like(0, x), below)


def next_after(b: Emitter, x: Value, y: Value) -> Value:
    """The representable number next to x in the direction of y."""
    integer = "i32" if x.type == "float" else "i64"
    zero = b.like(0.0, x)
    bits = b.convert("bitcast", x, integer)
    one = b.like(1, bits)
    # Away from zero the bits grow, whatever the sign.
    away = b.binary("xor", b.compare("olt", x, y), b.compare("olt", x, zero))
    moved = b.select(away, b.add(bits, one), b.sub(bits, one))
    found = b.convert("bitcast", moved, x.type)
    smallest = b.copysign(b.convert("bitcast", one, x.type), y)
    found = b.select(b.compare("oeq", x, zero), smallest, found)
    found = b.select(b.compare("oeq", x, y), y, found)
    return b.select(b.compare("uno", x, y), b.add(x, y), found)


def philox_word(b: Emitter, place: Value, call: Value, seed: Value) -> Value:
    """Word `place` % 4 of what Philox makes of thread `place` / 4 and a call, in 64 bits.

    Rounds are written out in words of 32 bits, whose long products each machine has: words of one
    call that a kernel takes several of are computed once.
    """
    thread = b.binary("lshr", place, b.like(2, place))
    words = [half for x in (call, thread) for half in _halves(b, x)]
    keys = _halves(b, seed)
    for turn in range(ROUNDS):
        if turn:
            keys = [b.add(key, b.like(step, key)) for key, step in zip(keys, WEYL)]
        products = [
            b.mul(b.convert("zext", words[2 * side], "i64"), b.like(factor, place))
            for side, factor in enumerate(MULTIPLIERS)
        ]
        (low, high), (other_low, other_high) = [_halves(b, product) for product in products]
        words = [
            b.binary("xor", b.binary("xor", other_high, words[1]), keys[0]),
            other_low,
            b.binary("xor", b.binary("xor", high, words[3]), keys[1]),
            low,
        ]
    odd = b.compare("ne", b.binary("and", place, b.like(1, place)), b.like(0, place))
    upper = b.compare("ne", b.binary("and", place, b.like(2, place)), b.like(0, place))
    pairs = [b.select(odd, words[2 * side + 1], words[2 * side]) for side in (0, 1)]
    return b.convert("zext", b.select(upper, pairs[1], pairs[0]), "i64")


def _halves(b: Emitter, x: Value) -> list[Value]:
    """The lower and the upper 32 bits."""
    return [b.convert("trunc", x, "i32"),
            b.convert("trunc", b.binary("lshr", x, b.like(32, x)), "i32")]  # fmt: skip
