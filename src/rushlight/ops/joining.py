"""Joining tensors, repeating and rearranging their elements: copies, never views.  Level 11."""

from __future__ import annotations

import itertools
import operator

import numpy as np

from rushlight.base.dtypes import int64, promote_types
from rushlight.base.shapes import contiguous_strides, numel, wrap_axes, wrap_axis
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import filled, value_of
from rushlight.ops.formats import as_picture, in_rows, resulting, row_major
from rushlight.ops.promotion import check_tensor, result_dtype, to_dtype
from rushlight.ops.shaping import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    axis_of,
    expanded,
    reshaped,
    sizes_from,
)
from rushlight.ops.spelling import spelled
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as p
from rushlight.primitives.elementwise import mul
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _sequence_of_tensors(name: str, tensors) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (tuple, list)):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    for place, one in enumerate(tensors):
        if not isinstance(one, Tensor):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got {type(one).__name__}"
            )
    return list(tensors)


def _common_dtype(tensors: list[Tensor]) -> list[Tensor]:
    dtype = tensors[0]._node.dtype
    if all([x._node.dtype is dtype for x in tensors]):
        return tensors
    dtype = result_dtype(*tensors)
    return [to_dtype(x, dtype) for x in tensors]


@spelled(out=True, aliases=("concat", "concatenate"))
def cat(tensors, dim=0, *, axis=None) -> Tensor:
    """Tensors one after the other along an axis.

    Shapes: equal but for that axis; 1-d tensors without elements are ignored.  Dtypes: promoted.
    Raises: RuntimeError.  Source: torch.cat.
    """
    tensors = _sequence_of_tensors("cat", tensors)
    dim = dim if axis is None else axis
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for place, x in enumerate(tensors):
        if not x._node.shape:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {place}) cannot be concatenated"
            )
    tensors = _common_dtype(tensors)
    present = [x for x in tensors if x._node.shape != (0,)]
    if not present:
        wrap_axis(dim, 1)
        return p.concatenate(tensors, 0) if len(tensors) > 1 else p.copy(tensors[0])
    shape = present[0]._node.shape
    along = wrap_axis(dim, len(shape))
    for place, x in enumerate(present):
        _check_joins(x._node.shape, shape, along, place)
    if len(present) > 1:
        return p.concatenate(present, along)
    return named(as_picture(p.copy(present[0]), present[0]), "CatBackward0")


def _check_joins(given, shape, axis: int, place: int) -> None:
    if given == shape:
        return
    if len(given) != len(shape):
        raise RuntimeError(
            f"Tensors must have same number of dimensions: got {len(shape)} and {len(given)}"
        )
    for k, (m, n) in enumerate(zip(shape, given)):
        if k != axis and m != n:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected size {m} but "
                f"got size {n} for tensor number {place} in the list."
            )


@spelled(out=True)
def stack(tensors, dim=0) -> Tensor:
    """Tensors of one shape along a new axis.  Raises: RuntimeError.  Source: torch.stack."""
    tensors = _sequence_of_tensors("stack", tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0]._node.shape
    for place, x in enumerate(tensors):
        if x._node.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x._node.shape)} at entry {place}"
            )
    axis = wrap_axis(dim, len(shape) + 1)
    tensors = _common_dtype(tensors)
    lifted = (*shape[:axis], 1, *shape[axis:])
    parts = [p.reshape(x, lifted) for x in tensors]
    found = p.concatenate(parts, axis) if len(parts) > 1 else as_picture(parts[0], parts[0])
    return named(found, "StackBackward0")


@spelled(out=True)
def hstack(tensors) -> Tensor:
    """Tensors joined along the second axis, vectors along their only one.  Source: torch.hstack."""
    parts = atleast_1d(_sequence_of_tensors("hstack", tensors))
    if not parts:
        raise RuntimeError("hstack expects a non-empty TensorList")
    return cat(list(parts), 0 if len(parts[0]._node.shape) == 1 else 1)


@spelled(out=True, aliases=("row_stack",))
def vstack(tensors) -> Tensor:
    """Tensors joined as rows.  Source: torch.vstack."""
    parts = atleast_2d(_sequence_of_tensors("vstack", tensors))
    if not parts:
        raise RuntimeError("vstack expects a non-empty TensorList")
    return cat(list(parts), 0)


@spelled(out=True)
def dstack(tensors) -> Tensor:
    """Tensors joined along the third axis.  Source: torch.dstack."""
    parts = atleast_3d(_sequence_of_tensors("dstack", tensors))
    if not parts:
        raise RuntimeError("dstack expects a non-empty TensorList")
    return cat(list(parts), 2)


@spelled(out=True)
def column_stack(tensors) -> Tensor:
    """Vectors as columns, joined with matrices.  Source: torch.column_stack."""
    tensors = _sequence_of_tensors("column_stack", tensors)
    if not tensors:
        raise RuntimeError("column_stack expects a non-empty TensorList")
    return hstack([x if x.ndim > 1 else reshaped(x, (numel(x._node.shape), 1)) for x in tensors])


@spelled()
def block_diag(*tensors) -> Tensor:
    """A matrix with the given matrices on its diagonal.  Source: torch.block_diag."""
    if not tensors:
        return filled((1, 0), 0, result_dtype(0.0))
    tensors = _sequence_of_tensors("block_diag", list(tensors))
    for place, x in enumerate(tensors):
        if len(x._node.shape) > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {place} "
                f"has {len(x._node.shape)} dimensions"
            )
    dtype = tensors[0]._node.dtype
    for x in tensors:
        dtype = promote_types(dtype, x._node.dtype)
    blocks = [to_dtype(x, dtype) for x in atleast_2d(tensors)]
    rows = sum([x._node.shape[0] for x in blocks])
    columns = sum([x._node.shape[1] for x in blocks])
    result = filled((rows, columns), 0, dtype)
    at = 0
    for x in blocks:
        if numel(x._node.shape):
            result = p.strided_write(
                result, x, result._scalar(at, int64), x._node.shape, (columns, 1)
            )
        at += x._node.shape[0] * columns + x._node.shape[1]
    return result


# ---- repeating -----------------------------------------------------------------------------------


@spelled(method=True, function=False)
def repeat(input, *repeats, **keywords) -> Tensor:
    """The tensor repeated along each axis.  Raises: RuntimeError.  Source: torch.Tensor.repeat."""
    counts = sizes_from(repeats, keywords.get("repeats"))
    shape = input._node.shape
    if len(counts) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any(c < 0 for c in counts):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension: repeats {list(counts)}"
        )
    shape = (1,) * (len(counts) - len(shape)) + shape
    final = tuple([c * n for c, n in zip(counts, shape)])
    if final == input._node.shape:
        return named(p.copy(input), "RepeatBackward0")
    spread: list[int] = []
    wide: list[int] = []
    for c, n in zip(counts, shape):
        spread += [1, n]
        wide += [c, n]
    x = p.reshape(input, tuple(spread))
    return named(p.reshape(p.expand(x, tuple(wide)), final), "RepeatBackward0")


def tile(input, dims) -> Tensor:
    """As `repeat`; missing counts are 1.  Source: torch.tile."""
    check_tensor("tile", input)
    counts = sizes_from((dims,))
    return repeat(input, (1,) * (len(input._node.shape) - len(counts)) + counts)


@spelled(method="tile", function=False)
def _tile_method(input, *dims, **named) -> Tensor:
    """As `repeat`; missing counts are 1."""
    return tile(input, sizes_from(dims, named.get("dims")))


spelled()(tile)


@spelled(method=True)
@beside_input
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None) -> Tensor:
    """Each position repeated, neighbors staying together.

    repeats: an int, or an integer tensor with one count for each position (read: a flush).
    Source: torch.repeat_interleave.
    """
    check_tensor("repeat_interleave", input)
    if repeats is None:
        counts = value_of(input)
        _check_counts(input, counts)
        return _positions(np.repeat(np.arange(counts.shape[0]), counts))
    if dim is None:
        input = reshaped(input, (numel(input._node.shape),))
        dim = 0
    axis = axis_of(input, dim)
    if not input._node.shape:
        input = reshaped(input, (1,))
    shape = input._node.shape
    if isinstance(repeats, Tensor) and numel(repeats._node.shape) != 1:
        counts = value_of(repeats)
        _check_counts(repeats, counts)
        if counts.shape[0] != shape[axis]:
            raise RuntimeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = "
                f"{counts.shape[0]} and input.size({axis}) = {shape[axis]}"
            )
        return pi.take(input, _positions(np.repeat(np.arange(shape[axis]), counts)), axis)
    count = int(repeats) if isinstance(repeats, Tensor) else operator.index(repeats)
    if count < 0:
        raise RuntimeError(f"repeats can not be negative, got {count}")
    x = p.reshape(input, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
    x = p.expand(x, (*shape[: axis + 1], count, *shape[axis + 1 :]))
    return p.reshape(x, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))


def _check_counts(given: Tensor, counts) -> None:
    if given._node.dtype.name not in ("int64", "int32"):
        raise RuntimeError(f"repeats has to be Long or Int tensor, got {given._node.dtype}")
    if counts.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if counts.size and counts.min() < 0:
        raise RuntimeError("repeats can not be negative")


def _positions(array) -> Tensor:
    return tensor_from_numpy(np.ascontiguousarray(array, np.int64), int64)


# ---- rearranging ---------------------------------------------------------------------------------


def flipped(input: Tensor, axes) -> Tensor:
    """The elements in the opposite order along some axes."""
    shape = input._node.shape
    if not axes:
        return named(p.copy(input), "FlipBackward0")
    strides = list(contiguous_strides(shape))
    offset = 0
    for axis in axes:
        offset += (shape[axis] - 1) * strides[axis]
        strides[axis] = -strides[axis]
    found = p.strided_read(input, input._scalar(offset, int64), shape, tuple(strides))
    return named(found, "FlipBackward0")


def flip(input, dims) -> Tensor:
    """The elements in the opposite order along `dims`.  Source: torch.flip."""
    check_tensor("flip", input)
    return flipped(
        input, wrap_axes(sizes_from((dims,)), len(input._node.shape), all_if_empty=False)
    )


@spelled(method="flip", function=False)
def _flip_method(input, *dims, **named) -> Tensor:
    """The elements in the opposite order along `dims`."""
    return flip(input, sizes_from(dims, named.get("dims")))


spelled()(flip)


@spelled(method=True)
def fliplr(input) -> Tensor:
    """The columns in the opposite order.  Source: torch.fliplr."""
    check_tensor("fliplr", input)
    if len(input._node.shape) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flipped(input, (1,))


@spelled(method=True)
def flipud(input) -> Tensor:
    """The rows in the opposite order.  Source: torch.flipud."""
    check_tensor("flipud", input)
    if not input._node.shape:
        raise RuntimeError("Input must be >= 1-d.")
    return flipped(input, (0,))


@spelled(method=True)
@resulting(in_rows)
def roll(input, shifts, dims=None) -> Tensor:
    """The elements shifted along axes, coming in again at the other end.  Source: torch.roll."""
    check_tensor("roll", input)
    shifts = sizes_from((shifts,) if isinstance(shifts, (tuple, list)) else (int(shifts),))
    shape = input._node.shape
    if dims is None or dims in ((), []):
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        flat = p.reshape(input, (numel(shape),))
        return named(p.reshape(_rolled(flat, shifts[0], 0), shape), "RollBackward0")
    dims = sizes_from((dims,) if isinstance(dims, (tuple, list)) else (int(dims),))
    if len(dims) != len(shifts):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    for shift, dim in zip(shifts, dims):
        axis = axis_of(input, dim)
        if not shape:
            raise IndexError(f"roll: a 0-d tensor has no dimension {dim}")
        input = named(_rolled(input, shift, axis), "RollBackward0")
    return input


def _rolled(x: Tensor, shift: int, axis: int) -> Tensor:
    shape = x._node.shape
    size = shape[axis]
    if numel(shape) == 0 or shift % size == 0:
        return p.copy(x)
    shift %= size
    strides = contiguous_strides(shape)
    parts = []
    for start, count in ((size - shift, shift), (0, size - shift)):
        offset = x._scalar(start * strides[axis], int64)
        window = (*shape[:axis], count, *shape[axis + 1 :])
        parts.append(p.strided_read(x, offset, window, strides))
    return p.concatenate(parts, axis)


@spelled(method=True)
def rot90(input, k=1, dims=(0, 1)) -> Tensor:
    """Turned by k quarter circles in the plane of two axes.  Source: torch.rot90."""
    check_tensor("rot90", input)
    rank = len(input._node.shape)
    dims = sizes_from((dims,))
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if rank < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {rank}")
    first, second = wrap_axis(dims[0], rank), wrap_axis(dims[1], rank)
    if first == second:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    k %= 4
    if k == 0:
        return row_major(p.copy(input))
    if k == 2:
        return flipped(input, (first, second))
    axes = list(range(rank))
    axes[first], axes[second] = axes[second], axes[first]
    if k == 1:
        return p.permute(flipped(input, (second,)), tuple(axes))
    return flipped(p.permute(input, tuple(axes)), (second,))


# ---- grids and combinations ----------------------------------------------------------------------


@spelled()
def meshgrid(*tensors, indexing=None) -> tuple[Tensor, ...]:
    """Coordinate grids from vectors.  indexing: "ij" or "xy".  Source: torch.meshgrid."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    indexing = "ij" if indexing is None else indexing
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for x in tensors:
        check_tensor("meshgrid", x, "tensors")
        if len(x._node.shape) > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: "
                f"{list(x._node.shape)}"
            )
        if x._node.dtype is not tensors[0]._node.dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swapped = indexing == "xy" and len(tensors) >= 2
    order = list(tensors)
    if swapped:
        order[0], order[1] = order[1], order[0]
    sizes = tuple([numel(x._node.shape) for x in order])
    grids = []
    for axis, x in enumerate(order):
        lone = tuple([n if a == axis else 1 for a, n in enumerate(sizes)])
        grids.append(expanded(reshaped(x, lone), sizes))
    if swapped:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@spelled()
def cartesian_prod(*tensors) -> Tensor:
    """All tuples of elements, one from each vector, as rows.  Source: torch.cartesian_prod."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    for x in tensors:
        check_tensor("cartesian_prod", x, "tensors")
        if len(x._node.shape) != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x._node.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([reshaped(g, (numel(g._node.shape),)) for g in grids], 1)


@spelled()
def combinations(input, r=2, with_replacement=False) -> Tensor:
    """All r-subsets of a vector's elements, as rows.  Source: torch.combinations."""
    check_tensor("combinations", input)
    if len(input._node.shape) != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._node.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return filled((0,), 0, input._node.dtype)
    size = input._node.shape[0]
    grid = np.indices((size,) * r).reshape(r, -1)
    inside = np.ones(grid.shape[1], bool)
    for low, high in itertools.pairwise(grid):
        inside &= (low <= high) if with_replacement else (low < high)
    return pi.take(input, _positions(grid[:, inside].T), 0)


@spelled(method=True, out=True)
def kron(input, other) -> Tensor:
    """The Kronecker product.  Dtypes: promoted.  Source: torch.kron."""
    check_tensor("kron", input)
    check_tensor("kron", other, "other")
    dtype = result_dtype(input, other)
    x, y = to_dtype(input, dtype), to_dtype(other, dtype)
    rank = max(len(x._node.shape), len(y._node.shape))
    m = (1,) * (rank - len(x._node.shape)) + x._node.shape
    n = (1,) * (rank - len(y._node.shape)) + y._node.shape
    x_lifted: list[int] = []
    y_lifted: list[int] = []
    for a, b in zip(m, n):
        x_lifted += [a, 1]
        y_lifted += [1, b]
    product = mul(p.reshape(x, tuple(x_lifted)), p.reshape(y, tuple(y_lifted)))
    return p.reshape(product, tuple([a * b for a, b in zip(m, n)]))
