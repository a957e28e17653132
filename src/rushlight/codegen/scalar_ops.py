"""Each operation of the loop-nest IR on emitted values: the lowering table of ``ir.OPS``.

Booleans are i1 in registers and a byte in memory; float16 and bfloat16 are i16 in registers.
Must mean the same as ``loopnest/scalar.py``.  Level 7.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rushlight.codegen.emit import Emitter, Value, bits_of
from rushlight.codegen.integers import greatest_divisor, integer_power, next_after, philox_word
from rushlight.codegen.math import FUNCTIONS
from rushlight.loopnest.ir import DTYPES, kind_of

_REGISTER = {"bool": "i1", "float16": "i16", "bfloat16": "i16", "float32": "float",
             "float64": "double"}  # fmt: skip
_MEMORY = {**_REGISTER, "bool": "i8"}


def register_type(dtype: str) -> str:
    """The LLVM type that holds an IR dtype in a register."""
    return _REGISTER.get(dtype) or f"i{DTYPES[dtype][0]}"


def memory_type(dtype: str) -> str:
    """The LLVM type that holds an IR dtype in memory."""
    return _MEMORY.get(dtype) or f"i{DTYPES[dtype][0]}"


# --- casts ------------------------------------------------------------------------------------


def _bfloat16_to_float(b: Emitter, x: Value) -> Value:
    wide = b.convert("zext", x, "i32")
    return b.convert("bitcast", b.binary("shl", wide, b.like(16, wide)), "float")


def _float_to_bfloat16(b: Emitter, x: Value) -> Value:
    """Nearest even in integer arithmetic: the machine's conversion flushes denormals."""
    bits = b.convert("bitcast", x, "i32")
    upper = b.binary("lshr", bits, b.like(16, bits))
    tie = b.binary("and", upper, b.like(1, bits))
    rounded = b.add(b.add(bits, b.like(0x7FFF, bits)), tie)
    rounded = b.binary("lshr", rounded, b.like(16, bits))
    quiet = b.binary("and", upper, b.like(0x8000, bits))
    quiet = b.binary("or", quiet, b.like(0x7FC0, bits))
    return b.convert("trunc", b.select(b.compare("uno", x, x), quiet, rounded), "i16")


def _to_storage_float(b: Emitter, x: Value, source: str, target: str) -> Value:
    wide = cast(b, x, source, "float32")
    if target == "bfloat16":
        return _float_to_bfloat16(b, wide)
    return b.convert("bitcast", b.convert("fptrunc", wide, "half"), "i16")


def cast(b: Emitter, x: Value, source: str, target: str) -> Value:
    """The IR's Cast."""
    if source == target:
        return x
    if source == "bfloat16":
        return cast(b, _bfloat16_to_float(b, x), "float32", target)
    if source == "float16":
        wide = b.convert("fpext", b.convert("bitcast", x, "half"), "float")
        return cast(b, wide, "float32", target)
    if kind_of(target) == "s":
        return _to_storage_float(b, x, source, target)
    from_kind, to_kind = kind_of(source), kind_of(target)
    type_ = register_type(target)
    if target == "bool":
        return b.compare("une" if from_kind == "f" else "ne", x, b.like(0, x))
    if to_kind == "f":
        if from_kind == "f":
            return b.convert("fpext" if type_ == "double" else "fptrunc", x, type_)
        return b.convert("sitofp" if from_kind == "i" else "uitofp", x, type_)
    if from_kind == "f":
        if type_ == "i64" and to_kind == "i" and x.width > 1 and b.target.has("avx512dq"):
            return _saturated(b, x, type_)
        return b.intrinsic("fptosi.sat" if to_kind == "i" else "fptoui.sat", x, result=type_)
    if bits_of(type_) == bits_of(x.type):
        return x
    if bits_of(type_) < bits_of(x.type):
        return b.convert("trunc", x, type_)
    return b.convert("sext" if from_kind == "i" else "zext", x, type_)


def _saturated(b: Emitter, x: Value, type_: str) -> Value:
    """A vector as integers of 64 bits, by the instruction for it: LLVM's own saturating conversion
    takes the lanes one by one.  What the instruction makes of numbers that do not fit is not used.
    """
    limit = 2.0 ** (bits_of(type_) - 1)
    whole = b.convert("fptosi", x, type_)
    fits = b.binary(
        "and", b.compare("oge", x, b.like(-limit, x)), b.compare("olt", x, b.like(limit, x))
    )
    is_above = b.compare("ogt", x, b.like(0.0, x))
    nearest = b.select(is_above, b.like(int(limit) - 1, whole), b.like(-int(limit), whole))
    nearest = b.select(b.compare("uno", x, x), b.like(0, whole), nearest)
    return b.select(fits, whole, nearest)


# --- arithmetic -------------------------------------------------------------------------------


def _maximum(b: Emitter, x: Value, y: Value, kind: str, greater: bool) -> Value:
    if kind != "f":
        predicate = ("s" if kind == "i" else "u") + ("gt" if greater else "lt")
        return b.select(b.compare(predicate, x, y), x, y)
    chosen = b.select(b.compare("ogt" if greater else "olt", x, y), x, y)
    # Where y is NaN the comparison has chosen it already.
    return b.select(b.compare("uno", x, x), x, chosen)


def _fmax(b: Emitter, x: Value, y: Value, kind: str, greater: bool) -> Value:
    chosen = b.select(b.compare("ogt" if greater else "olt", x, y), x, y)
    return b.select(b.compare("uno", y, y), x, chosen)


def _absolute(b: Emitter, x: Value, kind: str) -> Value:
    if kind == "f":
        return b.fabs(x)
    if kind == "u":
        return x
    return b.select(b.compare("slt", x, b.like(0, x)), b.neg(x), x)


def _sign(b: Emitter, x: Value, kind: str) -> Value:
    zero, one = b.like(0, x), b.like(1, x)
    if kind == "u":
        return b.select(b.compare("eq", x, zero), zero, one)
    if kind == "i":
        sign = b.select(b.compare("slt", x, zero), b.like(-1, x), one)
        return b.select(b.compare("eq", x, zero), zero, sign)
    sign = b.select(b.compare("olt", x, zero), b.like(-1.0, x), one)
    sign = b.select(b.compare("oeq", x, zero), zero, sign)
    return b.select(b.compare("uno", x, x), x, sign)


def _safe_divisor(b: Emitter, y: Value, kind: str) -> tuple[Value, Value, Value]:
    """(divisor that cannot trap, y is zero, y is minus one)."""
    zero = b.compare("eq", y, b.like(0, y))
    if kind == "u":
        return b.select(zero, b.like(1, y), y), zero, b.const(False, "i1", y.width)
    minus = b.compare("eq", y, b.like(-1, y))
    return b.select(b.binary("or", zero, minus), b.like(1, y), y), zero, minus


def _integer_floordiv(b: Emitter, x: Value, y: Value, kind: str) -> Value:
    divisor, zero, minus = _safe_divisor(b, y, kind)
    if kind == "u":
        return b.select(zero, b.like(0, x), b.binary("udiv", x, divisor))
    quotient = b.binary("sdiv", x, divisor)
    remainder = b.sub(x, b.mul(quotient, divisor))
    inexact = b.compare("ne", remainder, b.like(0, x))
    opposite = b.compare("slt", b.binary("xor", remainder, divisor), b.like(0, x))
    below = b.binary("and", inexact, opposite)
    quotient = b.select(below, b.sub(quotient, b.like(1, x)), quotient)
    quotient = b.select(minus, b.neg(x), quotient)
    return b.select(zero, b.like(0, x), quotient)


def _integer_mod(b: Emitter, x: Value, y: Value, kind: str, floored: bool) -> Value:
    divisor, zero, minus = _safe_divisor(b, y, kind)
    remainder = b.binary("urem" if kind == "u" else "srem", x, divisor)
    if kind == "i" and floored:
        inexact = b.compare("ne", remainder, b.like(0, x))
        opposite = b.compare("slt", b.binary("xor", remainder, divisor), b.like(0, x))
        moved = b.binary("and", inexact, opposite)
        remainder = b.select(moved, b.add(remainder, divisor), remainder)
    return b.select(b.binary("or", zero, minus), b.like(0, x), remainder)


def _float_mod(b: Emitter, x: Value, y: Value) -> Value:
    remainder = b.binary("frem", x, y)
    zero = b.like(0.0, x)
    inexact = b.compare("one", remainder, zero)
    opposite = b.binary("xor", b.compare("olt", remainder, zero), b.compare("olt", y, zero))
    moved = b.select(b.binary("and", inexact, opposite), b.add(remainder, y), remainder)
    at_zero = b.copysign(zero, y)
    return b.select(b.compare("oeq", remainder, zero), at_zero, moved)


def _float_floordiv(b: Emitter, x: Value, y: Value) -> Value:
    """CPython's float floor division, as NumPy and PyTorch do it."""
    remainder = b.binary("frem", x, y)
    zero, one = b.like(0.0, x), b.like(1.0, x)
    quotient = b.div(b.sub(x, remainder), y)
    opposite = b.binary("xor", b.compare("olt", remainder, zero), b.compare("olt", y, zero))
    below = b.binary("and", b.compare("one", remainder, zero), opposite)
    quotient = b.select(below, b.sub(quotient, one), quotient)
    floored = b.intrinsic("floor", quotient)
    close = b.compare("ogt", b.sub(quotient, floored), b.like(0.5, x))
    result = b.select(close, b.add(floored, one), floored)
    plain = b.div(x, y)
    at_zero = b.copysign(zero, plain)
    result = b.select(b.compare("oeq", quotient, zero), at_zero, result)
    return b.select(b.compare("oeq", y, zero), plain, result)


def _shift(b: Emitter, x: Value, y: Value, kind: str, left: bool) -> Value:
    bits = bits_of(x.type)
    valid = b.compare("ult", y, b.like(bits, y))
    amount = b.select(valid, y, b.like(0, y))
    if left:
        return b.select(valid, b.binary("shl", x, amount), b.like(0, x))
    shifted = b.binary("ashr" if kind == "i" else "lshr", x, amount)
    beyond = b.like(0, x)
    if kind == "i":
        beyond = b.binary("ashr", x, b.like(bits - 1, x))
    return b.select(valid, shifted, beyond)


_FLOAT_PREDICATE = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}


def _compare(b: Emitter, name: str, x: Value, y: Value, kind: str) -> Value:
    if kind == "f":
        return b.compare(_FLOAT_PREDICATE[name], x, y)
    if name in ("eq", "ne"):
        return b.compare(name, x, y)
    return b.compare(("s" if kind == "i" else "u") + name, x, y)


def _fdim(b: Emitter, x: Value, y: Value) -> Value:
    difference = b.select(b.compare("ogt", x, y), b.sub(x, y), b.like(0.0, x))
    return b.select(b.compare("uno", x, y), b.like(math.nan, x), difference)


def _is_infinite(b: Emitter, x: Value) -> Value:
    return b.compare("oeq", b.fabs(x), b.like(math.inf, x))


def _sign_bit(b: Emitter, x: Value) -> Value:
    bits = b.convert("bitcast", x, "i32" if x.type == "float" else "i64")
    return b.compare("slt", bits, b.like(0, bits))


Rule = Callable[..., Value]

# name -> rule(emitter, kind of the operands, operands...)
_RULES: dict[str, Rule] = {
    "add": lambda b, kind, x, y: b.add(x, y),
    "sub": lambda b, kind, x, y: b.sub(x, y),
    "mul": lambda b, kind, x, y: b.mul(x, y),
    "div": lambda b, kind, x, y: b.div(x, y),
    "fma": lambda b, kind, x, y, z: b.fma(x, y, z),
    "neg": lambda b, kind, x: b.neg(x),
    "abs": lambda b, kind, x: _absolute(b, x, kind),
    "sign": lambda b, kind, x: _sign(b, x, kind),
    "copysign": lambda b, kind, x, y: b.copysign(x, y),
    "fdim": lambda b, kind, x, y: _fdim(b, x, y),
    "maximum": lambda b, kind, x, y: _maximum(b, x, y, kind, greater=True),
    "minimum": lambda b, kind, x, y: _maximum(b, x, y, kind, greater=False),
    "fmax": lambda b, kind, x, y: _fmax(b, x, y, kind, greater=True),
    "fmin": lambda b, kind, x, y: _fmax(b, x, y, kind, greater=False),
    "and": lambda b, kind, x, y: b.binary("and", x, y),
    "or": lambda b, kind, x, y: b.binary("or", x, y),
    "xor": lambda b, kind, x, y: b.binary("xor", x, y),
    "not": lambda b, kind, x: b.logic_not(x),
    "shl": lambda b, kind, x, y: _shift(b, x, y, kind, left=True),
    "shr": lambda b, kind, x, y: _shift(b, x, y, kind, left=False),
    "isnan": lambda b, kind, x: b.compare("uno", x, x),
    "isinf": lambda b, kind, x: _is_infinite(b, x),
    "isfinite": lambda b, kind, x: b.compare("olt", b.fabs(x), b.like(math.inf, x)),
    "signbit": lambda b, kind, x: _sign_bit(b, x),
    "floor": lambda b, kind, x: b.intrinsic("floor", x),
    "ceil": lambda b, kind, x: b.intrinsic("ceil", x),
    "trunc": lambda b, kind, x: b.intrinsic("trunc", x),
    "round": lambda b, kind, x: b.intrinsic("roundeven", x),
    "sqrt": lambda b, kind, x: b.intrinsic("sqrt", x),
    "rsqrt": lambda b, kind, x: b.div(b.like(1.0, x), b.intrinsic("sqrt", x)),
    "reciprocal": lambda b, kind, x: b.div(b.like(1.0, x), x),
    "where": lambda b, kind, c, x, y: b.select(c, x, y),
    "nextafter": lambda b, kind, x, y: next_after(b, x, y),
    "intpow": lambda b, kind, x, y: integer_power(b, x, y, kind),
    "philox": lambda b, kind, place, call, seed: philox_word(b, place, call, seed),
    "gcd": lambda b, kind, x, y: greatest_divisor(b, x, y, kind),
}


def _modulus(b: Emitter, name: str, kind: str, x: Value, y: Value) -> Value:
    if kind != "f":
        if name == "floordiv":
            return _integer_floordiv(b, x, y, kind)
        return _integer_mod(b, x, y, kind, floored=name == "mod")
    if name == "fmod":
        return b.binary("frem", x, y)
    return _float_floordiv(b, x, y) if name == "floordiv" else _float_mod(b, x, y)


def apply(b: Emitter, name: str, kind: str, args: list[Value]) -> Value:
    """One operation on values of one width; ``kind`` is that of the operands."""
    rule = _RULES.get(name)
    if rule is not None:
        return rule(b, kind, *args)
    if name in FUNCTIONS:
        return FUNCTIONS[name](b, *args)
    if name in _FLOAT_PREDICATE:
        return _compare(b, name, args[0], args[1], kind)
    return _modulus(b, name, kind, args[0], args[1])


# Operations whose code is long: they limit how far a loop is unrolled.
HEAVY = frozenset(FUNCTIONS) | {"floordiv", "mod", "fmod", "gcd", "intpow", "philox"}


# --- reductions -------------------------------------------------------------------------------


def identity(op: str, dtype: str) -> float | int | bool:
    """What a reduction starts from."""
    kind = kind_of(dtype)
    if op in ("sum", "or"):
        return 0
    if op in ("prod", "and"):
        return 1
    lowest = op in ("max", "argmax")
    if kind == "f":
        return -math.inf if lowest else math.inf
    if kind == "b":
        return not lowest
    bits = DTYPES[dtype][0]
    if kind == "u":
        return 0 if lowest else (1 << bits) - 1
    return -(1 << (bits - 1)) if lowest else (1 << (bits - 1)) - 1


def _pick_first(
    b: Emitter, op: str, kind: str, held: tuple[Value, ...], new: tuple[Value, ...]
) -> tuple[Value, ...]:
    (x, i), (y, j) = held, new
    earlier = b.compare("slt", j, i)
    better = _compare(b, "gt" if op == "argmax" else "lt", y, x, kind)
    tie = _compare(b, "eq", x, y, kind)
    if kind == "f":
        x_nan, y_nan = b.compare("uno", x, x), b.compare("uno", y, y)
        tie = b.binary("or", tie, b.binary("and", x_nan, y_nan))
        better = b.binary("or", better, b.binary("and", y_nan, b.logic_not(x_nan)))
    take = b.binary("or", better, b.binary("and", tie, earlier))
    return b.select(take, y, x), b.select(take, j, i)


def combine(
    b: Emitter, op: str, dtype: str, held: tuple[Value, ...], new: tuple[Value, ...]
) -> tuple[Value, ...]:
    """Two partial results of a reduction into one."""
    kind = kind_of(dtype)
    if op in ("argmax", "argmin"):
        return _pick_first(b, op, kind, held, new)
    names = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}
    return (apply(b, names.get(op, op), kind, [held[0], new[0]]),)


def combine_next(
    b: Emitter, op: str, dtype: str, held: tuple[Value, ...], new: tuple[Value, ...]
) -> tuple[Value, ...]:
    """As combine, where the new element comes after all that are held, from position 0 on.

    Among equals the held one then stays, and positions need no comparison.
    """
    if op not in ("argmax", "argmin"):
        return combine(b, op, dtype, held, new)
    (x, i), (y, j) = held, new
    kind = kind_of(dtype)
    if kind == "f":
        # Better, or one of the two is NaN; a NaN that is held stays.
        better = b.compare("ugt" if op == "argmax" else "ult", y, x)
        take = b.binary("and", better, b.compare("ord", x, x))
    else:
        take = _compare(b, "gt" if op == "argmax" else "lt", y, x, kind)
    return b.select(take, y, x), b.select(take, j, i)
