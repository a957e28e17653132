"""Functions of one tensor, element by element.  Level 11."""

from __future__ import annotations

import math

from rushlight.base.hot import hot
from rushlight.base.limits import finfo
from rushlight.ops.arithmetic import pow
from rushlight.ops.promotion import (
    as_inexact,
    check_tensor,
    refuse,
    result_dtype,
    to_dtype,
    widened,
)
from rushlight.ops.spelling import attach_method, spelled
from rushlight.primitives import elementwise as p
from rushlight.primitives.movement import copy
from rushlight.tensor.apply import apply1
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def _inexact_function(name: str, primitive, what: str, aliases: tuple = (), *, real=False):
    """A function whose integer operands become floating.  real: not defined for complex ones."""

    @hot
    def compute(input) -> Tensor:
        x = as_inexact(name, input)
        if real:
            refuse(name, x, complex_=True)
        return apply1(primitive, x)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        f"{what}, elementwise.  Dtypes: integers give the default floating dtype.  "
        f"Source: torch.{name}."
    )
    return spelled(method=True, inplace=True, out=True, aliases=aliases)(compute)


exp = _inexact_function("exp", p.exp, "e to the power of the input")
exp2 = _inexact_function("exp2", p.exp2, "2 to the power of the input")
expm1 = _inexact_function("expm1", p.expm1, "exp(input) - 1, accurate near 0")
log = _inexact_function("log", p.log, "Natural logarithm")
log2 = _inexact_function("log2", p.log2, "Logarithm to base 2")
log10 = _inexact_function("log10", p.log10, "Logarithm to base 10")
log1p = _inexact_function("log1p", p.log1p, "log(1 + input), accurate near 0")
sqrt = _inexact_function("sqrt", p.sqrt, "Square root")
rsqrt = _inexact_function("rsqrt", p.rsqrt, "Reciprocal of the square root")
reciprocal = _inexact_function("reciprocal", p.reciprocal, "1 / input")
sin = _inexact_function("sin", p.sin, "Sine")
cos = _inexact_function("cos", p.cos, "Cosine")
tan = _inexact_function("tan", p.tan, "Tangent")
asin = _inexact_function("asin", p.asin, "Arc sine", ("arcsin",))
acos = _inexact_function("acos", p.acos, "Arc cosine", ("arccos",))
atan = _inexact_function("atan", p.atan, "Arc tangent", ("arctan",))
sinh = _inexact_function("sinh", p.sinh, "Hyperbolic sine")
cosh = _inexact_function("cosh", p.cosh, "Hyperbolic cosine")
tanh = _inexact_function("tanh", p.tanh, "Hyperbolic tangent")
asinh = _inexact_function("asinh", p.asinh, "Inverse hyperbolic sine", ("arcsinh",))
acosh = _inexact_function("acosh", p.acosh, "Inverse hyperbolic cosine", ("arccosh",))
atanh = _inexact_function("atanh", p.atanh, "Inverse hyperbolic tangent", ("arctanh",))
sigmoid = _inexact_function("sigmoid", p.sigmoid, "1 / (1 + exp(-input))")
erf = _inexact_function("erf", p.erf, "Error function", real=True)
erfc = _inexact_function("erfc", p.erfc, "1 - erf(input)", real=True)
erfinv = _inexact_function("erfinv", p.erfinv, "Inverse of the error function", real=True)
lgamma = _inexact_function(
    "lgamma", p.lgamma, "Logarithm of the absolute value of gamma", real=True
)
digamma = _inexact_function("digamma", p.digamma, "Derivative of lgamma", real=True)


@spelled(method=True, inplace=True, out=True, aliases=("negative",))
@hot
def neg(input) -> Tensor:
    """-input.  Raises: RuntimeError for bool.  Source: torch.neg."""
    check_tensor("neg", input)
    if input._node.dtype.name == "bool":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return p.neg(input)


@spelled(method=True, inplace=True, out=True, aliases=("absolute",))
def abs(input) -> Tensor:  # noqa: A001 - PyTorch's name
    """Absolute value; of complex numbers a real result.  Source: torch.abs."""
    check_tensor("abs", input)
    refuse("abs", input, bool_=True)
    return p.absolute(input)


@spelled(method=True, inplace=True)
def relu(input) -> Tensor:
    """max(input, 0), keeping NaN.  Source: torch.relu."""
    check_tensor("relu", input)
    if input._node.dtype.name == "bool":
        raise RuntimeError("Boolean inputs not supported for relu")
    if input._node.dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    return p.relu(input)


@spelled(method=True)
def positive(input) -> Tensor:
    """The tensor itself.  Raises: RuntimeError for bool.  Source: torch.positive."""
    check_tensor("positive", input)
    if input._node.dtype.name == "bool":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@spelled(method=True, inplace=True, out=True)
def square(input) -> Tensor:
    """input * input.  Source: torch.square."""
    check_tensor("square", input)
    return pow(input, 2)


@spelled(method=True, inplace=True, out=True)
def sign(input) -> Tensor:
    """-1, 0 or 1.  Raises: RuntimeError for complex tensors.  Source: torch.sign."""
    check_tensor("sign", input)
    if input._node.dtype.is_complex:
        raise NotImplementedError(
            "Unlike NumPy, torch.sign doesn't support complex numbers. Use torch.sgn instead"
        )
    return p.sign(input)


# ---- rounding ------------------------------------------------------------------------------------


def _rounding(name: str, primitive, what: str, aliases: tuple = ()):
    @hot
    def compute(input) -> Tensor:
        check_tensor(name, input)
        dtype = input._node.dtype
        refuse(name, input, bool_=True, complex_=True)
        return primitive(input) if dtype.is_inexact else copy(input)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"Rounded {what}; integers as they are.  Source: torch.{name}."
    return spelled(method=True, inplace=True, out=True, aliases=aliases)(compute)


floor = _rounding("floor", p.floor, "down")
ceil = _rounding("ceil", p.ceil, "up")
trunc = _rounding("trunc", p.trunc, "towards zero", ("fix",))


@spelled(method=True, inplace=True, out=True)
def round(input, *, decimals: int = 0) -> Tensor:  # noqa: A001 - PyTorch's name
    """Rounded to `decimals` places, halves to even.  Source: torch.round.

    >>> import rushlight as rl
    >>> rl.special.round(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0., 1., 2.])
    """
    check_tensor("round", input)
    dtype = input._node.dtype
    refuse("round", input, bool_=True, complex_=True)
    if not dtype.is_inexact:
        if decimals:
            raise NotImplementedError(
                f"\"round_cpu\" not implemented for '{dtype.name}' with decimals"
            )
        return copy(input)
    if decimals == 0:
        return p.round_even(input)
    scale = input._scalar(10.0 ** abs_of(decimals))
    if decimals > 0:
        return p.div(p.round_even(p.mul(input, scale)), scale)
    return p.mul(p.round_even(p.div(input, scale)), scale)


def abs_of(number: int) -> int:
    """Absolute value of a Python number (`abs` is PyTorch's here)."""
    return -number if number < 0 else number


@spelled(method=True, inplace=True, out=True)
def frac(input) -> Tensor:
    """input - trunc(input).  Source: torch.frac."""
    check_tensor("frac", input)
    if not input._node.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"frac_vml_cpu\" not implemented for '{input._node.dtype.name}'"
        )
    return named(p.sub(input, p.trunc(input)), "FracBackward0")


# ---- bounds --------------------------------------------------------------------------------------


def _raised(x: Tensor, low: Tensor) -> Tensor:
    """max(x, low); x where it is at the bound or NaN, so that the gradient passes there."""
    if low._node.shape == ():
        return p.where(p.lt(x, low), low, x)
    return p.where(p.bitwise_or(p.ge(x, low), p.ne(x, x)), x, low)


def _lowered(x: Tensor, high: Tensor) -> Tensor:
    if high._node.shape == ():
        return p.where(p.gt(x, high), high, x)
    return p.where(p.bitwise_or(p.le(x, high), p.ne(x, x)), x, high)


@spelled(method=True, inplace=True, out=True, aliases=("clip",))
def clamp(input, min=None, max=None) -> Tensor:  # noqa: A002 - PyTorch's names
    """input limited to [min, max]: numbers or tensors, either may be missing.

    Shapes: broadcast.  Dtypes: promoted.  Raises: RuntimeError if both are missing or for complex.
    Source: torch.clamp.
    """
    check_tensor("clamp", input)
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    bounds = [b for b in (min, max) if b is not None]
    if len(bounds) == 2 and isinstance(min, Tensor) is not isinstance(max, Tensor):
        raise TypeError("clamp(): min and max must both be numbers or both be tensors")
    dtype = result_dtype(input, *bounds)
    if dtype.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    x = to_dtype(input, dtype)
    if min is not None:
        x = _raised(x, to_dtype(min, dtype))
    if max is not None:
        x = _lowered(x, to_dtype(max, dtype))
    whole = isinstance(bounds[0], Tensor)
    return named(x, "ClampBackward0" if whole else "ClampBackward1")


@spelled(method=True, inplace=True, out=True)
def clamp_min(input, min) -> Tensor:  # noqa: A002 - PyTorch's name
    """max(input, min).  Source: torch.clamp_min."""
    return named(clamp(input, min), "ClampMinBackward0")


@spelled(method=True, inplace=True, out=True)
def clamp_max(input, max) -> Tensor:  # noqa: A002 - PyTorch's name
    """min(input, max).  Source: torch.clamp_max."""
    return named(clamp(input, None, max), "ClampMaxBackward0")


@spelled(method=True, inplace=True, out=True)
def nan_to_num(input, nan=None, posinf=None, neginf=None) -> Tensor:
    """NaN replaced by 0, infinities by the dtype's limits, or by what is given.

    Source: torch.nan_to_num.
    """
    check_tensor("nan_to_num", input)
    dtype = input._node.dtype
    if not dtype.is_inexact:
        return copy(input)
    if dtype.is_complex:
        parts = (nan_to_num(part, nan, posinf, neginf) for part in (p.real(input), p.imag(input)))
        return p.make_complex(*parts)
    limits = finfo(dtype)
    zero = input._scalar(0.0 if nan is None else nan)
    top = input._scalar(limits.max if posinf is None else posinf)
    bottom = input._scalar(limits.min if neginf is None else neginf)
    found = p.where(p.eq(input, input._scalar(math.inf)), top, input)
    found = p.where(p.eq(input, input._scalar(-math.inf)), bottom, found)
    return named(p.where(p.ne(input, input), zero, found), "NanToNumBackward0")


# ---- logits and degrees --------------------------------------------------------------------------


@spelled(method=True, inplace=True, out=True)
def logit(input, eps=None) -> Tensor:
    """log(x / (1 - x)), x first limited to [eps, 1 - eps] if eps is given.  Source: torch.logit.

    >>> import rushlight as rl
    >>> rl.special.logit(rl.tensor([0.25, 0.5]))
    tensor([-1.0986,  0.0000])
    """
    x = as_inexact("logit", input)
    refuse("logit", x, complex_=True)
    if eps is not None:
        low, high = x._scalar(eps), x._scalar(1 - eps)
        # No gradient where the limits act.
        x = p.where(p.lt(x, low), low, p.where(p.gt(x, high), high, x))
    return named(p.log(p.div(x, p.sub(x._scalar(1.0), x))), "LogitBackward0")


def _converted_angle(name: str, factor: float):
    @hot
    def compute(input) -> Tensor:
        x = as_inexact(name, input)
        if x._node.dtype.is_complex:
            raise RuntimeError(f"{name} is not supported on complex tensors.")
        wide = widened(x)
        return to_dtype(p.mul(wide, wide._scalar(factor)), x._node.dtype)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"Angles multiplied by {factor}.  Source: torch.{name}."
    return spelled(method=True, inplace=True, out=True)(compute)


deg2rad = _converted_angle("deg2rad", math.pi / 180)
rad2deg = _converted_angle("rad2deg", 180 / math.pi)


attach_method("__neg__")(neg)
attach_method("__pos__")(positive)
attach_method("__abs__")(abs)
