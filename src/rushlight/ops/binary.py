"""Functions of two or three tensors, element by element, beyond plain arithmetic.  Level 11."""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import complex128, float64, int32, narrow
from rushlight.ops.arithmetic import mul
from rushlight.ops.arithmetic import sub as subtract
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import arithmetic_value
from rushlight.ops.former_order import factors_of_former
from rushlight.ops.members import read
from rushlight.ops.promotion import (
    as_inexact,
    check_tensor,
    check_tensors,
    constant,
    is_followed,
    is_number,
    promote,
    result_dtype,
    to_dtype,
    widened,
    without_derivative,
)
from rushlight.ops.return_types import return_type
from rushlight.ops.scan import log_add_exp
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


@spelled(method=False)
def rsub(input, other, *, alpha=1) -> Tensor:
    """other - alpha * input.  Source: torch.rsub."""
    return named(subtract(other, input, alpha=alpha), "RsubBackward1")


@spelled(method=True, inplace=True, out=True)
def lerp(input, end, weight) -> Tensor:
    """input + weight * (end - input), exact at both ends.

    Raises: RuntimeError if the dtypes differ.  Source: torch.lerp.
    """
    check_tensor("lerp", input)
    check_tensor("lerp", end, "end")
    if input._node.dtype is not end._node.dtype:
        raise RuntimeError(
            f"expected dtype {input._node.dtype} for `end` but got dtype {end._node.dtype}"
        )
    label = "LerpBackward1"
    start, end = widened(input), widened(end)
    if isinstance(weight, Tensor):
        if weight._node.dtype is not input._node.dtype:
            raise RuntimeError(
                f"expected dtype {input._node.dtype} for `weight`"
                f" but got dtype {weight._node.dtype}"
            )
        weight = widened(weight)
    else:
        label = "LerpBackward0"
        weight = start._scalar(weight)
    if not input._node.dtype.is_inexact:
        raise NotImplementedError(f"\"lerp_kernel\" not implemented for '{input._node.dtype.name}'")
    return named(to_dtype(interpolated(start, end, weight), input._node.dtype), label)


def interpolated(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """start + weight * (end - start), computed from the nearer end."""
    step = e.sub(end, start)
    size = constant(e.absolute(weight))
    from_start = e.add(start, e.mul(weight, step))
    from_end = e.sub(end, e.mul(step, e.sub(weight._scalar(1.0), weight)))
    return e.where(e.lt(size, size._scalar(0.5)), from_start, from_end)


def _check_value(name: str, value, dtype) -> None:
    if isinstance(value, (float, complex)) and not dtype.is_inexact:
        raise RuntimeError(
            "For integral input tensors, argument value must not be a floating point number:"
            f" {name}"
        )


def _check_factors(name: str, *factors) -> None:
    for place, factor in enumerate(factors, 1):
        if not isinstance(factor, Tensor):
            raise TypeError(
                f"{name}(): argument 'tensor{place}' (position {place + 1}) must be Tensor, not "
                f"{type(factor).__name__}"
            )


@spelled(method=True, inplace=True, out=True)
def addcmul(input, tensor1, tensor2, *former, value=1) -> Tensor:
    """input + value * tensor1 * tensor2; once also with `value` before them.

    Source: torch.addcmul.
    """
    if former:
        tensor1, tensor2, value = factors_of_former("addcmul", tensor1, tensor2, *former)
    check_tensor("addcmul", input)
    _check_factors("addcmul", tensor1, tensor2)
    dtype = result_dtype(input, tensor1, tensor2)
    _check_value("addcmul", value, dtype)
    start, x, y = (widened(to_dtype(z, dtype)) for z in (input, tensor1, tensor2))
    product = e.mul(x, y)
    if value != 1:
        product = e.mul(product, product._scalar(value))
    return named(to_dtype(e.add(start, product), dtype), "AddcmulBackward0")


@spelled(method=True, inplace=True, out=True)
def addcdiv(input, tensor1, tensor2, *former, value=1) -> Tensor:
    """input + value * tensor1 / tensor2; once also with `value` before them.

    Raises: RuntimeError for integers.  Source: torch.addcdiv.
    """
    if former:
        tensor1, tensor2, value = factors_of_former("addcdiv", tensor1, tensor2, *former)
    check_tensor("addcdiv", input)
    _check_factors("addcdiv", tensor1, tensor2)
    if not result_dtype(tensor1, tensor2).is_inexact:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2."
        )
    dtype = result_dtype(input, tensor1, tensor2)
    start, x, y = (widened(to_dtype(z, dtype)) for z in (input, tensor1, tensor2))
    if value != 1:
        x = e.mul(x, x._scalar(value))
    return named(to_dtype(e.add(start, e.div(x, y)), dtype), "AddcdivBackward0")


# ---- floating pairs ------------------------------------------------------------------------------


_TENSORS_ONLY = ("atan2", "hypot", "nextafter")


def _real_pair(name: str, input, other, *, floating: bool = True) -> tuple[Tensor, Tensor]:
    check_tensor(name, input)
    x, y = promote(name, input, other, floating=floating)
    if name in _TENSORS_ONLY:
        check_tensors(name, input, other)
    if x._node.dtype.is_complex:
        raise NotImplementedError(f"{name} is not implemented for complex tensors")
    return x, y


def _floating(name: str, primitive, what: str, aliases: tuple = (), inplace: bool = True):
    def compute(input, other) -> Tensor:
        return primitive(*_real_pair(name, input, other))

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"{what}, elementwise.  Dtypes: integers give floats.  Source: torch.{name}."
    return spelled(method=True, inplace=inplace, out=True, aliases=aliases)(compute)


atan2 = _floating("atan2", e.atan2, "Angle of the point (other, input)", ("arctan2",))
copysign = _floating("copysign", e.copysign, "|input| with the sign of other")


@spelled(method=True, inplace=True, out=True)
def nextafter(input, other) -> Tensor:
    """The next floating number after input towards other.  Source: torch.nextafter."""
    x, y = _real_pair("nextafter", input, other, floating=False)
    if not x._node.dtype.is_inexact:
        raise NotImplementedError(f"\"nextafter_cpu\" not implemented for '{x._node.dtype.name}'")
    return e.nextafter(x, y)


@spelled(method=True, inplace=True, out=True)
def hypot(input, other) -> Tensor:
    """sqrt(input**2 + other**2) without overflow.  Source: torch.hypot."""
    x, y = _real_pair("hypot", input, other, floating=False)
    if not x._node.dtype.is_inexact:
        raise NotImplementedError(f"\"hypot_cpu\" not implemented for '{x._node.dtype.name}'")
    # Beside an infinity the other operand's slope is 0, not the NaN of an infinite quotient.
    endless = x._scalar(math.inf)
    infinite = e.bitwise_or(e.eq(e.absolute(x), endless), e.eq(e.absolute(y), endless))
    sides = [e.where(infinite, side._scalar(0.0), side) for side in (x, y)]
    length = to_dtype(e.absolute(e.make_complex(*sides)), x._node.dtype)
    return named(e.where(infinite, endless, length), "HypotBackward0")


def _inexact_pair(name: str, input, other) -> tuple[Tensor, Tensor]:
    check_tensors(name, input, other)
    x, y = promote(name, input, other)
    if not x._node.dtype.is_inexact:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{x._node.dtype.name}'")
    return x, y


@spelled(method=True, out=True)
def logaddexp(input, other) -> Tensor:
    """log(exp(input) + exp(other)) without overflow.  Source: torch.logaddexp."""
    x, y = _inexact_pair("logaddexp", input, other)
    found = to_dtype(log_add_exp(widened(x), widened(y)), x._node.dtype)
    return named(found, "LogaddexpBackward0")


@spelled(method=True, out=True)
def logaddexp2(input, other) -> Tensor:
    """log2(2**input + 2**other) without overflow.  Source: torch.logaddexp2."""
    x, y = _inexact_pair("logaddexp2", input, other)
    own = x._node.dtype
    x, y = widened(x), widened(y)
    factor = x._scalar(math.log(2))
    return to_dtype(e.div(log_add_exp(e.mul(x, factor), e.mul(y, factor)), factor), own)


def product_with_log(name: str, input, other, log, lowest: float) -> Tensor:
    """input * log(other), 0 where input is 0 and other is not NaN.

    lowest: where `log` is minus infinity.
    """
    x, y = _real_pair(name, input, other)
    infinite = e.bitwise_or(e.le(y, y._scalar(lowest)), e.eq(y, y._scalar(math.inf)))
    zero = e.bitwise_and(e.eq(x, x._scalar(0.0)), infinite)
    # log(lowest + 1) is 0 in both cases.
    found = e.mul(x, log(e.where(zero, y._scalar(lowest + 1), y)))
    return named(found, f"{name.capitalize()}Backward0")


@spelled(method=True, inplace=True, out=True)
def xlogy(input, other) -> Tensor:
    """input * log(other), 0 where input is 0.  Source: torch.xlogy.

    >>> import rushlight as rl
    >>> rl.special.xlogy(rl.tensor([0.5, 1.0, 2.0]), rl.tensor([2.0, 1.0, 0.5]))
    tensor([ 0.3466,  0.0000, -1.3863])
    """
    return product_with_log("xlogy", input, other, e.log, 0.0)


@spelled(method=True, inplace=True, out=True)
def heaviside(input, values) -> Tensor:
    """0 below 0, 1 above, `values` at 0; without a derivative.  Source: torch.heaviside."""
    check_tensor("heaviside", input)
    check_tensor("heaviside", values, "values")
    if input._node.dtype is not values._node.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    if input._node.dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    x, at_zero = constant(input), constant(values)
    zero = x._scalar(0)
    found = e.where(e.eq(x, zero), at_zero, e.cast(e.gt(x, zero), x._node.dtype))
    return without_derivative("heaviside", found, input, values)


@spelled(method=True, inplace=True, out=True)
def float_power(input, exponent) -> Tensor:
    """input ** exponent in double precision.  Source: torch.float_power."""
    dtype = result_dtype(input, exponent)
    wide = complex128 if dtype.is_complex else float64
    x = input if is_number(input) else to_dtype(input, wide)
    y = exponent if is_number(exponent) else to_dtype(exponent, wide)
    if is_number(x):
        x = to_dtype(x, wide)
    if is_number(y):
        y = to_dtype(y, wide)
    return e.power(x, y)


@spelled(method=True, inplace=True, out=True)
def ldexp(input, other) -> Tensor:
    """input * 2 ** other.  Source: torch.ldexp."""
    check_tensor("ldexp", input)
    power = e.exp2(as_inexact("ldexp", other))
    return mul(input, power)


@spelled(method=True, out=True)
@beside_input
def frexp(input):
    """(mantissa in ±[0.5, 1), exponent) with input = mantissa * 2 ** exponent; reads the values.

    Source: torch.frexp.
    """
    check_tensor("frexp", input)
    if not input._node.dtype.is_floating_point:
        raise RuntimeError(
            f"torch.frexp() only supports floating-point dtypes, got {input._node.dtype}"
        )
    dtype = input._node.dtype

    def parts(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mantissas, powers of 2 that give them, exponents."""
        mantissa, exponent = np.frexp(arithmetic_value(values))
        scale = np.ldexp(1.0, -exponent.astype(np.int32))
        return (
            tensor_from_numpy(narrow(np.array(mantissa, order="C"), dtype), dtype),
            tensor_from_numpy(narrow(np.array(scale, order="C"), dtype), dtype),
            tensor_from_numpy(np.array(exponent, dtype=np.int32, order="C"), int32),
        )

    first, scale, second = read(parts, constant(input))
    if is_followed(input):
        first = mul(input, scale)
    return return_type("frexp", "mantissa", "exponent")(first, second)


# ---- integers ------------------------------------------------------------------------------------


def _integer_pair(name: str, input, other) -> tuple[Tensor, Tensor]:
    check_tensors(name, input, other)
    x, y = promote(name, input, other)
    if x._node.dtype.is_inexact or x._node.dtype.name == "bool":
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{x._node.dtype.name}'")
    return x, y


@spelled(method=True, inplace=True, out=True)
def gcd(input, other) -> Tensor:
    """Greatest common divisor.  Dtypes: integer.  Source: torch.gcd."""
    return e.gcd(*_integer_pair("gcd", input, other))


@spelled(method=True, inplace=True, out=True)
def lcm(input, other) -> Tensor:
    """Least common multiple.  Dtypes: integer.  Source: torch.lcm."""
    x, y = _integer_pair("lcm", input, other)
    divisor = e.gcd(x, y)
    none = e.eq(divisor, divisor._scalar(0))
    safe = e.where(none, divisor._scalar(1), divisor)
    return e.absolute(e.mul(e.floor_divide(x, safe), y))
