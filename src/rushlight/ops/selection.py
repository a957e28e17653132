"""Reading elements by index tensors, by masks and by search; counting.  Level 11.

Results whose size depends on values (nonzero, masked_select, unique, ...) read those values, a
flush; what carries gradients is then gathered, so that gradients flow.
"""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import bool_, float32, float64, int32, int64, narrow
from rushlight.base.orders import dense_order
from rushlight.base.shapes import broadcast_shapes, contiguous_strides, numel, wrap_axis
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import arithmetic_value, value_of
from rushlight.ops.formats import column_major, lying
from rushlight.ops.indexing import from_zero
from rushlight.ops.members import each_member
from rushlight.ops.promotion import check_tensor, is_number, result_dtype, to_dtype
from rushlight.ops.shaping import axis_of, expanded
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as p
from rushlight.primitives.ordering import searchsorted as searchsorted_primitive
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def positions(array) -> Tensor:
    """A NumPy array of positions as an int64 tensor."""
    return tensor_from_numpy(np.array(array, np.int64, order="C"), int64)


def index_operand(name: str, index, *, allowed=("int64", "int32")) -> Tensor:
    """An index tensor as int64.  Raises: RuntimeError for another dtype."""
    check_tensor(name, index, "index")
    dtype = index._node.dtype
    if dtype.name not in allowed:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {dtype}")
    return index if dtype is int64 else e.cast(index, int64)


@spelled(method=True, out=True)
def index_select(input, dim, index) -> Tensor:
    """Slices along an axis, in the order a vector names.  Source: torch.index_select."""
    check_tensor("index_select", input)
    index = index_operand("index_select", index)
    axis = axis_of(input, dim)
    if len(index._node.shape) > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if not input._node.shape:
        return p.reshape(pi.take(p.reshape(input, (1,)), p.reshape(index, (1,)), 0), ())
    if not index._node.shape:
        index = p.reshape(index, (1,))
    return pi.take(input, index, axis)


@spelled(method=True, out=True)
def take(input, index) -> Tensor:
    """Elements of the flattened tensor.  Shapes: that of index.  Source: torch.take."""
    check_tensor("take", input)
    if index._node.dtype is not int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index._node.dtype}")
    count = numel(input._node.shape)
    line = p.reshape(input, (count,))
    return named(pi.take(line, from_zero(index, count), 0), "TakeBackward0")


def _along_shapes(name: str, input: Tensor, index: Tensor, axis: int) -> None:
    shape, given = input._node.shape or (1,), index._node.shape or (1,)
    if numel(given) == 0:
        return
    if len(shape) != len(given):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor: "
            f"{name} got {list(given)} and {list(shape)}"
        )
    for k, (n, size) in enumerate(zip(given, shape)):
        if k != axis and n > size:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index {list(given)} to be no "
                f"larger than self {list(shape)} apart from dimension {axis}"
            )


def trimmed(x: Tensor, shape, axis: int) -> Tensor:
    """x without what lies beyond `shape` in the axes other than `axis`."""
    size = tuple([m if a == axis else n for a, (n, m) in enumerate(zip(shape, x._node.shape))])
    if size == x._node.shape:
        return x
    strides = contiguous_strides(x._node.shape)
    return p.strided_read(x, x._scalar(0, int64), size, strides)


@spelled(method=True, out=True)
def gather(input, dim, index, *, sparse_grad=False) -> Tensor:
    """`out[i][j] = input[index[i][j]][j]` for dim 0.

    Raises: RuntimeError.  Source: torch.gather.
    """
    check_tensor("gather", input)
    check_tensor("gather", index, "index")
    axis = axis_of(input, dim)
    if index._node.dtype.name not in ("int64", "int32") and numel(index._node.shape):
        raise RuntimeError(
            f"gather(): Expected dtype int32/int64 for index, got {index._node.dtype}"
        )
    if index._node.dtype is not int64:
        index = e.cast(index, int64)
    _along_shapes("gather", input, index, axis)
    if not input._node.shape or not index._node.shape:
        flat = p.reshape(input, (numel(input._node.shape),))
        return pi.take(flat, index, 0)
    if numel(index._node.shape) == 0:
        return pi.take(p.reshape(input, (numel(input._node.shape),)), index, 0)
    return pi.gather(trimmed(input, index._node.shape, axis), index, axis)


@spelled(method=True, out=True)
def take_along_dim(input, indices, dim=None) -> Tensor:
    """`gather` with broadcasting; over the flattened tensor without dim.

    Source: torch.take_along_dim.
    """
    check_tensor("take_along_dim", input)
    if indices._node.dtype is not int64:
        raise RuntimeError(
            f"torch.take_along_dim(): dtype of indices should be Long but got {indices._node.dtype}"
        )
    if dim is None:
        flat = p.reshape(input, (numel(input._node.shape),))
        return pi.take(flat, p.reshape(indices, (numel(indices._node.shape),)), 0)
    rank = len(input._node.shape)
    if rank != len(indices._node.shape):
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {rank} dimensions for input, and {len(indices._node.shape)} for indices"
        )
    axis = axis_of(input, dim)
    shape, given = list(input._node.shape), list(indices._node.shape)
    shape[axis], given[axis] = given[axis], shape[axis]
    wide = broadcast_shapes(input._node.shape, tuple(given))
    narrow_shape = broadcast_shapes(tuple(shape), indices._node.shape)
    indices = from_zero(indices, input._node.shape[axis])
    return gather(expanded(input, wide), axis, expanded(indices, narrow_shape))


# ---- masks ---------------------------------------------------------------------------------------


@spelled(method=True, out=True)
def masked_select(input, mask) -> Tensor:
    """The elements where a mask is true, as a vector.  Source: torch.masked_select."""
    check_tensor("masked_select", input)
    if mask._node.dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input._node.shape, mask._node.shape)
    x = p.expand(input, shape) if input._node.shape != shape else input
    places = np.flatnonzero(np.broadcast_to(value_of(mask), shape))
    found = pi.take(p.reshape(x, (numel(shape),)), positions(places), 0)
    return named(found, "MaskedSelectBackward0")


@spelled(method=True, out=True)
@beside_input
def nonzero(input, *, as_tuple: bool = False):
    """Positions of the elements that are not zero: rows, or a tuple of vectors.

    Source: torch.nonzero.
    """
    check_tensor("nonzero", input)
    array = arithmetic_value(input)
    found = np.nonzero(array.reshape(1) if array.ndim == 0 else array)
    if as_tuple:
        return tuple([positions(i) for i in found])
    if array.ndim == 0:
        return positions(np.zeros((found[0].size, 0)))
    return column_major(positions(np.stack(found, 1)))


@spelled(method=True)
@each_member
def argwhere(input) -> Tensor:
    """Positions of the elements that are not zero, as rows.  Source: torch.argwhere."""
    return nonzero(input)


@spelled(method=True, out=True)
@each_member
@beside_input
def nonzero_static(input, *, size, fill_value=-1) -> Tensor:
    """`nonzero` with a fixed number of rows.  Source: torch.nonzero_static."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = value_of(nonzero(input))[:size]
    rows = np.full((size, found.shape[1]), fill_value, np.int64)
    rows[: found.shape[0]] = found
    return positions(rows)


# ---- sets ----------------------------------------------------------------------------------------


def from_array(array, dtype) -> Tensor:
    return tensor_from_numpy(np.array(narrow(array, dtype), order="C"), dtype)


def _rows_first(x, axis: int):
    moved = np.moveaxis(x, axis, 0)
    return moved.reshape(moved.shape[0], numel(moved.shape[1:])), moved.shape


def _chosen(found: list, flags) -> object:
    kept = tuple([part for part, wanted in zip(found, flags) if wanted])
    return kept[0] if len(kept) == 1 else kept


@spelled(method=True)
@beside_input
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements, in ascending order, or the distinct slices along an axis.

    return_inverse, return_counts: also where each went, and how often each occurred.
    Source: torch.unique.
    """
    check_tensor("unique", input)
    array = arithmetic_value(input)
    flags = (True, return_inverse, return_counts)
    if dim is None:
        values, inverse, counts = np.unique(
            array, return_inverse=True, return_counts=True, equal_nan=False
        )
        inverse = inverse.reshape(array.shape)
    else:
        axis = wrap_axis(dim, array.ndim)
        rows, shape = _rows_first(array, axis)
        if rows.shape[1] == 0:
            raise RuntimeError("There are 0 sized dimensions, and they aren't being flattened")
        values, inverse, counts = _unique_rows(rows)
        values = np.moveaxis(values.reshape((-1, *shape[1:])), 0, axis)
    made = _slices_first(from_array(values, input._node.dtype), dim)
    return _chosen([made, positions(inverse), positions(counts)], flags)


def _slices_first(made: Tensor, dim) -> Tensor:
    """The distinct slices along an axis, which lie one after the other."""
    if dim is None:
        return made
    rank = len(made._node.shape)
    axis = wrap_axis(dim, rank)
    return lying(made, dense_order((axis, *[a for a in range(rank) if a != axis])))


def _unique_rows(rows):
    if rows.dtype.kind == "b":
        rows = rows.astype(np.uint8)
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.ones(len(rows), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    group = np.cumsum(new) - 1
    inverse = np.empty(len(rows), np.int64)
    inverse[order] = group
    return ordered[new], inverse, np.bincount(group, minlength=int(new.sum()))


@spelled(method=True)
@beside_input
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Without repetitions of the preceding element or slice.  Source: torch.unique_consecutive."""
    check_tensor("unique_consecutive", input)
    array = arithmetic_value(input)
    axis = 0 if dim is None else wrap_axis(dim, array.ndim)
    rows, shape = _rows_first(array.reshape(-1) if dim is None else array, axis)
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    group = np.cumsum(new) - 1
    values = np.moveaxis(rows[new].reshape((-1, *shape[1:])), 0, axis)
    inverse = group.reshape(array.shape) if dim is None else group
    counts = np.bincount(group, minlength=int(new.sum()))
    made = _slices_first(from_array(values, input._node.dtype), dim)
    return _chosen(
        [made, positions(inverse), positions(counts)], (True, return_inverse, return_counts)
    )


@spelled(out=True)
@each_member
@beside_input
def isin(elements, test_elements, *, assume_unique=False, invert=False) -> Tensor:
    """Whether each element is among others.  Source: torch.isin."""
    if is_number(elements) and is_number(test_elements):
        raise ValueError("isin(): at least one argument must be a Tensor, got two numbers")
    dtype = result_dtype(elements, test_elements)
    x = arithmetic_value(to_dtype(elements, dtype))
    found = np.isin(x, arithmetic_value(to_dtype(test_elements, dtype)))
    return tensor_from_numpy(np.array(found != bool(invert), order="C"), bool_)


# ---- counting ------------------------------------------------------------------------------------


@spelled(method=True, out=True)
@each_member
@beside_input
def bincount(input, weights=None, minlength=0) -> Tensor:
    """How often each number occurs, or the sum of its weights.  Source: torch.bincount."""
    check_tensor("bincount", input)
    if input._node.dtype.is_inexact or input._node.dtype is bool_:
        raise RuntimeError(f'"bincount_cpu" not implemented for {input._node.dtype}')
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    array = value_of(input)
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return positions(np.bincount(array.astype(np.int64), minlength=minlength))
    if weights._node.shape != input._node.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    found = np.bincount(array.astype(np.int64), arithmetic_value(weights), minlength)
    return from_array(found, float32 if weights._node.dtype is float32 else float64)


def _histogram_range(name: str, array, low, high):
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min, got {high} and {low}")
    return low, high


@spelled(method=True, out=True)
@each_member
@beside_input
def histc(input, bins=100, min=0, max=0) -> Tensor:
    """Counts in bins of equal width between min and max.  Source: torch.histc."""
    check_tensor("histc", input)
    if not input._node.dtype.is_floating_point:
        raise RuntimeError(f'"histogram_cpu" not implemented for {input._node.dtype}')
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    array = arithmetic_value(input)
    low, high = _histogram_range("torch.histc", array, min, max)
    flat = array.reshape(-1)
    flat = flat[(flat >= low) & (flat <= high)]
    place = ((flat - low) * (bins / (high - low))).astype(np.int64)
    counts = np.bincount(np.minimum(place, bins - 1), minlength=bins)
    return from_array(counts.astype(np.float64), input._node.dtype)


# ---- searching -----------------------------------------------------------------------------------


def _right_side(right: bool, side) -> bool:
    if side is None:
        return bool(right)
    if side not in ("left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    return side == "right"


@spelled(out=True)
def searchsorted(
    sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None
) -> Tensor:
    """Where values would be inserted into ascending rows.

    Shapes: sequence (n,), or with input's leading axes.  Source: torch.searchsorted.
    """
    check_tensor("searchsorted", sorted_sequence, "sorted_sequence")
    right = _right_side(right, side)
    scalar = is_number(input)
    values = to_dtype(input, sorted_sequence._node.dtype) if scalar else input
    lead, own = sorted_sequence._node.shape[:-1], values._node.shape[:-1]
    if scalar and len(sorted_sequence._node.shape) != 1:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
            "dimension is 1"
        )
    if lead and lead != own:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            f"dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(sorted_sequence._node.shape)} and input value tensor "
            f"{list(values._node.shape)}"
        )
    if not scalar and values._node.dtype is not sorted_sequence._node.dtype:
        raise RuntimeError(
            "torch.searchsorted(): boundary tensor and input value tensor should have same dtype, "
            f"but got boundary tensor dtype {sorted_sequence._node.dtype} and input value tensor "
            f"dtype {values._node.dtype}"
        )
    if sorter is not None:
        if sorter._node.shape != sorted_sequence._node.shape or sorter._node.dtype is not int64:
            raise RuntimeError(
                "torch.searchsorted(): boundary and sorter must have the same size and sorter must "
                f"be long, but got {list(sorter._node.shape)} of {sorter._node.dtype}"
            )
        sorted_sequence = pi.gather(sorted_sequence, sorter, len(sorter._node.shape) - 1)
    found = searchsorted_primitive(sorted_sequence, values, right)
    return e.cast(found, int32) if out_int32 else found


@spelled(out=True)
def bucketize(input, boundaries, *, out_int32=False, right=False) -> Tensor:
    """The bin of each value between ascending boundaries.  Source: torch.bucketize."""
    check_tensor("bucketize", boundaries, "boundaries")
    if len(boundaries._node.shape) != 1:
        raise RuntimeError(
            f"bucketize: boundaries tensor must be 1 dimension, but got dim("
            f"{len(boundaries._node.shape)})"
        )
    if not is_number(input) and input._node.dtype is not boundaries._node.dtype:
        raise RuntimeError(
            "torch.searchsorted(): boundary tensor and input value tensor should have same dtype, "
            f"but got boundary tensor dtype {boundaries._node.dtype} and input value tensor dtype "
            f"{input._node.dtype}"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
