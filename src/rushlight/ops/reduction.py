"""Sums and other reductions.  Level 11."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import wrap_axes
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives import reduction as p
from rushlight.primitives.elementwise import cast, div
from rushlight.tensor.tensor import Tensor


def accumulating_dtype(x: Tensor, dtype):
    """Sums of integers and bool are int64 unless told otherwise."""
    if dtype is not None:
        return dtype
    own = x._node.dtype
    return own if own.is_inexact else int64


@spelled(method=True, out=True)
def sum(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:  # noqa: A001 - PyTorch's name
    """Sum over `dim` (an int, several, or all).

    Shapes: the reduced axes vanish, or are 1 with keepdim.  Dtypes: integers sum in int64.
    Raises: IndexError for an axis out of range.  Source: torch.sum.
    """
    check_tensor("sum", input)
    axes = wrap_axes(dim, input.ndim)
    target = accumulating_dtype(input, dtype)
    if input._node.dtype is not target:
        input = cast(input, target)
    return p.reduce_sum(input, axes, bool(keepdim))


@spelled(method=True, out=True)
def mean(input, dim=None, keepdim=False, *, dtype=None) -> Tensor:
    """Arithmetic mean over `dim`.  Raises: RuntimeError for integers.  Source: torch.mean."""
    check_tensor("mean", input)
    if dtype is not None:
        input = cast(input, dtype)
    if not input._node.dtype.is_inexact:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {input._node.dtype}"
        )
    axes = wrap_axes(dim, input.ndim)
    shape = input._node.shape
    count = 1
    for axis in axes:
        count *= shape[axis]
    total = p.reduce_sum(input, axes, bool(keepdim))
    return div(total, total._scalar(count))
