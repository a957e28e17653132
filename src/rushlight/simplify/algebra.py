"""Identities of arithmetic, each with the reason that it keeps every bit.

Left out because they do not: x + 0 (turns -0 into 0), sum(-x) = -sum(x) (the sum of no elements, or
of zeros, is +0 both times), a - b = -(b - a) (likewise), x * y / y, not (a < b) = a >= b for
floats (NaN), a sum over one element (+0 comes of -0 where the sum starts at 0), anything
reassociated or distributed.  Numbers of the program are run-time arguments (D2), so that x * 1 is
not known to be x; see docs/how_it_works.md for what knowing it would save.  Level 4.
"""

from __future__ import annotations

from rushlight.primitives import elementwise as p
from rushlight.primitives import reduction
from rushlight.primitives.movement import reshape
from rushlight.simplify.rewrite import Made, RuleSet, Value, Values
from rushlight.tape.program import OPERATION

ALGEBRA = RuleSet()
rule = ALGEBRA.rule

# dtype -> dtypes that hold each of its values exactly.
_FLOATS = ("float32", "float64")
EXACT = {
    "bool": ("uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", *_FLOATS),
    "uint8": ("int16", "int32", "int64", "float16", "bfloat16", *_FLOATS),
    "int8": ("int16", "int32", "int64", "float16", "bfloat16", *_FLOATS),
    "int16": ("int32", "int64", *_FLOATS),
    # Not float64: from there a 16-bit float is rounded once, from int32 through float32 twice.
    "int32": ("int64",),
    "float16": _FLOATS,
    "bfloat16": _FLOATS,
    "float32": ("float64",),
}


def _operand(value: Value, values: Values, place: int = 0) -> Value:
    return values[value.inputs[place]]


def _is(value: Value, *primitives) -> bool:
    return value.source == OPERATION and value.primitive in primitives


def _is_number(value: Value) -> bool:
    """Of a dtype with a sign and an order: not bool, not complex."""
    return value.dtype.name != "bool" and not value.dtype.is_complex


# ---- one operand ---------------------------------------------------------------------------------


@rule("-(-x) = x", "a sign flips twice; integers wrap around", p.neg)
@rule("not (not x) = x", "each bit flips twice", p.bitwise_not)
def _involution(value: Value, values: Values):
    x = _operand(value, values)
    return values[x.inputs[0]] if _is(x, value.primitive) else None


@rule("not (not x) = x for bool", "a bit flips twice", p.logical_not)
def _not_not(value: Value, values: Values):
    x = _operand(value, values)
    if not _is(x, p.logical_not) or values[x.inputs[0]].dtype.name != "bool":
        return None
    return values[x.inputs[0]]


@rule(
    "f(f(x)) = f(x)",
    "f leaves its own results as they are, zeros and NaN included",
    p.absolute, p.sign, p.relu,
)  # fmt: skip
def _idempotent(value: Value, values: Values):
    x = _operand(value, values)
    return x if _is(x, value.primitive) and not x.dtype.is_complex else None


_ROUNDINGS = (p.floor, p.ceil, p.trunc, p.round_even)


@rule("rounded twice = rounded once", "integral numbers, -0 too, are rounded to themselves",
      *_ROUNDINGS)  # fmt: skip
def _rounded(value: Value, values: Values):
    x = _operand(value, values)
    return x if _is(x, *_ROUNDINGS) else None


@rule("|-x| = |x|", "only the sign differs; the least integer is its own opposite", p.absolute)
def _absolute_of_neg(value: Value, values: Values):
    x = _operand(value, values)
    # Unsigned integers have no sign to drop, and the reference measures complex numbers its way.
    if not _is(x, p.neg) or not _is_number(x) or x.dtype.name.startswith("uint"):
        return None
    return Made(p.absolute, (), x.inputs)


@rule("real(x) = conj(x) = x for real x", "a real number is its own real part", p.real, p.conj)
def _of_real(value: Value, values: Values):
    x = _operand(value, values)
    return x if not x.dtype.is_complex else None


@rule("cast to its own dtype", "nothing is converted", p.cast)
def _cast_to_own(value: Value, values: Values):
    x = _operand(value, values)
    return x if x.dtype is value.dtype else None


@rule(
    "cast(cast(x, wider)) = cast(x)",
    "the wider dtype holds each x exactly, so that x is rounded or wrapped once either way",
    p.cast,
)
def _cast_of_cast(value: Value, values: Values):
    x = _operand(value, values)
    if not _is(x, p.cast) or value.dtype.is_complex:
        return None
    if x.dtype.name not in EXACT.get(values[x.inputs[0]].dtype.name, ()):
        return None
    return Made(p.cast, value.params, x.inputs)


@rule(
    "reduced over axes of 1 = reshape",
    "the largest, the smallest and the product (1 * x) of one element are that element",
    reduction.reduce_max, reduction.reduce_min, reduction.reduce_prod,
)  # fmt: skip
def _reduced_alone(value: Value, values: Values):
    x = _operand(value, values)
    if x.numel != value.numel or x.numel == 0 or x.dtype.is_complex:
        return None
    return Made(reshape, (value.shape,), value.inputs)


# ---- two operands --------------------------------------------------------------------------------


@rule("max(x, x) = min(x, x) = x", "equal operands, the NaN among them, are the result",
      p.maximum, p.minimum)  # fmt: skip
@rule("x and x = x or x = x", "bit by bit", p.bitwise_and, p.bitwise_or)
def _same_operands(value: Value, values: Values):
    return _operand(value, values) if value.inputs[0] == value.inputs[1] else None


@rule("x - (-y) = x + y, x + (-y) = x - y", "IEEE 754 defines a difference so; integers wrap",
      p.add, p.sub)  # fmt: skip
def _sign_of_second(value: Value, values: Values):
    y = _operand(value, values, 1)
    if not _is(y, p.neg) or not _is_number(value):
        return None
    other = p.sub if value.primitive is p.add else p.add
    return Made(other, (), (value.inputs[0], y.inputs[0]))


@rule("(-x) + y = y - x", "sums commute, and IEEE 754 defines a difference so", p.add)
def _sign_of_first(value: Value, values: Values):
    x = _operand(value, values)
    if not _is(x, p.neg) or not _is_number(value):
        return None
    return Made(p.sub, (), (value.inputs[1], x.inputs[0]))


@rule("(-x) * (-y) = x * y, (-x) / (-y) = x / y", "signs multiply apart from the magnitudes",
      p.mul, p.div)  # fmt: skip
def _signs_cancel(value: Value, values: Values):
    x, y = _operand(value, values), _operand(value, values, 1)
    if not _is(x, p.neg) or not _is(y, p.neg) or not _is_number(value):
        return None
    return Made(value.primitive, (), (x.inputs[0], y.inputs[0]))


@rule("where(not c, x, y) = where(c, y, x)", "nothing is computed", p.where)
def _where_not(value: Value, values: Values):
    c = _operand(value, values)
    if not _is(c, p.logical_not) or _operand(c, values).dtype.name != "bool":
        return None
    return Made(p.where, (), (c.inputs[0], value.inputs[2], value.inputs[1]))
