"""Functions of one tensor, element by element.  Level 11."""

from __future__ import annotations

from rushlight.ops.promotion import as_inexact, check_tensor
from rushlight.ops.spelling import attach_method, spelled
from rushlight.primitives import elementwise as p
from rushlight.tensor.tensor import Tensor


def _inexact_function(name: str, primitive, what: str, aliases: tuple = ()):
    """A function whose integer operands become floating."""

    def compute(input) -> Tensor:
        return primitive(as_inexact(name, input))

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
erf = _inexact_function("erf", p.erf, "Error function")
erfc = _inexact_function("erfc", p.erfc, "1 - erf(input)")
erfinv = _inexact_function("erfinv", p.erfinv, "Inverse of the error function")
lgamma = _inexact_function("lgamma", p.lgamma, "Logarithm of the absolute value of gamma")
digamma = _inexact_function("digamma", p.digamma, "Derivative of lgamma")


@spelled(method=True, inplace=True, out=True, aliases=("negative",))
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
    return p.absolute(input)


@spelled(method=True, inplace=True)
def relu(input) -> Tensor:
    """max(input, 0), keeping NaN.  Source: torch.relu."""
    check_tensor("relu", input)
    if input._node.dtype.name == "bool":
        raise RuntimeError("Boolean inputs not supported for relu")
    return p.relu(input)


attach_method("__neg__")(neg)
attach_method("__abs__")(abs)
