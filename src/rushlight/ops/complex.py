"""Complex numbers and their parts.  Level 11."""

from __future__ import annotations

import math

from rushlight.base.dtypes import get_default_dtype
from rushlight.ops.promotion import as_inexact, check_tensor, constant, to_dtype, widened
from rushlight.ops.shaping import select
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives.movement import concatenate, reshape
from rushlight.tensor.graph import named
from rushlight.tensor.reinterpret import view_of_parts
from rushlight.tensor.tensor import Tensor, strides_of


def _check_parts(name: str, x, y) -> None:
    check_tensor(name, x)
    check_tensor(name, y, "other")
    if x._node.dtype is not y._node.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {x._node.dtype.name} but got scalar type "
            f"{y._node.dtype.name} for second argument"
        )
    if x._node.dtype.name not in ("float16", "float32", "float64"):
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got "
            f"{x._node.dtype.name} and {y._node.dtype.name}"
        )


def _complex(real, imag) -> Tensor:
    """real + imag * i.  Raises: RuntimeError unless both are of one floating dtype.

    Source: torch.complex.
    """
    _check_parts("complex", real, imag)
    return e.make_complex(real, imag)


_complex.__name__ = _complex.__qualname__ = "complex"
spelled(out=True)(_complex)


@spelled(out=True)
def polar(abs, angle) -> Tensor:  # noqa: A002 - PyTorch's name
    """abs * (cos(angle) + i sin(angle)).  Source: torch.polar."""
    _check_parts("polar", abs, angle)
    return e.make_complex(e.mul(abs, e.cos(angle)), e.mul(abs, e.sin(angle)))


@spelled()
def real(input) -> Tensor:
    """The real parts, a view; real tensors as they are.  Source: torch.real."""
    check_tensor("real", input)
    return _part(input, e.real, 0) if input._node.dtype.is_complex else input


def _part(input: Tensor, read, place: int) -> Tensor:
    """The view of one part of each number; `place` in each pair."""
    strides = [2 * step for step in strides_of(input)]
    dtype = input._node.dtype.to_real()
    offset = 2 * input.storage_offset() + place  # type: ignore[attr-defined]
    return view_of_parts(input, dtype, input._node.shape, strides, offset, read)


@spelled()
def imag(input) -> Tensor:
    """The imaginary parts, a view.  Raises: RuntimeError for real tensors.  Source: torch.imag."""
    check_tensor("imag", input)
    if not input._node.dtype.is_complex:
        raise NotImplementedError("imag is not implemented for tensors with non-complex dtypes.")
    return _part(input, e.imag, 1)


def _set_part(self, value, *, is_real: bool) -> None:
    if not self._node.dtype.is_complex:
        if not is_real:
            raise NotImplementedError(
                "imag is not implemented for tensors with non-complex dtypes."
            )
        self.copy_(value)
        return
    dtype = self._node.dtype.to_real()
    part = e.cast(value, dtype) if isinstance(value, Tensor) else self._scalar(value, dtype)
    parts = (part, e.imag(self)) if is_real else (e.real(self), part)
    self.copy_(e.make_complex(*parts))


def _set_real(self, value) -> None:
    _set_part(self, value, is_real=True)


def _set_imag(self, value) -> None:
    _set_part(self, value, is_real=False)


Tensor.real = property(real, _set_real)
Tensor.imag = property(imag, _set_imag)


@spelled(method=True)
def conj(input) -> Tensor:
    """The complex conjugate, computed; real tensors as they are.  Source: torch.conj."""
    check_tensor("conj", input)
    return e.conj(input) if input._node.dtype.is_complex else input


@spelled(method=True, inplace=True, out=True)
def conj_physical(input) -> Tensor:
    """The complex conjugate.  Source: torch.conj_physical."""
    return conj(input)


@spelled(method=True)
def resolve_conj(input) -> Tensor:
    """The tensor itself: conjugation is never pending.  Source: torch.resolve_conj."""
    check_tensor("resolve_conj", input)
    return input


@spelled(method=True)
def resolve_neg(input) -> Tensor:
    """The tensor itself: negation is never pending.  Source: torch.resolve_neg."""
    check_tensor("resolve_neg", input)
    return input


@spelled(method=True, out=True)
def angle(input) -> Tensor:
    """The argument of each number: 0 or pi for real ones, NaN for NaN.  Source: torch.angle."""
    check_tensor("angle", input)
    if input._node.dtype.is_complex:
        re, im = e.real(input), e.imag(input)
        # At 0 the slope counts as 0.
        zero = e.bitwise_and(e.eq(re, re._scalar(0.0)), e.eq(im, im._scalar(0.0)))
        safe = e.where(zero, re._scalar(1.0), re)
        return e.where(zero, e.atan2(constant(im), constant(re)), e.atan2(im, safe))
    x = input
    if not x._node.dtype.is_inexact:
        x = e.cast(x, get_default_dtype())
    zero = x._scalar(0.0)
    found = e.where(e.lt(x, zero), x._scalar(math.pi), zero)
    return e.where(e.ne(x, x), x, found)


@spelled(method=True, inplace=True, out=True)
def sgn(input) -> Tensor:
    """The sign; for complex numbers x / |x|, and 0 at 0.  Source: torch.sgn."""
    check_tensor("sgn", input)
    return e.sign(input)


@spelled()
def view_as_real(input) -> Tensor:
    """Real and imaginary parts along a new last axis of size 2, a view.

    Raises: RuntimeError for real tensors.  Source: torch.view_as_real.
    """
    check_tensor("view_as_real", input)
    if not input._node.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    shape = input._node.shape
    strides = (*(2 * step for step in strides_of(input)), 1)
    dtype = input._node.dtype.to_real()
    offset = 2 * input.storage_offset()
    return view_of_parts(input, dtype, (*shape, 2), strides, offset, _pairs)


def _pairs(input: Tensor) -> Tensor:
    shape = (*input._node.shape, 1)
    parts = (reshape(e.real(input), shape), reshape(e.imag(input), shape))
    return named(concatenate(parts, len(shape) - 1), "ViewAsRealBackward0")


@spelled()
def view_as_complex(input) -> Tensor:
    """The inverse of view_as_real, a view.  Raises: RuntimeError if the last size is not 2, or the
    pairs do not lie beside each other.

    Source: torch.view_as_complex.
    """
    check_tensor("view_as_complex", input)
    if input._node.dtype.name not in ("float16", "float32", "float64"):
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {input._node.dtype.name}"
        )
    if input.ndim == 0:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input._node.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    *strides, last = strides_of(input)
    offset = input.storage_offset()
    if last != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(step % 2 for step in strides):
        raise RuntimeError(
            "Tensor must have a stride divisible by 2 for all but last dimension: strides "
            f"{(*strides, last)}; clone() it first"
        )
    if offset % 2:
        raise RuntimeError(
            f"Tensor must have a storage_offset divisible by 2, not {offset}; clone() it first"
        )
    halved = tuple(step // 2 for step in strides)
    dtype = input._node.dtype.to_complex()
    return view_of_parts(input, dtype, input._node.shape[:-1], halved, offset // 2, _joined)


def _joined(input: Tensor) -> Tensor:
    found = e.make_complex(select(input, -1, 0), select(input, -1, 1))
    return named(found, "ViewAsComplexBackward0")


@spelled(method=True, inplace=True, out=True)
def sinc(input) -> Tensor:
    """sin(pi x) / (pi x), 1 at 0.  Source: torch.sinc.

    >>> import rushlight as rl
    >>> rl.special.sinc(rl.tensor([0.5, 1.0, 2.0]))
    tensor([ 6.3662e-01, -2.7828e-08,  2.7828e-08])
    """
    given = as_inexact("sinc", input)
    x = widened(given)
    zero = e.eq(x, x._scalar(0.0))
    scaled = e.mul(e.where(zero, x._scalar(1.0), x), x._scalar(math.pi))
    found = e.where(zero, x._scalar(1.0), e.div(e.sin(scaled), scaled))
    return to_dtype(found, given._node.dtype)
