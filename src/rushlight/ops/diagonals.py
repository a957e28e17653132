"""Diagonals, triangles, and writing into a part of a copy.  Level 11."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import bool_, int64
from rushlight.base.shapes import contiguous_strides, numel, wrap_axis
from rushlight.base.windows import checked_position
from rushlight.ops.promotion import check_tensor, is_number, to_dtype
from rushlight.ops.shaping import axis_of, diagonal
from rushlight.ops.spelling import spelled, write_result
from rushlight.primitives import movement as p
from rushlight.primitives.elementwise import cast
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


@spelled(method=True, out=True)
def diag(input, diagonal=0) -> Tensor:
    """A matrix's diagonal, or a matrix with the vector on its diagonal.  Source: torch.diag."""
    check_tensor("diag", input)
    rank = len(input._node.shape)
    if rank == 1:
        return diag_embed(input, diagonal)
    if rank == 2:
        return named(p.copy(_diagonal(input, diagonal)), "DiagonalBackward0_copy")
    raise RuntimeError(
        f"diag(): Supports 1D or 2D tensors. Got {rank}D; see torch.diagonal for more axes"
    )


def _diagonal(input: Tensor, offset: int) -> Tensor:
    return diagonal(input, offset)


@spelled(method=True)
def diagflat(input, offset=0) -> Tensor:
    """A matrix with all elements on its diagonal.  Source: torch.diagflat."""
    check_tensor("diagflat", input)
    return diag_embed(p.reshape(input, (numel(input._node.shape),)), offset)


@spelled(method=True)
def diag_embed(input, offset=0, dim1=-2, dim2=-1) -> Tensor:
    """Matrices with the last axis on their diagonals.  Source: torch.diag_embed."""
    check_tensor("diag_embed", input)
    shape = input._node.shape
    rank = len(shape) + 1
    first, second = wrap_axis(dim1, rank), wrap_axis(dim2, rank)
    if first == second or not shape:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = shape[-1] + abs(offset)
    rest = iter(shape[:-1])
    final = tuple([size if a in (first, second) else next(rest) for a in range(rank)])
    strides = contiguous_strides(final)
    kept = [strides[a] for a in range(rank) if a not in (first, second)]
    start = offset * strides[second] if offset >= 0 else -offset * strides[first]
    along = strides[first] + strides[second]
    offset_leaf = input._scalar(start, int64)
    return p.strided_add(input, offset_leaf, shape, (*kept, along), final)


@spelled(method=True)
def trace(input) -> Tensor:
    """Sum of the diagonal of a matrix.  Source: torch.trace."""
    check_tensor("trace", input)
    if len(input._node.shape) != 2:
        raise RuntimeError(
            f"trace: expected a matrix, but got tensor with dim {len(input._node.shape)}"
        )
    along = diagonal(input)
    if not along._node.dtype.is_inexact:
        along = cast(along, int64)
    return named(reduce_sum(along, (0,), False), "TraceBackward0")


# ---- a copy with one part replaced ---------------------------------------------------------------


def _with_window(input: Tensor, src: Tensor, offset: int, size, strides) -> Tensor:
    src = to_dtype(src, input._node.dtype)
    return p.strided_write(input, src, input._scalar(offset, int64), tuple(size), tuple(strides))


def _check_part(name: str, src: Tensor, size) -> None:
    check_tensor(name, src, "src")
    if src._node.shape != tuple(size):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src._node.shape)}, slice size = {list(size)}"
        )


@spelled(method=True, out=True)
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1) -> Tensor:
    """A copy with a diagonal replaced.  Source: torch.diagonal_scatter."""
    check_tensor("diagonal_scatter", input)
    copy = p.copy(input)
    part = diagonal(copy, offset, dim1, dim2)
    _check_part("diagonal_scatter", src, part._node.shape)
    write_result(part, to_dtype(src, input._node.dtype))
    return copy


@spelled(method=True, out=True)
def select_scatter(input, src, dim, index) -> Tensor:
    """A copy with one position of an axis replaced.  Source: torch.select_scatter."""
    check_tensor("select_scatter", input)
    axis = axis_of(input, dim)
    shape = input._node.shape
    index = checked_position(int(index), shape[axis], axis)
    size = shape[:axis] + shape[axis + 1 :]
    _check_part("select_scatter", src, size)
    strides = contiguous_strides(shape)
    return _with_window(
        input, src, index * strides[axis], size, strides[:axis] + strides[axis + 1 :]
    )


@spelled(method=True, out=True)
def slice_scatter(input, src, dim=0, start=None, end=None, step=1) -> Tensor:
    """A copy with a slice of an axis replaced.  Source: torch.slice_scatter."""
    check_tensor("slice_scatter", input)
    axis = axis_of(input, dim)
    shape = input._node.shape
    if step <= 0:
        raise ValueError("slice_scatter: step must be greater than zero")
    begin, stop, step = slice(start, end, step).indices(shape[axis])
    count = max(0, (stop - begin + step - 1) // step)
    size = (*shape[:axis], count, *shape[axis + 1 :])
    _check_part("slice_scatter", src, size)
    strides = contiguous_strides(shape)
    spaced = (*strides[:axis], strides[axis] * step, *strides[axis + 1 :])
    return _with_window(input, src, begin * strides[axis], size, spaced)


@spelled(method="fill_diagonal_", function=False)
def fill_diagonal_(self, fill_value, wrap=False) -> Tensor:
    """Write a number on the main diagonal, in place.  Source: torch.Tensor.fill_diagonal_."""
    shape = self._node.shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) != 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    if not is_number(fill_value):
        fill_value = fill_value.item()
    step = sum(contiguous_strides(shape))
    count = min(shape)
    if wrap and len(shape) == 2:
        count = -(-numel(shape) // step)
    mask = np.zeros(numel(shape), np.bool_)
    mask[: count * step : step] = True
    self.masked_fill_(tensor_from_numpy(mask.reshape(shape), bool_), fill_value)
    return self
