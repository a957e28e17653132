"""Sums, norms and softmax of sparse tensors.  Level: sparse (12)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import DType
from rushlight.ops.creation import full
from rushlight.sparse.structure import (
    COO,
    added_at,
    axis_of,
    by_coordinates,
    coalesce,
    coo,
    in_form,
    keys_of,
    sparse_shape,
)
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor


def sum(
    input: SparseTensor,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: DType | None = None,
) -> Tensor:
    """Sum of all elements, or along axes; dense once no sparse axis is left.

    Raises: RuntimeError for compressed layouts without keepdim, as PyTorch.
    Source: torch.sparse.sum, torch.sum.
    """
    if dim is None:
        return input.elements.sum(dtype=dtype)
    if input.form is not COO and not keepdim:
        raise RuntimeError(
            "reduction operations on CSR tensors with keepdim=False is unsupported; use keepdim="
            "True, or to_sparse_coo()"
        )
    x = coalesce(by_coordinates(input))
    elements = x.elements if dtype is None else x.elements.to(dtype)
    named: Sequence[Any] = dim if isinstance(dim, (tuple, list)) else [dim]
    gone = sorted({axis_of(x, axis) for axis in named})
    axes = x.sparse_axes
    dense = tuple(axis - axes + 1 for axis in gone if axis >= axes)
    if dense:
        elements = elements.sum(dense)
    kept = [axis for axis in range(axes) if axis not in gone]
    shape = [n for axis, n in enumerate(x._node.shape) if axis not in gone]
    if not kept:
        found: Tensor = elements.sum(0)
    elif len(kept) == axes:
        found = SparseTensor(COO, x.places, elements, tuple(shape), x.coalesced)
    else:
        places = array_of(x.places[0])[kept]
        found = coalesce(coo(places, elements, shape, False))
    if keepdim:
        for axis in gone:
            found = found.unsqueeze(axis)
        if input.form is not COO and isinstance(found, SparseTensor):
            return in_form(found, input.form)
    return found


def norm(input: SparseTensor, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """Norm of all elements.  Raises: RuntimeError along axes.  Source: torch.norm."""
    if dim is not None:
        raise RuntimeError("norm_sparse currently only supports full reductions, so 'dim' is None")
    x = coalesce(input) if input.form is COO else input
    return x.elements.reshape(-1).norm(2.0 if p == "fro" else p)


def softmax(input: SparseTensor, dim: int, dtype: DType | None = None) -> SparseTensor:
    """Softmax along an axis over the elements that are there: the others count as -inf.

    Source: torch.sparse.softmax.
    """
    return _softmax(input, dim, dtype, False)


def log_softmax(input: SparseTensor, dim: int, dtype: DType | None = None) -> SparseTensor:
    """Logarithm of `softmax`.  Source: torch.sparse.log_softmax."""
    return _softmax(input, dim, dtype, True)


def _softmax(input: SparseTensor, dim: int, dtype: DType | None, log: bool) -> SparseTensor:
    if not isinstance(input, SparseTensor) or input.form is not formats.sparse_coo:
        raise RuntimeError("sparse.softmax: expected a sparse tensor in the coordinate layout")
    x = coalesce(input)
    axis = axis_of(x, dim)
    elements = x.elements if dtype is None else x.elements.to(dtype)
    axes = x.sparse_axes
    if axis >= axes:
        along = axis - axes + 1
        return x.with_elements(elements.log_softmax(along) if log else elements.softmax(along))
    numbers, count = _pools(x, axis)
    group = index_tensor(numbers)
    flat = elements.detach()
    most = full((count, *flat.shape[1:]), -math.inf, dtype=flat.dtype)
    wide = group.reshape(-1, *[1] * (flat.dim() - 1)).expand(*flat.shape)
    most = most.scatter_reduce(0, wide, flat, "amax")
    shifted = elements - most.index_select(0, group)
    weights = shifted.exp()
    totals = added_at(count, numbers, weights).index_select(0, group)
    return x.with_elements(shifted - totals.log() if log else weights / totals)


def _pools(x: SparseTensor, axis: int) -> tuple[np.ndarray, int]:
    """Of each element the number of its line along `axis`, and how many lines there are."""
    extent = sparse_shape(x)
    keys = keys_of(x)
    inner = math.prod(extent[axis + 1 :])
    lines = keys // (inner * max(extent[axis], 1)) * inner + keys % max(inner, 1)
    unique, numbers = np.unique(lines, return_inverse=True)
    return numbers.reshape(-1), unique.size


FUNCTIONS.update({"sum": sum, "norm": norm})
