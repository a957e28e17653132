"""Distances and similarities between vectors.  Level 11."""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.shapes import broadcast_shapes, wrap_axis
from rushlight.ops.arithmetic import sub
from rushlight.ops.magnitude import norm_along
from rushlight.ops.promotion import (
    as_inexact,
    check_tensor,
    constant,
    is_followed,
    result_dtype,
    to_dtype,
    widened,
)
from rushlight.ops.selection import positions
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import indexing as pi
from rushlight.primitives.movement import expand, reshape
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def power_norm(x: Tensor, order: float, axis: int, keepdim: bool) -> Tensor:
    """The norm over an axis, with gradient 0 (not NaN) where it is 0.  16-bit: in float32."""
    dtype = x._node.dtype.to_real()
    if x._node.shape[axis] == 0 and order == math.inf:
        order = 1.0  # an empty sum: 0
    return to_dtype(norm_along(widened(x), order, (axis,), keepdim), dtype)


def _distance_along_last(difference: Tensor, order: float) -> Tensor:
    """power_norm over the last axis; every coordinate that attains a maximum takes all of its
    cotangent, where `amax` would share it: PyTorch's cdist and pdist."""
    axis = difference.ndim - 1
    found = power_norm(difference, order, axis, False)
    if order != math.inf or not is_followed(difference) or difference._node.shape[axis] == 0:
        return found
    still = constant(found)
    attained = e.eq(e.absolute(constant(difference)), reshape(still, (*still._node.shape, 1)))
    ties = reduce_sum(e.cast(attained, still._node.dtype), (axis,), False)
    # 0, with the slope that is missing; an infinite distance has none to add.
    more = e.mul(e.sub(ties, ties._scalar(1.0)), e.sub(found, still))
    alone = e.bitwise_or(e.le(ties, ties._scalar(1.0)), e.eq(still, still._scalar(math.inf)))
    return e.where(alone, found, e.add(found, more))


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False) -> Tensor:
    """Norms of x1 - x2 + eps over the last axis.  Source: torch.nn.functional.pairwise_distance."""
    check_tensor("pairwise_distance", x1, "x1")
    check_tensor("pairwise_distance", x2, "x2")
    difference = as_inexact("pairwise_distance", sub(x1, x2))
    difference = e.add(difference, difference._scalar(eps))
    found = power_norm(difference, float(p), len(difference._node.shape) - 1, bool(keepdim))
    return named(found, "NormBackward1")


@spelled()
def cosine_similarity(x1, x2, dim=1, eps=1e-8) -> Tensor:
    """Cosine of the angle between vectors along an axis; norms are at least eps.

    Shapes: broadcast.  Source: torch.nn.functional.cosine_similarity.
    """
    check_tensor("cosine_similarity", x1, "x1")
    check_tensor("cosine_similarity", x2, "x2")
    dtype = result_dtype(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {dtype}"
        )
    shape = broadcast_shapes(x1._node.shape, x2._node.shape)
    axis = wrap_axis(dim, len(shape))
    if not shape:
        found = cosine_similarity(reshape(x1, (1,)), reshape(x2, (1,)), 0, eps)
        return reshape(found, ())
    parts = []
    for x in (to_dtype(x1, dtype), to_dtype(x2, dtype)):
        x = expand(x, shape) if x._node.shape != shape else x
        size = power_norm(x, 2, axis, True)
        parts.append(e.div(x, e.maximum(size, size._scalar(eps))))
    return named(reduce_sum(e.mul(*parts), (axis,), False), "SumBackward1")


def _check_cdist(x1, x2, order: float) -> None:
    for name, x in (("X1", x1), ("X2", x2)):
        check_tensor("cdist", x, name)
        if not x._node.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {x._node.dtype}"
            )
        if len(x._node.shape) < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, {name} got: {len(x._node.shape)}D"
            )
    if x1._node.shape[-1] != x2._node.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1._node.shape[-1]} X2: "
            f"{x2._node.shape[-1]}"
        )
    if order < 0:
        raise RuntimeError("cdist only supports non-negative p values")


@spelled()
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """Distances between all rows of two batches.  Shapes: (..., m, k), (..., n, k) -> (..., m, n).

    Source: torch.cdist.
    """
    order = float(p)
    _check_cdist(x1, x2, order)
    dtype = result_dtype(x1, x2)
    x, y = to_dtype(x1, dtype), to_dtype(x2, dtype)
    m, n = x._node.shape, y._node.shape
    x = reshape(x, (*m[:-1], 1, m[-1]))
    y = reshape(y, (*n[:-2], 1, *n[-2:]))
    difference = e.sub(x, y)
    return named(_distance_along_last(difference, order), "CdistBackward0")


@spelled()
def pdist(input, p=2.0) -> Tensor:
    """Distances between all pairs of rows.  Source: torch.nn.functional.pdist."""
    check_tensor("pdist", input)
    if len(input._node.shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(input._node.shape)}D")
    if not input._node.dtype.is_floating_point:
        raise RuntimeError(f"pdist only supports floating-point dtypes, got {input._node.dtype}")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = np.triu_indices(input._node.shape[0], 1)
    x, y = [pi.take(input, positions(i), 0) for i in (first, second)]
    return named(_distance_along_last(e.sub(x, y), float(p)), "PdistBackward0")
