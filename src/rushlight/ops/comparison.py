"""Tests of values and truth: isnan, isclose, equal, logical operations, where.  Level 11."""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import bool_, int64
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import filled, value_of
from rushlight.ops.promotion import (
    check_tensor,
    constant,
    inexact,
    is_number,
    promote,
    result_dtype,
    to_dtype,
)
from rushlight.ops.spelling import attach_method, spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives.reduction import reduce_min
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _never(x: Tensor) -> Tensor:
    return filled(x._node.shape, False, bool_)


@spelled(method=True)
def isnan(input) -> Tensor:
    """Whether each element is NaN.  Source: torch.isnan."""
    check_tensor("isnan", input)
    return e.ne(input, input) if input._node.dtype.is_inexact else _never(input)


@spelled(method=True)
def isinf(input) -> Tensor:
    """Whether each element is infinite (in either part).  Source: torch.isinf."""
    check_tensor("isinf", input)
    if not input._node.dtype.is_inexact:
        return _never(input)
    size = e.absolute(input)
    return e.eq(size, size._scalar(math.inf))


@spelled(method=True)
def isfinite(input) -> Tensor:
    """Whether each element is neither infinite nor NaN.  Source: torch.isfinite."""
    check_tensor("isfinite", input)
    if not input._node.dtype.is_inexact:
        return filled(input._node.shape, True, bool_)
    size = e.absolute(input)
    return e.lt(size, size._scalar(math.inf))


def _is_signed_infinity(name: str, bound: float):
    def test(input) -> Tensor:
        check_tensor(name, input)
        if input._node.dtype.is_complex:
            raise RuntimeError(f"{name} does not support complex inputs.")
        if not input._node.dtype.is_inexact:
            return _never(input)
        return e.eq(input, input._scalar(bound))

    test.__name__ = test.__qualname__ = name
    test.__doc__ = f"Whether each element is {bound}.  Source: torch.{name}."
    return spelled(method=True, out=True)(test)


isposinf = _is_signed_infinity("isposinf", math.inf)
isneginf = _is_signed_infinity("isneginf", -math.inf)


@spelled(method=True)
def isreal(input) -> Tensor:
    """Whether the imaginary part of each element is 0.  Source: torch.isreal."""
    check_tensor("isreal", input)
    if not input._node.dtype.is_complex:
        return filled(input._node.shape, True, bool_)
    part = e.imag(input)
    return e.eq(part, part._scalar(0.0))


@spelled(method=True, out=True)
def signbit(input) -> Tensor:
    """Whether the sign bit is set, as it is for -0.  Source: torch.signbit."""
    check_tensor("signbit", input)
    if input._node.dtype.is_complex:
        raise NotImplementedError("signbit is not implemented for complex tensors.")
    if input._node.dtype is bool_:
        return _never(input)
    if not input._node.dtype.is_inexact:
        return e.lt(input, input._scalar(0))
    return e.lt(e.copysign(input._scalar(1.0), input), input._scalar(0.0))


@spelled(method=True)
def isclose(input, other, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
            ) -> Tensor:  # fmt: skip
    """|input - other| <= atol + rtol * |other|, equal infinities included.

    Source: torch.isclose.
    """
    check_tensor("isclose", input)
    check_tensor("isclose", other, "other")
    if input._node.dtype is not other._node.dtype:
        raise RuntimeError(f"{input._node.dtype} did not match {other._node.dtype}")
    if rtol < 0 or atol < 0:
        which, value = ("rtol", rtol) if rtol < 0 else ("atol", atol)
        raise RuntimeError(f"{which} must be greater than or equal to zero, but got {value}")
    x, y = constant(input), constant(other)
    close = e.eq(x, y)
    if equal_nan and x._node.dtype.is_inexact:
        close = e.bitwise_or(close, e.bitwise_and(e.ne(x, x), e.ne(y, y)))
    if rtol == 0 and atol == 0:
        return close
    if not x._node.dtype.is_inexact:
        wide = inexact(x._node.dtype)
        x, y = e.cast(x, wide), e.cast(y, wide)
    error = e.absolute(e.sub(x, y))
    bound = e.absolute(y)
    allowed = e.add(e.mul(bound, bound._scalar(rtol)), bound._scalar(atol))
    near = e.bitwise_and(e.le(error, allowed), e.lt(error, error._scalar(math.inf)))
    return e.bitwise_or(close, near)


def _holds_everywhere(truth: Tensor) -> bool:
    return bool(reduce_min(truth, tuple(range(truth.ndim)), False).item())


@spelled(method=True)
def allclose(input, other, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
             ) -> bool:  # fmt: skip
    """Whether `isclose` holds everywhere; reads the values.  Source: torch.allclose."""
    return _holds_everywhere(isclose(input, other, rtol, atol, equal_nan))


@spelled(method=True)
def equal(input, other) -> bool:
    """Whether shapes and all values are equal; reads the values.  Source: torch.equal."""
    check_tensor("equal", input)
    check_tensor("equal", other, "other")
    if input._node.dtype is not other._node.dtype:
        raise RuntimeError(
            f"Expected object of data type {input._node.dtype} but got data type "
            f"{other._node.dtype} for argument 'other' in call to equal"
        )
    if input._node.shape != other._node.shape:
        return False
    return _holds_everywhere(e.eq(constant(input), constant(other)))


# ---- logic ---------------------------------------------------------------------------------------


def _truth(name: str, x) -> Tensor:
    check_tensor(name, x)
    return x if x._node.dtype is bool_ else e.ne(x, x._scalar(0))


@spelled(method=True, inplace=True, out=True)
def logical_not(input) -> Tensor:
    """Whether each element is 0.  Source: torch.logical_not."""
    return e.logical_not(_truth("logical_not", input))


def _logical(name: str, primitive):
    def compute(input, other) -> Tensor:
        return primitive(_truth(name, input), _truth(name, other))

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"Elementwise {name} of what is nonzero.  Source: torch.{name}."
    return spelled(method=True, inplace=True, out=True)(compute)


logical_and = _logical("logical_and", e.bitwise_and)
logical_or = _logical("logical_or", e.bitwise_or)
logical_xor = _logical("logical_xor", e.ne)


@spelled(method=True, inplace=True, out=True)
def bitwise_not(input) -> Tensor:
    """Each bit inverted; the logical complement of bool.  Source: torch.bitwise_not."""
    check_tensor("bitwise_not", input)
    if input._node.dtype.is_inexact:
        raise NotImplementedError(
            f"\"bitwise_not_cpu\" not implemented for '{input._node.dtype.name}'"
        )
    return e.bitwise_not(input)


@attach_method("__invert__")
def _invert(self) -> Tensor:
    if self._node.dtype.is_inexact:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return e.bitwise_not(self)


def choose(condition, input, other) -> Tensor:
    """input where the condition holds, else other.  Dtypes: promoted."""
    check_tensor("where", condition, "condition")
    if condition._node.dtype is not bool_:
        if condition._node.dtype.name != "uint8":
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{condition._node.dtype}"
            )
        condition = e.ne(condition, condition._scalar(0))
    if is_number(input) and is_number(other):
        dtype = result_dtype(input, other)
        return e.where(condition, to_dtype(input, dtype), to_dtype(other, dtype))
    x, y = promote("where", input, other)
    return e.where(condition, x, y)


@spelled(out=True)
@beside_input
def where(condition, input=None, other=None):
    """input where the condition holds, else other; with the condition alone, its nonzero places.

    Shapes: broadcast.  Dtypes: promoted.  Source: torch.where.
    """
    if input is None and other is None:
        places = np.nonzero(value_of(condition).reshape(condition._node.shape or (1,)))
        return tuple(tensor_from_numpy(np.ascontiguousarray(p), int64) for p in places)
    if input is None or other is None:
        raise TypeError("where(): expected condition alone, or condition, input and other")
    return choose(condition, input, other)


@attach_method("where")
def _where_method(self, condition, other) -> Tensor:
    """This tensor where the condition holds, else other."""
    return choose(condition, self, other)
