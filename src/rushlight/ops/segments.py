"""Reductions of neighboring elements in groups of different lengths.  Level 11.

In: how long the groups are, or where they begin.  Out: one result for each.  The lengths are read,
as they decide which elements belong together.  Source: torch.segment_reduce.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.base.dtypes import int32, int64
from rushlight.ops.creation import full
from rushlight.ops.promotion import refuse
from rushlight.ops.scatter import scatter_reduce
from rushlight.ops.spelling import spelled
from rushlight.tensor.interop import read_array
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

# Reduction -> (name of `scatter_reduce`, result of no elements).
_KINDS = {
    "sum": ("sum", 0.0),
    "mean": ("sum", 0.0),
    "prod": ("prod", 1.0),
    "max": ("amax", -math.inf),
    "min": ("amin", math.inf),
}


@spelled()
def segment_reduce(
    data: Any,
    reduce: str,
    *,
    lengths: Any = None,
    indices: Any = None,
    offsets: Any = None,
    axis: int = 0,
    unsafe: bool = False,
    initial: float | None = None,
) -> Tensor:
    """Each group of neighbors along an axis as one element.

    Shapes: data (*B, n, ...) with n at `axis`; lengths (*B, groups); offsets (*B, groups + 1).
    reduce: "sum", "mean", "prod", "max" or "min".  unsafe: the lengths are not checked.
    initial: what a reduction begins with, and gives for no elements.
    Dtypes: floating.  Raises: RuntimeError for lengths that do not fit.
    """
    refuse("segment_reduce", data, bool_=True, complex_=True)
    if reduce not in _KINDS:
        raise RuntimeError(f"segment_reduce: unknown reduction {reduce!r}; there are {[*_KINDS]}")
    if (lengths is None) == (offsets is None):
        raise RuntimeError("segment_reduce: give either lengths or offsets")
    axis = axis % data.dim()
    if lengths is not None:
        counts = read_array(lengths)
    else:
        counts = np.diff(read_array(offsets), axis=-1)
    size = data.shape[axis]
    if not unsafe and ((counts < 0).any() or (counts.sum(-1) != size).any()):
        raise RuntimeError(
            f"segment_reduce: expected all rows of lengths along axis to sum to {size}, the size of"
            f" data along axis {axis}, and none to be negative"
        )
    name, empty = _KINDS[reduce]
    start = empty if initial is None else float(initial)
    groups = counts.shape[-1]
    shape = [*data.shape]
    shape[axis] = groups
    made = full(tuple(shape), start, dtype=data.dtype, device=data.device)
    found = scatter_reduce(made, axis, _owners(counts, size, data, axis), data, name)
    if reduce != "mean":
        return found
    divisor = tensor_from_numpy(np.ascontiguousarray(counts.astype(np.int64)), int64)
    divisor = divisor.reshape(*counts.shape, *[1] * (data.dim() - axis - 1))  # type: ignore[attr-defined]
    if initial is None:
        return found / divisor.to(data.dtype)  # of no elements: 0 / 0
    return found / divisor.clamp(min=1).to(data.dtype)


def _owners(counts: np.ndarray, size: int, data: Any, axis: int) -> Any:
    """For each element, the number of its group: int64 of data's shape."""
    rows = counts.reshape(-1, counts.shape[-1])
    numbers = [np.repeat(np.arange(len(row)), row)[:size] for row in rows]
    owners = tensor_from_numpy(np.stack(numbers).astype(np.int64), int64)
    placed: Any = owners.reshape(*counts.shape[:-1], size, *[1] * (data.dim() - axis - 1))  # type: ignore[attr-defined]
    return placed.expand(data.shape)


@spelled()
def _convert_indices_from_coo_to_csr(input: Any, size: int, *, out_int32: bool = False) -> Tensor:
    """Where the elements of each row begin, from their sorted row numbers: (size + 1,)."""
    counts = np.bincount(read_array(input), minlength=size)
    begins = np.concatenate([[0], np.cumsum(counts)])
    dtype = int32 if out_int32 else int64
    return tensor_from_numpy(begins.astype(dtype.numpy), dtype)


@spelled()
def _convert_indices_from_csr_to_coo(
    crow_indices: Any, col_indices: Any, *, out_int32: bool = False, transpose: bool = False
) -> Tensor:
    """Row and column of each element, from where its row begins: (2, n)."""
    begins, columns = read_array(crow_indices), read_array(col_indices)
    rows = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    dtype = int32 if out_int32 else int64
    pair = (columns, rows) if transpose else (rows, columns)
    return tensor_from_numpy(np.stack(pair).astype(dtype.numpy), dtype)


@spelled()
def _shape_as_tensor(self: Any) -> Tensor:
    """The sizes of the axes: int64 (ndim,)."""
    return tensor_from_numpy(np.array(self.shape, dtype=np.int64), int64)
