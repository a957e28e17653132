"""Vector norms, distances of two tensors, and rescaling to a norm.  Level 11."""

from __future__ import annotations

import math

from rushlight.base.dtypes import promote_types
from rushlight.base.shapes import wrap_axes, wrap_axis
from rushlight.ops.arithmetic import mul, sub
from rushlight.ops.formats import in_rows, resulting
from rushlight.ops.promotion import check_tensor, is_number, to_dtype, widened
from rushlight.ops.reduction import numpy_names
from rushlight.ops.spelling import spelled, write_out
from rushlight.primitives import elementwise as e
from rushlight.primitives.linalg import svd
from rushlight.primitives.movement import permute, reshape
from rushlight.primitives.reduction import reduce_max, reduce_min, reduce_sum
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def root(x: Tensor) -> Tensor:
    """Square root whose slope at 0 counts as 0, as PyTorch's norms and std have it."""
    zero = e.eq(x, x._scalar(0.0))
    safe = e.where(zero, x._scalar(1.0), x)
    return e.where(zero, x._scalar(0.0), e.sqrt(safe))


def _squares(x: Tensor) -> Tensor:
    """|x| squared, real."""
    if x._node.dtype.is_complex:
        return e.real(e.mul(x, e.conj(x)))
    return e.mul(x, x)


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None) -> Tensor:
    """The ord-norm of the elements along `dim` (all without it).

    Dtypes: real.  Raises: RuntimeError for integers, and for an empty axis where ord needs one.
    Source: torch.linalg.vector_norm.

    >>> import rushlight as rl
    >>> rl.linalg.vector_norm(rl.tensor([3.0, 4.0]), ord=1)
    tensor(7.)
    """
    check_tensor("linalg.vector_norm", x)
    own = x._node.dtype
    if not own.is_inexact:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {own}"
        )
    if not is_number(ord):
        raise TypeError(f"linalg.vector_norm: ord must be a number, got {type(ord).__name__}")
    target = own.to_real()
    if dtype is not None:
        if promote_types(own, dtype) is not dtype:
            raise RuntimeError(
                f"linalg.vector_norm: the dtype of the input ({own}) should be convertible without "
                f"narrowing to the specified dtype ({dtype})"
            )
        x, target = to_dtype(x, dtype), dtype.to_real()
    axes = wrap_axes(dim, x.ndim)
    if (ord < 0 or ord == math.inf) and any(x._node.shape[a] == 0 for a in axes):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {float(ord)} norm on an empty tensor because "
            "the operation does not have an identity"
        )
    found = norm_along(widened(x), float(ord), axes, bool(keepdim))
    found = named(to_dtype(found, target), "LinalgVectorNormBackward0")
    return found if out is None else write_out(out, found)


def norm_along(x: Tensor, order: float, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    """The norm over axes; its slope is 0, not NaN, where it is 0."""
    if order == 2:
        return root(reduce_sum(_squares(x), axes, keepdim))
    if order == 0:
        present = e.ne(x, x._scalar(0.0))
        size = e.absolute(x)
        # The sign of a zero: 0, and in the graph, with a slope of 0.
        return reduce_sum(e.where(present, size._scalar(1.0), e.sign(size)), axes, keepdim)
    size = e.absolute(x)
    if order == 1:
        return reduce_sum(size, axes, keepdim)
    if order == math.inf:
        return reduce_max(size, axes, keepdim)
    if order == -math.inf:
        return reduce_min(size, axes, keepdim)
    # Zeros take no part in the power, whose slope may be infinite there.
    zero = e.eq(size, size._scalar(0.0))
    powers = e.power(e.where(zero, size._scalar(1.0), size), size._scalar(order))
    at_zero = size._scalar(0.0 if order > 0 else math.inf)
    total = reduce_sum(e.where(zero, at_zero, powers), axes, keepdim)
    none = e.eq(total, total._scalar(0.0))
    found = e.power(e.where(none, total._scalar(1.0), total), total._scalar(1 / order))
    return e.where(none, total._scalar(0.0 if order > 0 else math.inf), found)


@spelled(method=True, out=True)
@numpy_names
def norm(input, p="fro", dim=None, keepdim=False, dtype=None) -> Tensor:
    """The p-norm of the elements along `dim`; "fro" is the 2-norm.

    "nuc" is the sum of the singular values of matrices.  Raises: RuntimeError for another name.
    Source: torch.norm.
    """
    check_tensor("norm", input)
    if p is None or p == "fro":
        p = 2
    if p == "nuc":
        return _nuclear_norm(to_dtype(input, dtype or input._node.dtype), dim, bool(keepdim))
    if isinstance(p, str):
        raise RuntimeError(f"only valid string values are 'fro' and 'nuc', found {p}")
    return vector_norm(input, p, dim, keepdim, dtype=dtype)


def _nuclear_norm(x: Tensor, dim, keepdim: bool) -> Tensor:
    """Sum of the singular values of the matrices along two axes."""
    axes = tuple(range(x.ndim)) if dim is None else tuple(wrap_axis(d, x.ndim) for d in dim)
    if len(axes) != 2 or axes[0] == axes[1]:
        raise RuntimeError(f"nuclear norm requires a 'dim' argument of size 2, got {dim}")
    others = tuple(a for a in range(x.ndim) if a not in axes)
    values = svd(permute(x, (*others, *axes)), False)[1]
    found = reduce_sum(values, (values.ndim - 1,), False)
    if not keepdim:
        return found
    return reshape(found, tuple(1 if a in axes else n for a, n in enumerate(x._node.shape)))


@spelled(method=True, out=True)
def dist(input, other, p=2) -> Tensor:
    """The p-norm of input - other.  Source: torch.dist."""
    return named(vector_norm(sub(input, other), p), "DistBackward0")


@spelled(method=True, inplace=True, out=True)
@resulting(in_rows)
def renorm(input, p, dim, maxnorm) -> Tensor:
    """Slices along `dim` scaled down so that their p-norm is at most maxnorm.

    Source: torch.renorm.
    """
    check_tensor("renorm", input)
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    if p <= 0:
        raise RuntimeError("renorm: non-positive norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    axis = wrap_axis(dim, input.ndim)
    others = tuple(a for a in range(input.ndim) if a != axis)
    size = norm_along(widened(input), float(p), others, True)
    limit = size._scalar(maxnorm)
    factor = e.where(
        e.gt(size, limit), e.div(limit, e.add(size, size._scalar(1e-7))), size._scalar(1.0)
    )
    return mul(input, to_dtype(factor, input._node.dtype))


@spelled(method=False)
def norm_except_dim(v, pow: int = 2, dim: int = 0) -> Tensor:
    """Norms over all axes but `dim`, kept as 1; of everything for dim=-1."""
    if dim == -1:
        return vector_norm(v, pow)
    others = tuple(a for a in range(v.ndim) if a != dim)
    return vector_norm(v, pow, others, True)


def cross(input, other, *, dim=-1) -> Tensor:
    """Cross product of vectors of 3 elements along `dim`.  Source: torch.linalg.cross.

    >>> import rushlight as rl
    >>> rl.linalg.cross(rl.tensor([1.0, 0.0, 0.0]), rl.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    rank = max(input.ndim, other.ndim)
    if input.ndim != other.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {input.ndim} and "
            f"{other.ndim}"
        )
    axis = wrap_axis(dim, rank)
    if input._node.shape[axis] != 3 or other._node.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {axis} must have length 3. Got "
            f"{input._node.shape[axis]} and {other._node.shape[axis]}"
        )

    def turned(x: Tensor, shift: int) -> Tensor:
        return x.roll(-shift, axis)

    return sub(mul(turned(input, 1), turned(other, 2)), mul(turned(input, 2), turned(other, 1)))


def _top_cross(input, other, dim=None) -> Tensor:
    """Cross product along `dim`, by default the first axis of size 3.  Source: torch.cross."""
    if dim is None:
        shape = input._node.shape
        found = [a for a, n in enumerate(shape) if n == 3 and other._node.shape[a] == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    return cross(input, other, dim=dim)


_top_cross.__name__ = _top_cross.__qualname__ = "cross"
spelled(method=True, out=True)(_top_cross)
