"""Each identity applies where it should and keeps every bit of awkward numbers."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.base.dtypes import dtype_by_name
from rushlight.primitives import elementwise as p
from rushlight.primitives import movement as m
from rushlight.primitives import reduction as r
from rushlight.simplify.algebra import ALGEBRA, EXACT
from rushlight.simplify.movement import MOVEMENT
from rushlight.simplify.pipeline import simplified
from tests.simplify.programs import Builder, assert_same

# Zeros of both signs, infinities, NaN, the least and greatest of every dtype, subnormals.
AWKWARD = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -3.5, 127.0, -128.0, 255.0, 32767.0, -32768.0, 65504.0,
     -2147483648.0, 2147483647.0, -9.3e18, 3.4e38, 1e-40, -1e-45, np.inf, -np.inf, np.nan, 7.25],
)  # fmt: skip
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


def numbers(b: Builder, dtype: str, seed: int = 0):
    order = np.random.default_rng(seed).permutation(len(AWKWARD))
    with np.errstate(all="ignore"):
        return b.leaf(AWKWARD[order].reshape(4, 6), dtype)


def unary(primitive, *inner):
    """A chain of operations on one operand, outermost first."""

    def build(b: Builder, dtype: str):
        x = numbers(b, dtype)
        for operation in reversed((primitive, *inner)):
            x = b(operation, x)
        return x

    return build


def opposite_second(b, dtype):
    return b(p.sub, numbers(b, dtype), b(p.neg, numbers(b, dtype, 1)))


def opposite_first(b, dtype):
    return b(p.add, b(p.neg, numbers(b, dtype)), numbers(b, dtype, 1))


def opposite_both(b, dtype):
    primitive = p.div if dtype in FLOATS else p.mul
    return b(primitive, b(p.neg, numbers(b, dtype)), b(p.neg, numbers(b, dtype, 1)))


def where_not(b, dtype):
    x, y = numbers(b, dtype), numbers(b, dtype, 1)
    condition = b(p.eq, x, y)
    return b(p.where, b(p.logical_not, condition), x, y)


def twice(primitive):
    def build(b, dtype):
        x = numbers(b, dtype)
        return b(primitive, x, x)

    return build


def own_cast(b, dtype):
    return b(p.cast, numbers(b, dtype), params=(dtype_by_name(dtype),))


def wide_cast(b, dtype):
    wide = b(p.cast, numbers(b, dtype), params=(dtype_by_name(EXACT[dtype][-1]),))
    return b(p.cast, wide, params=(dtype_by_name("int8"),))


def reduced_alone(primitive):
    def build(b, dtype):
        column = b(m.reshape, numbers(b, dtype), params=((24, 1),))
        return b(primitive, column, params=((1,), False))

    return build


def moved(primitive, *chain):
    """Movements one after the other, given as their parameters."""

    def build(b, dtype):
        x = numbers(b, dtype)
        for params in chain:
            x = b(primitive, x, params=params)
        return x

    return build


def row_expanded(*shapes):
    def build(b, dtype):
        x = b(m.reshape, numbers(b, dtype), params=((24, 1),))
        for shape in shapes:
            x = b(m.expand, x, params=(shape,))
        return x

    return build


def window(b, dtype):
    x = b(m.reshape, numbers(b, dtype), params=((2, 3, 4),))
    return b(m.strided_read, x, b.scalar(3, "int64"), params=((5, 3), (4, 1)))


def expanded_operand(b, dtype):
    x = b(m.expand, b.scalar(3, dtype), params=((4, 6),))
    return b(p.maximum, numbers(b, dtype), x)


EVERY = (*FLOATS, *INTEGERS, "bool")
# Rule -> (program of a dtype, dtypes)
EXAMPLES = {
    "-(-x) = x": (unary(p.neg, p.neg), EVERY),
    "not (not x) = x": (unary(p.bitwise_not, p.bitwise_not), (*INTEGERS, "bool")),
    "not (not x) = x for bool": (unary(p.logical_not, p.logical_not), ("bool",)),
    "f(f(x)) = f(x)": (unary(p.relu, p.relu, p.absolute, p.absolute, p.sign, p.sign), EVERY[:-1]),
    "rounded twice = rounded once": (unary(p.floor, p.round_even, p.trunc, p.ceil), EVERY[:-1]),
    "|-x| = |x|": (unary(p.absolute, p.neg), (*FLOATS, *INTEGERS[1:])),
    "real(x) = conj(x) = x for real x": (unary(p.real, p.conj), EVERY),
    "cast to its own dtype": (own_cast, EVERY),
    "cast(cast(x, wider)) = cast(x)": (wide_cast, tuple(EXACT)),
    "reduced over axes of 1 = reshape": (reduced_alone(r.reduce_prod), EVERY),
    "max(x, x) = min(x, x) = x": (twice(p.minimum), EVERY),
    "x and x = x or x = x": (twice(p.bitwise_and), (*INTEGERS, "bool")),
    "x - (-y) = x + y, x + (-y) = x - y": (opposite_second, (*FLOATS, *INTEGERS)),
    "(-x) + y = y - x": (opposite_first, (*FLOATS, *INTEGERS)),
    "(-x) * (-y) = x * y, (-x) / (-y) = x / y": (opposite_both, (*FLOATS, *INTEGERS)),
    "where(not c, x, y) = where(c, y, x)": (where_not, EVERY),
    "copy(x) = x": (moved(m.copy, (), ()), EVERY),
    "moved to its own shape": (moved(m.reshape, ((4, 6),)), EVERY),
    "reshape(reshape(x)) = reshape(x)": (moved(m.reshape, ((2, 12),), ((3, 8),)), EVERY),
    "permute that moves no axis longer than 1 = reshape": (moved(m.permute, ((0, 1),)), EVERY),
    "permute(permute(x)) = permute(x)": (moved(m.permute, ((1, 0),), ((1, 0),)), EVERY),
    "expand that only adds axes of 1 = reshape": (row_expanded((1, 24, 1)), EVERY),
    "expand(expand(x)) = expand(x)": (row_expanded((24, 3), (2, 24, 3)), EVERY),
    "strided_read(reshape(x), offset) = strided_read(x, offset)": (window, EVERY),
    "f(expand(x), y) = f(x, y)": (expanded_operand, EVERY),
}  # fmt: skip


def all_rules() -> set[str]:
    found = set()
    for rules in (MOVEMENT, ALGEBRA):
        found.update(rule.text for row in rules.by_primitive.values() for rule in row)
    return found


def test_every_rule_has_an_example() -> None:
    assert set(EXAMPLES) == all_rules()


@pytest.mark.parametrize("rule", EXAMPLES)
def test_a_rule_applies_and_keeps_every_bit(rule: str) -> None:
    build, dtypes = EXAMPLES[rule]
    for dtype in dtypes:
        b = Builder()
        program = b.program(build(b, dtype))
        simpler, record = simplified(program)
        assert rule in [rewrite.by for rewrite in record], dtype
        assert_same(program, simpler, b.arrays)


def test_a_wider_dtype_holds_every_value() -> None:
    for name, wider in EXACT.items():
        dtype = dtype_by_name(name)
        b = Builder()
        x = numbers(b, name)
        for other in wider:
            back = b(p.cast, b(p.cast, x, params=(dtype_by_name(other),)), params=(dtype,))
            b(p.cast, back, params=(dtype,), live=True)
        program = b.program()
        simpler, _ = simplified(program)
        assert [v.primitive for v in simpler.order] == [m.copy] * len(wider)
        assert_same(program, simpler, b.arrays)


@pytest.mark.parametrize("middle", ["float16", "bfloat16", "float32", "float64", "int8", "int64"])
@pytest.mark.parametrize("last", ["bool", "uint8", "int32", "float16", "bfloat16", "float64"])
def test_casts_of_casts_keep_every_bit(middle: str, last: str) -> None:
    for name in EVERY:
        b = Builder()
        inner = b(p.cast, numbers(b, name), params=(dtype_by_name(middle),))
        program = b.program(b(p.cast, inner, params=(dtype_by_name(last),)))
        assert_same(program, simplified(program)[0], b.arrays)


UNTOUCHED = {
    "|-x| of unsigned numbers": lambda b: b(p.absolute, b(p.neg, numbers(b, "uint8"))),
    "not of numbers": lambda b: b(p.logical_not, b(p.logical_not, numbers(b, "float32"))),
    "a cast that rounds": lambda b: b(
        p.cast, b(p.cast, numbers(b, "float32"), params=(dtype_by_name("float16"),)),
        params=(dtype_by_name("float32"),),
    ),
    "a sum of one element": lambda b: b(
        r.reduce_sum, b(p.exp, numbers(b, "float32")), params=((), False)
    ),
    "an expansion that sets the shape": lambda b: b(
        p.add, b(m.expand, b.scalar(1.0), params=((4, 6),)), b.scalar(2.0)
    ),
    "a difference the other way round": lambda b: b(
        p.neg, b(p.sub, numbers(b, "float32"), numbers(b, "float32", 1))
    ),
    "the greater of two": lambda b: b(
        p.add, b(p.maximum, x := numbers(b, "float32"), y := numbers(b, "float32", 1)),
        b(p.maximum, y, x),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", UNTOUCHED)
def test_what_would_change_bits_is_left_alone(what: str) -> None:
    b = Builder()
    program = b.program(UNTOUCHED[what](b))
    assert simplified(program) == (program, [])
