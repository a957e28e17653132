"""Undoing broadcasting, and small pieces that many rules share.  Level 4."""

from __future__ import annotations

from rushlight.primitives.elementwise import cast, conj, mul, real
from rushlight.primitives.movement import expand, reshape
from rushlight.primitives.reduction import reduce_sum


def sum_to(cotangent, operand):
    """Sum a cotangent over the axes along which `operand` was broadcast."""
    shape = tuple(operand.shape)
    given = tuple(cotangent.shape)
    if given == shape:
        return cotangent
    lead = len(given) - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + axis for axis, size in enumerate(shape) if size == 1 and given[lead + axis] != 1
    )
    if axes:
        cotangent = reduce_sum(cotangent, axes, False)
    if tuple(cotangent.shape) != shape:
        cotangent = reshape(cotangent, shape)
    return cotangent


def conjugate(x):
    """The complex conjugate; real values are returned as they are."""
    return conj(x) if x.dtype.is_complex else x


def scaled(x, factor: float):
    """x times a number."""
    return mul(x, x._scalar(factor))


def filled(like, value: float, shape, dtype=None):
    """A tensor of `shape` with one value everywhere."""
    return expand(like._scalar(value, dtype or like.dtype), tuple(shape))


def real_if(cotangent, operand):
    """The real part where the operand is real (a real input of a complex result)."""
    if cotangent.dtype.is_complex and not operand.dtype.is_complex:
        cotangent = real(cotangent)
    if cotangent.dtype is not operand.dtype:
        cotangent = cast(cotangent, operand.dtype)
    return cotangent
