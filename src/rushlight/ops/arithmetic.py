"""Arithmetic and its operators: add, sub, mul, div, power, comparison, logic.  Level 11.

The operators are the hot path: two tensors of one dtype go straight to `apply2`; everything else
(numbers, promotion, alpha) takes the function.
"""

from __future__ import annotations

from rushlight.base.dtypes import HALVES, bool_
from rushlight.base.hot import hot
from rushlight.ops.former_order import sum_of_former
from rushlight.ops.promotion import (
    check_tensor,
    constant,
    is_number,
    promote,
    refuse,
    result_dtype,
    to_dtype,
    widened,
    without_derivative,
    without_slope,
)
from rushlight.ops.spelling import in_place, spelled
from rushlight.primitives import elementwise as p
from rushlight.primitives.movement import copy
from rushlight.tensor.apply import apply2, apply_number
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


@hot
def _with_alpha(name: str, primitive, x: Tensor, y: Tensor, alpha, label: str) -> Tensor:
    """x op alpha * y of one dtype."""
    if alpha.__class__ is int and alpha == 1:
        return apply2(primitive, x, y)
    if alpha == 1 and not isinstance(alpha, bool):
        return apply2(primitive, x, y)
    dtype = x._node.dtype
    if isinstance(alpha, float) and not dtype.is_inexact:
        raise RuntimeError(
            f"{name}: For integral input tensors, argument alpha must not be a floating point "
            "number."
        )
    if isinstance(alpha, bool) and dtype is not bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    # Alpha has the dtype also where 16-bit floats are rounded only at the end, as in PyTorch.
    scaled = p.mul(widened(y), widened(y._scalar(alpha)))
    if dtype not in HALVES:
        return apply2(primitive, x, scaled)
    return named(to_dtype(primitive(widened(x), scaled), dtype), label)


@spelled(method=True, inplace=True, out=True)
@hot
def add(input, other, former=None, *, alpha=1) -> Tensor:
    """input + alpha * other.  Shapes: broadcast.  Dtypes: promoted.

    former: the other operand where the factor stands before it, as in `x.add_(0.1, y)`.
    Source: torch.add.
    """
    if former is not None:
        other, alpha = sum_of_former("add", other, former)
    x, y = promote("add", input, other)
    return _with_alpha("add", p.add, x, y, alpha, "AddBackward0")


def _is_bool(operand) -> bool:
    if isinstance(operand, Tensor):
        return operand._node.dtype is bool_
    return isinstance(operand, bool)


def _refuse_bools(input, other) -> None:
    """Raise PyTorch's RuntimeError for a difference with truth values in it."""
    first, second = _is_bool(input), _is_bool(other)
    if first and second:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    if first or second:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )


@spelled(method=True, inplace=True, out=True, aliases=("subtract",))
@hot
def sub(input, other, former=None, *, alpha=1) -> Tensor:
    """input - alpha * other.

    former: the other operand where the factor stands before it, as in `x.sub_(0.1, y)`.
    Shapes: broadcast.  Dtypes: promoted; not bool.  Source: torch.sub.
    """
    if former is not None:
        other, alpha = sum_of_former("sub", other, former)
    x, y = promote("sub", input, other)
    if (
        x is not input
        or x._node.dtype is bool_
        or (y is not other and other.__class__ is not float and other.__class__ is not int)
    ):
        _refuse_bools(input, other)
    return _with_alpha("sub", p.sub, x, y, alpha, "SubBackward0")


def _by_number(primitive, x: Tensor, number, label: str) -> Tensor:
    """x op number of 16-bit floats: the number is not rounded to them, the result once.

    As in PyTorch, for products and quotients; what is added to them is rounded first.
    """
    wide = widened(x)
    found = primitive(wide, wide._scalar(number))
    return named(to_dtype(found, x._node.dtype), label)


@spelled(method=True, inplace=True, out=True, aliases=("multiply",))
@hot
def mul(input, other) -> Tensor:
    """input * other.  Shapes: broadcast.  Dtypes: promoted.  Source: torch.mul."""
    x, y = promote("mul", input, other)
    if x._node.dtype in HALVES and not (x is input and y is other):
        if is_number(other):
            return _by_number(p.mul, x, other, "MulBackward0")
        if is_number(input):
            return _by_number(p.mul, y, input, "MulBackward0")
    return apply2(p.mul, x, y)


@spelled(method=True, inplace=True, out=True, aliases=("divide",))
def div(input, other, *, rounding_mode: str | None = None) -> Tensor:
    """input / other, or its rounding towards zero ("trunc") or down ("floor").

    Shapes: broadcast.  Dtypes: promoted; true division of integers is floating.
    Raises: RuntimeError for another rounding mode.  Source: torch.div.
    """
    if rounding_mode is None:
        return _quotient("div", input, other)
    if rounding_mode == "floor":
        return p.floor_divide(*promote("div", input, other))
    if rounding_mode != "trunc":
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    x, y = promote("div", input, other)
    if x._node.dtype.is_inexact:
        quotient = p.trunc(p.div(constant(x), constant(y)))
        return without_slope("DivBackward1", quotient, x, y)
    # Integers: floor rounds away from zero where the signs differ and there is a rest.
    quotient = p.floor_divide(x, y)
    rest = p.ne(p.mul(quotient, y), x)
    negative = p.lt(quotient, quotient._scalar(0))
    return p.add(quotient, p.cast(p.bitwise_and(rest, negative), quotient._node.dtype))


@spelled(method=True, inplace=True, out=True)
def true_divide(input, other) -> Tensor:
    """input / other; integers give floating results.  Source: torch.true_divide."""
    return _quotient("true_divide", input, other)


def _quotient(name: str, input, other) -> Tensor:
    x, y = promote(name, input, other, floating=True)
    if x._node.dtype in HALVES and not (x is input and y is other):
        if is_number(other):
            return _by_number(p.div, x, other, "DivBackward0")
        if is_number(input):
            return _by_number(p.mul, p.reciprocal(y), input, "MulBackward0")
    return p.div(x, y)


@spelled(method=True, inplace=True, out=True)
def floor_divide(input, other) -> Tensor:
    """The quotient rounded down; without a derivative, unlike `div`'s.

    Source: torch.floor_divide.
    """
    x, y = promote("floor_divide", input, other)
    refuse("div_floor", x, bool_=True, complex_=True)
    return without_derivative("floor_divide", p.floor_divide(constant(x), constant(y)), x, y)


@spelled(method=True, inplace=True, out=True)
def remainder(input, other) -> Tensor:
    """The rest of division with the divisor's sign, as Python's %.  Source: torch.remainder."""
    x, y = promote("remainder", input, other)
    refuse("remainder", x, bool_=True, complex_=True)
    return p.remainder(x, y)


@spelled(method=True, inplace=True, out=True)
def fmod(input, other) -> Tensor:
    """The rest of division with the dividend's sign, as C's fmod.  Source: torch.fmod."""
    check_tensor("fmod", input)
    x, y = promote("fmod", input, other)
    refuse("fmod", x, bool_=True, complex_=True)
    return p.fmod(x, y)


@spelled(method=True, inplace=True, out=True)
def pow(input, exponent) -> Tensor:  # noqa: A001 - PyTorch's name
    """input ** exponent.  Shapes: broadcast.  Dtypes: promoted.

    Raises: RuntimeError for an integer tensor with a negative integer exponent given as a number.
    Source: torch.pow.
    """
    if is_number(exponent) and isinstance(input, Tensor):
        return _power_of_number(input, exponent)
    x, y = promote("pow", input, exponent)
    refuse("pow", x, bool_=True)
    return named(p.power(x, y), "PowBackward1" if isinstance(input, Tensor) else "PowBackward2")


def _power_of_number(x: Tensor, exponent) -> Tensor:
    dtype = result_dtype(x, exponent)
    if not dtype.is_inexact and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    x = to_dtype(x, dtype)
    if dtype.is_inexact:
        # Small exponents as products: exact, and their derivatives need no logarithm.
        if exponent == 2:
            return named(p.mul(x, x), "PowBackward0")
        if exponent == 1:
            return named(copy(x), "PowBackward0")
        if exponent == 3:
            return named(p.mul(p.mul(x, x), x), "PowBackward0")
        if exponent == 0.5:
            return named(p.sqrt(x), "PowBackward0")
        if exponent == -1:
            return named(p.reciprocal(x), "PowBackward0")
    return named(p.power(x, x._scalar(exponent)), "PowBackward0")


def _comparison(name: str, primitive, python_name: str, aliases: tuple = ()):
    def compare(input, other) -> Tensor:
        x, y = promote(name, input, other)
        if x._node.dtype.is_complex and name not in ("eq", "ne"):
            raise RuntimeError(f"{name}: complex numbers have no order")
        return primitive(x, y)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = (
        f"Elementwise {python_name}.  Shapes: broadcast.  Dtypes: promoted for the comparison; the "
        f"result is bool.  Source: torch.{name}."
    )
    return spelled(method=True, inplace=True, out=True, aliases=aliases)(compare)


eq = _comparison("eq", p.eq, "==")
ne = _comparison("ne", p.ne, "!=", ("not_equal",))
lt = _comparison("lt", p.lt, "<", ("less",))
le = _comparison("le", p.le, "<=", ("less_equal",))
gt = _comparison("gt", p.gt, ">", ("greater",))
ge = _comparison("ge", p.ge, ">=", ("greater_equal",))


def _bitwise(name: str, primitive):
    def combine(input, other) -> Tensor:
        x, y = promote(name, input, other)
        if x._node.dtype.is_inexact:
            raise NotImplementedError(
                f"{name} is not implemented for {x._node.dtype}: operands must be integer or bool"
            )
        return primitive(x, y)

    combine.__name__ = combine.__qualname__ = name
    combine.__doc__ = f"Elementwise {name}.  Dtypes: integer or bool.  Source: torch.{name}."
    return spelled(method=True, inplace=True, out=True)(combine)


bitwise_and = _bitwise("bitwise_and", p.bitwise_and)
bitwise_or = _bitwise("bitwise_or", p.bitwise_or)
bitwise_xor = _bitwise("bitwise_xor", p.bitwise_xor)
bitwise_left_shift = _bitwise("bitwise_left_shift", p.shift_left)
bitwise_right_shift = _bitwise("bitwise_right_shift", p.shift_right)


# Exact types: bool is an int but promotes differently.
_REAL_NUMBERS = (float, int)

# ---- operators -----------------------------------------------------------------------------------


def _fast_operator(primitive, function, symbol: str, *, inexact_only: bool, exact: bool):
    """`x op y`: the short way for two tensors of one dtype, the function for the rest.

    exact: numbers beside 16-bit floats stay as they are, which is the function's business.
    """

    @hot
    def operator(self, other):
        dtype = self._node.dtype
        if isinstance(other, Tensor):
            if dtype is other._node.dtype and (dtype.is_inexact or not inexact_only):
                return apply2(primitive, self, other)
            return function(self, other)
        if type(other) in _REAL_NUMBERS and dtype.is_inexact:
            if exact and dtype in HALVES:
                return function(self, other)
            return apply_number(primitive, self, other)
        return function(self, other) if is_number(other) else NotImplemented

    operator.__doc__ = f"self {symbol} other"
    return operator


def _fast_reflected(primitive, function, symbol: str, label: str, *, exact: bool):
    """`number op x`.

    exact: see `_fast_operator`.
    label: what autograd calls it, as PyTorch turns some of these into other operations.
    """

    @hot
    def operator(self, other):
        dtype = self._node.dtype
        if dtype.is_inexact and type(other) in _REAL_NUMBERS:
            if exact and dtype in HALVES:
                return function(other, self)
            return named(apply_number(primitive, self, other, True), label)
        if is_number(other) or isinstance(other, Tensor):
            return function(other, self)
        return NotImplemented

    operator.__doc__ = f"other {symbol} self"
    return operator


def _reflected(function, symbol: str):
    @hot
    def operator(self, other):
        if is_number(other) or isinstance(other, Tensor):
            return function(other, self)
        return NotImplemented

    operator.__doc__ = f"other {symbol} self"
    return operator


def _plain_operator(function):
    @hot
    def operator(self, other):
        if isinstance(other, Tensor) or is_number(other):
            return function(self, other)
        return NotImplemented

    return operator


def _attach_operators() -> None:
    table = (
        ("add", p.add, add, "+", False, "AddBackward0"),
        ("sub", p.sub, sub, "-", True, "RsubBackward1"),
        ("mul", p.mul, mul, "*", False, "MulBackward0"),
        ("truediv", p.div, true_divide, "/", True, "MulBackward0"),
    )
    for name, primitive, function, symbol, inexact_only, reflected in table:
        exact = primitive in (p.mul, p.div)
        fast = _fast_operator(primitive, function, symbol, inexact_only=inexact_only, exact=exact)
        setattr(Tensor, f"__{name}__", fast)
        back = _fast_reflected(primitive, function, symbol, reflected, exact=exact)
        setattr(Tensor, f"__r{name}__", back)
        setattr(Tensor, f"__i{name}__", in_place(function, f"__i{name}__"))
    for name, function, symbol in (
        ("floordiv", floor_divide, "//"),
        ("mod", remainder, "%"),
        ("pow", pow, "**"),
        ("and", bitwise_and, "&"),
        ("or", bitwise_or, "|"),
        ("xor", bitwise_xor, "^"),
        ("lshift", bitwise_left_shift, "<<"),
        ("rshift", bitwise_right_shift, ">>"),
    ):
        setattr(Tensor, f"__{name}__", _plain_operator(function))
        setattr(Tensor, f"__r{name}__", _reflected(function, symbol))
        setattr(Tensor, f"__i{name}__", in_place(function, f"__i{name}__"))
    Tensor.__rdiv__ = Tensor.__rtruediv__
    for function in (eq, ne, lt, le, gt, ge):
        setattr(Tensor, f"__{function.__name__}__", _plain_operator(function))


_attach_operators()
