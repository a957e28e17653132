"""Sums, products, means and logic along axes.  Level 11.

`dim` is None (all axes), an int, or several; NumPy's names `axis` and `keepdims` are accepted too.
"""

from __future__ import annotations

import functools

from rushlight.base.dtypes import bool_, dtype_argument, int64, uint8
from rushlight.base.hot import hot
from rushlight.base.shapes import numel, wrap_axes, wrap_axis
from rushlight.ops.promotion import as_inexact, check_tensor, constant, to_dtype, widened
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import reduction as p
from rushlight.primitives.elementwise import cast, div
from rushlight.primitives.movement import reshape
from rushlight.tensor.apply import apply_number
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def numpy_names(function):
    """Accept `axis` for `dim` and `keepdims` for `keepdim`, as PyTorch does."""

    @functools.wraps(function)
    @hot
    def accepting(*args, **kwargs):
        if kwargs:
            if "axis" in kwargs:
                kwargs["dim"] = kwargs.pop("axis")
            if "keepdims" in kwargs:
                kwargs["keepdim"] = kwargs.pop("keepdims")
        return function(*args, **kwargs)

    return accepting


@hot
def accumulating_dtype(x: Tensor, dtype):
    """Sums of integers and bool are int64 unless told otherwise."""
    if dtype is not None:
        return dtype_argument(dtype)
    own = x._node.dtype
    return own if own.is_inexact else int64


@hot
def count_along(x: Tensor, axes: tuple[int, ...]) -> int:
    """Number of elements that reducing over `axes` combines."""
    shape = x._node.shape
    count = 1
    for axis in axes:
        count *= shape[axis]
    return count


@spelled(method=True, out=True)
@numpy_names
@hot
def sum(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:  # noqa: A001 - PyTorch's name
    """Sum over `dim` (an int, several, or all).

    Shapes: the reduced axes vanish, or are 1 with keepdim.  Dtypes: integers sum in int64.
    Raises: IndexError for an axis out of range.  Source: torch.sum.
    """
    check_tensor("sum", input)
    axes = wrap_axes(dim, input.ndim)
    target = accumulating_dtype(input, dtype)
    if target is bool_:  # of truth values, the sum says whether one of them is true
        return cast(sum(to_dtype(input, bool_), dim, keepdim), bool_)
    if input._node.dtype is not target:
        input = cast(input, target)
    found = p.reduce_sum(input, axes, bool(keepdim))
    return found if dim is None else named(found, "SumBackward1")


@spelled(method=True, out=True)
@numpy_names
@hot
def mean(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """Arithmetic mean over `dim`.  Raises: RuntimeError for integers.  Source: torch.mean."""
    check_tensor("mean", input)
    if dtype is not None:
        input = to_dtype(input, dtype_argument(dtype))
    own = input._node.dtype
    if not own.is_inexact:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {own}"
        )
    axes = wrap_axes(dim, input.ndim)
    total = p.reduce_sum(widened(input), axes, bool(keepdim))
    found = to_dtype(apply_number(e.div, total, count_along(input, axes)), own)
    return named(found, "MeanBackward0" if dim is None else "MeanBackward1")


@spelled(method=True, out=True)
@numpy_names
def nansum(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """Sum, NaN counting as 0.  Source: torch.nansum."""
    check_tensor("nansum", input)
    if input._node.dtype.is_complex:
        raise RuntimeError("nansum does not support complex inputs")
    if input._node.dtype.is_inexact:
        input = e.where(e.ne(input, input), input._scalar(0.0), input)
    return named(sum(input, dim, keepdim, dtype=dtype), "NansumBackward0")


@spelled(method=True, out=True)
@numpy_names
def nanmean(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """Mean of the elements that are not NaN.  Source: torch.nanmean."""
    check_tensor("nanmean", input)
    if input._node.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if not input._node.dtype.is_floating_point:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got "
            f"{input._node.dtype}"
        )
    present = e.eq(input, input)
    kept = e.where(present, input, input._scalar(0.0))
    total = sum(kept, dim, keepdim, dtype=dtype)
    return div(total, cast(sum(present, dim, keepdim), total._node.dtype))


@spelled(method=True, out=True)
@numpy_names
def prod(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """Product over one axis or all.  Dtypes: integers multiply in int64.  Source: torch.prod."""
    check_tensor("prod", input)
    axes = tuple(range(input.ndim))
    if dim is not None:
        axes = (wrap_axis(dim, input.ndim),) if input.ndim else _checked_no_axis(dim)
    found = p.reduce_prod(to_dtype(input, accumulating_dtype(input, dtype)), axes, bool(keepdim))
    return found if dim is None else named(found, "ProdBackward1")


def _checked_no_axis(dim) -> tuple[int, ...]:
    """A 0-d tensor has one virtual axis, over which nothing is left to reduce."""
    wrap_axis(dim, 0)
    return ()


def _logical_reduction(name: str, primitive, what: str):
    def reduce(input, dim=None, keepdim=False) -> Tensor:
        check_tensor(name, input)
        own = input._node.dtype
        truth = input if own is bool_ else e.ne(input, input._scalar(0))
        axes = wrap_axes(dim, input.ndim, all_if_empty=False)
        found = primitive(truth, axes, bool(keepdim))
        # uint8 was PyTorch's first boolean, and stays what it was.
        return cast(found, uint8) if own is uint8 else found

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = f"Whether {what} is nonzero along `dim`.  Source: torch.{name}."
    return spelled(method=True, out=True)(numpy_names(reduce))


any = _logical_reduction("any", p.reduce_max, "any element")  # noqa: A001 - PyTorch's name
all = _logical_reduction("all", p.reduce_min, "every element")  # noqa: A001 - PyTorch's name


@spelled(method=True)
def count_nonzero(input, dim=None) -> Tensor:
    """Number of elements that are not 0.  Source: torch.count_nonzero."""
    check_tensor("count_nonzero", input)
    return sum(e.ne(input, input._scalar(0)), dim)


def _refuse_empty(name: str, x: Tensor, axes: tuple[int, ...]) -> None:
    for axis in axes:
        if x._node.shape[axis] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _extremum(name: str, primitive, what: str):
    def reduce(input, dim=(), keepdim=False) -> Tensor:
        check_tensor(name, input)
        if input._node.dtype.is_complex:
            raise NotImplementedError(f"{name} not implemented for '{input._node.dtype.name}'")
        axes = wrap_axes(dim, input.ndim)
        if numel(input._node.shape) == 0 and dim in ((), []):
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
                "the reduction dim with the 'dim' argument."
            )
        _refuse_empty(name, input, axes)
        return primitive(input, axes, bool(keepdim))

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = (
        f"The {what} element along `dim`; equal ones share the gradient.  "
        f"Raises: IndexError for an axis of size 0.  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(numpy_names(reduce))


amax = _extremum("amax", p.reduce_max, "largest")
amin = _extremum("amin", p.reduce_min, "smallest")


@spelled(method=True, out=True)
@numpy_names
def logsumexp(input, dim, keepdim=False) -> Tensor:
    """log(sum(exp(input))) without overflow.  Source: torch.logsumexp.

    >>> import rushlight as rl
    >>> rl.special.logsumexp(rl.tensor([0.5, 1.0, 2.0]), 0)
    tensor(2.4644)
    """
    x = as_inexact("logsumexp", input)
    axes = wrap_axes(dim, x.ndim)
    keepdim = bool(keepdim)
    if numel(x._node.shape) == 0:
        return e.log(p.reduce_sum(e.exp(x), axes, keepdim))
    if x._node.dtype.is_complex:
        peak = p.reduce_max(e.real(constant(x)), axes, True)
    else:
        peak = p.reduce_max(constant(x), axes, True)
    # An infinite maximum must not be subtracted: inf - inf is NaN.
    peak = e.where(e.eq(e.absolute(peak), peak._scalar(float("inf"))), peak._scalar(0.0), peak)
    peak = to_dtype(peak, x._node.dtype)
    total = e.log(p.reduce_sum(e.exp(e.sub(x, peak)), axes, keepdim))
    if not keepdim:
        peak = reshape(peak, total._node.shape)
    return named(e.add(total, peak), "LogsumexpBackward0")
