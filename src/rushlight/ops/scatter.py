"""Writing elements named by index tensors or masks.  Level 11."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import bool_, int64, uint8
from rushlight.base.shapes import broadcast_shapes, contiguous_strides, numel
from rushlight.ops.creation import filled, value_of
from rushlight.ops.formats import in_rows, lying_like, resulting, row_major
from rushlight.ops.indexing import (
    Gathering,
    fitted_source,
    from_zero,
    integer_indices,
    number_as,
)
from rushlight.ops.members import read
from rushlight.ops.promotion import check_tensor, constant, is_followed, is_number
from rushlight.ops.selection import index_operand, positions, trimmed
from rushlight.ops.shaping import axis_of
from rushlight.ops.spelling import PUBLIC, spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as p
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor

_MODES = {"sum": "add", "add": "add", "prod": "multiply", "multiply": "multiply",
          "amax": "maximum", "amin": "minimum"}  # fmt: skip


def _same_dtype(name: str, input: Tensor, other: Tensor, what: str = "src") -> None:
    if input._node.dtype is not other._node.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to {what}.dtype, got {input._node.dtype} "
            f"and {other._node.dtype}; convert one with .to(dtype)"
        )


def _lifted(x: Tensor) -> Tensor:
    """A 0-d tensor as a vector of one."""
    return x if x._node.shape else p.reshape(x, (1,))


# ---- scatter -------------------------------------------------------------------------------------


def _check_scatter(name: str, input, index, src, axis: int) -> None:
    own, given = input._node.shape or (1,), index._node.shape or (1,)
    if index._node.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            f"{name}(): Expected dtype int32/int64 for index, got {index._node.dtype}"
        )
    if numel(given) == 0:
        return
    if len(own) != len(given):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as self tensor: "
            f"{name} got {list(given)} and {list(own)}"
        )
    for k, n in enumerate(given):
        if k != axis and n > own[k]:
            raise RuntimeError(
                f"Expected index {list(given)} to be no larger than self {list(own)} apart from "
                f"dimension {axis}"
            )
    if src is None:
        return
    other = src._node.shape or (1,)
    if len(other) != len(given) or any(n > m for n, m in zip(given, other)):
        raise RuntimeError(
            f"Expected index {list(given)} to be no larger than src {list(other)} in every "
            "dimension, with as many dimensions"
        )


def _scattered(name: str, input, dim, index, src, mode: str) -> Tensor:
    check_tensor(name, input)
    check_tensor(name, index, "index")
    axis = axis_of(input, dim)
    value = None
    if not isinstance(src, Tensor):
        value, src = src, None
    _check_scatter(name, input, index, src, axis)
    if src is not None:
        _same_dtype(name, input, src)
    if numel(index._node.shape) == 0:
        return p.copy(input)
    shape = input._node.shape
    x, index = _lifted(input), _lifted(index)
    if index._node.dtype is not int64:
        index = e.cast(index, int64)
    if src is None:
        src = p.expand(number_as(value, x._node.dtype), index._node.shape)
    else:
        src = _cut(_lifted(src), index._node.shape)
    found = _scatter_into(x, index, src, axis, mode)
    return found if shape else p.reshape(found, ())


def _cut(src: Tensor, shape) -> Tensor:
    """The leading part of src."""
    if src._node.shape == shape:
        return src
    return trimmed(trimmed(src, shape, 0), shape, -1)


def _scatter_into(x: Tensor, index: Tensor, src: Tensor, axis: int, mode: str) -> Tensor:
    part = trimmed(x, index._node.shape, axis)
    written = pi.scatter(part, index, src, axis, mode)
    if part is x:
        return written
    strides = contiguous_strides(x._node.shape)
    return p.strided_write(x, written, x._scalar(0, int64), written._node.shape, strides)


@spelled(method=True, inplace=True, out=True)
@resulting(in_rows)
def scatter(input, dim, index, src=None, *, value=None, reduce=None) -> Tensor:
    """A copy with `input[index[i][j]][j] = src[i][j]` for dim 0.

    src: a tensor or a number.  reduce: "add" or "multiply" combines instead.
    Raises: RuntimeError.  Source: torch.scatter.
    """
    if src is None:
        src = value
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    found = _scattered("scatter", input, dim, index, src, _MODES[reduce] if reduce else "set")
    return named(found, "ScatterBackward0" if isinstance(src, Tensor) else "ScatterBackward1")


@spelled(method=True, inplace=True, out=True)
@resulting(in_rows)
def scatter_add(input, dim, index, src) -> Tensor:
    """A copy with `src[i][j]` added at `index[i][j]` along dim 0.  Source: torch.scatter_add."""
    check_tensor("scatter_add", src, "src")
    return named(_scattered("scatter_add", input, dim, index, src, "add"), "ScatterAddBackward0")


def _check_reduce(name: str, reduce: str, allowed) -> None:
    if reduce not in allowed:
        raise RuntimeError(
            f"{name}(): reduce argument must be one of {', '.join(allowed)}, got {reduce}"
        )


def _neutral(dtype, reduce: str):
    if reduce == "prod":
        return 1
    if reduce in ("sum", "mean"):
        return 0
    if dtype is bool_:
        return reduce == "amin"
    if dtype.is_floating_point:
        return float("-inf") if reduce == "amax" else float("inf")
    limits = np.iinfo(dtype.numpy)
    return limits.min if reduce == "amax" else limits.max


@spelled(method=True, inplace=True, out=True)
@resulting(in_rows)
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True) -> Tensor:
    """A copy with elements combined with those of src that name them.

    reduce: "sum", "prod", "mean", "amax" or "amin".  include_self: whether the old value counts.
    Source: torch.scatter_reduce.
    """
    check_tensor("scatter_reduce", input)
    _check_reduce("scatter_reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    axis = axis_of(input, dim)

    def combine(x, source, mode):
        return _scattered("scatter_reduce", x, axis, index, source, mode)

    return _reduced_into(input, src, reduce, include_self, combine)


def _reduced_into(input: Tensor, src: Tensor, reduce: str, include_self: bool, combine) -> Tensor:
    """Shared by scatter_reduce and index_reduce; `combine(x, source, mode)` writes."""
    dtype = input._node.dtype
    shape = input._node.shape
    if is_followed(input) and reduce not in ("sum", "mean"):
        # The derivative reads the old values, which the in-place form is about to overwrite.
        input = p.copy(input)
    start = input
    if not include_self:
        ones = filled(src._node.shape, True, bool_)
        touched = combine(filled(shape, False, bool_), ones, "set")
        start = e.where(touched, input._scalar(_neutral(dtype, reduce)), input)
    if reduce in ("amax", "amin") and not include_self and is_followed(src):
        # PyTorch counts an old value that equals the result among those that share its cotangent.
        # Put back, it leaves the result as it is.
        best = constant(combine(start, src, _MODES[reduce]))
        again = e.bitwise_and(touched, e.eq(best, input))
        start = e.where(again, constant(input), start)
    if reduce != "mean":
        return combine(start, src, _MODES[reduce])
    total = combine(start, src, "add")
    # Counts of int64, so that no float loses one.
    own = filled(shape, 1 if include_self else 0, int64)
    counts = combine(own, filled(src._node.shape, 1, int64), "add")
    counts = e.cast(e.maximum(counts, counts._scalar(1)), dtype)
    return e.div(total, counts) if dtype.is_inexact else e.floor_divide(total, counts)


# ---- slices along an axis ------------------------------------------------------------------------


def _vector_index(name: str, input: Tensor, index) -> Tensor:
    index = index_operand(name, index)
    if len(index._node.shape) > 1:
        raise IndexError(
            f"{name}: Index is supposed to be a vector, got {len(index._node.shape)}-D"
        )
    return _lifted(index)


def _check_source(name: str, input: Tensor, index: Tensor, source, axis: int) -> None:
    check_tensor(name, source, "source")
    shape = input._node.shape or (1,)
    given = source._node.shape or (1,)
    expected = (*shape[:axis], index._node.shape[0], *shape[axis + 1 :])
    if given != expected:
        raise RuntimeError(
            f"{name}(): source of shape {list(given)} does not match: indexing self gives "
            f"{list(expected)}"
        )


def _put_slices(name: str, input, dim, index, source, mode: str) -> Tensor:
    check_tensor(name, input)
    axis = axis_of(input, dim)
    index = _vector_index(name, input, index)
    _check_source(name, input, index, source, axis)
    _same_dtype(name, input, source, "source")
    found = pi.put(_lifted(input), index, _lifted(source), axis, mode)
    return found if input._node.shape else p.reshape(found, ())


@spelled(method=True, inplace=True, out=True)
def index_add(input, dim, index, source, *, alpha=1) -> Tensor:
    """A copy with slices of source times alpha added.  Source: torch.index_add."""
    check_tensor("index_add", source, "source")
    if alpha != 1:
        source = source.mul(bool(alpha) if source._node.dtype is bool_ else alpha)
    return named(_put_slices("index_add", input, dim, index, source, "add"), "IndexAddBackward0")


@spelled(method=True, inplace=True, out=True)
def index_copy(input, dim, index, source) -> Tensor:
    """A copy with slices replaced by those of source.  Source: torch.index_copy."""
    found = _put_slices("index_copy", input, dim, index, source, "set")
    return named(found, "IndexCopyBackward0")


@spelled(method=True, inplace=True, out=True)
def index_reduce(input, dim, index, source, reduce, *, include_self=True) -> Tensor:
    """A copy with slices combined with those of source.

    reduce: "prod", "mean", "amax" or "amin".  Source: torch.index_reduce.
    """
    check_tensor("index_reduce", input)
    _check_reduce("index_reduce", reduce, ("prod", "mean", "amax", "amin"))

    def combine(x, values, mode):
        return _put_slices("index_reduce", x, dim, index, values, mode)

    return _reduced_into(input, source, reduce, include_self, combine)


@spelled(method=True, inplace=True, out=True)
def index_fill(input, dim, index, value) -> Tensor:
    """A copy with whole slices set to one value.  Source: torch.index_fill."""
    check_tensor("index_fill", input)
    axis = axis_of(input, dim)
    index = _vector_index("index_fill", input, index)
    x = _lifted(input)
    value = _single_value("index_fill", value, x)
    shape = x._node.shape
    # Through a mask: a position named twice counts once in the value's gradient.
    never = filled((shape[axis],), False, bool_)
    hit = pi.put(never, index, filled(index._node.shape, True, bool_), 0, "set")
    hit = p.reshape(hit, (shape[axis], *(1,) * (len(shape) - axis - 1)))
    found = e.where(hit, value, x)
    found = found if input._node.shape else p.reshape(found, ())
    return named(found, "IndexFillBackward0")


def _single_value(name: str, value, like: Tensor) -> Tensor:
    """A number or 0-d tensor as a scalar of like's dtype."""
    if is_number(value):
        return number_as(value, like._node.dtype)
    check_tensor(name, value, "value")
    if value._node.shape:
        raise RuntimeError(
            f"{name} only supports a 0-dimensional value tensor, but got tensor with "
            f"{len(value._node.shape)} dimension(s)."
        )
    if value._node.dtype.is_complex and not like._node.dtype.is_complex:
        raise RuntimeError("value cannot be converted to a real dtype without overflow")
    return value if value._node.dtype is like._node.dtype else e.cast(value, like._node.dtype)


@spelled(method=True, inplace=True, out=True)
@resulting(lying_like)
def put(input, index, source, accumulate=False) -> Tensor:
    """A copy with elements of the flattened tensor replaced or added to.  Source: torch.put."""
    check_tensor("put", input)
    if index._node.dtype is not int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {index._node.dtype}")
    _same_dtype("put_", input, source, "source")
    count = numel(index._node.shape)
    if count != numel(source._node.shape):
        raise RuntimeError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {numel(source._node.shape)}, index.numel() = {count}"
        )
    shape = input._node.shape
    flat = p.reshape(input, (numel(shape),))
    mode = "add" if accumulate else "set"
    index = from_zero(p.reshape(index, (count,)), flat._node.shape[0])
    found = pi.put(flat, index, p.reshape(source, (count,)), 0, mode)
    return p.reshape(found, shape)


@spelled(method=True, inplace=True)
@resulting(lying_like)
def index_put(input, indices, values, accumulate=False) -> Tensor:
    """A copy with the elements that a tuple of index tensors names replaced or added to.

    Source: torch.index_put.
    """
    check_tensor("index_put", input)
    if len(indices) > len(input._node.shape):
        raise IndexError(
            f"too many indices for tensor of dimension {len(input._node.shape)} "
            f"(got {len(indices)})"
        )
    pairs = []
    axis = 0
    for index in indices:
        if index is not None:
            pairs.append((axis, index))
        mask = index is not None and index._node.dtype in (bool_, uint8)
        axis += len(index._node.shape) if mask else 1
    if values._node.dtype is not input._node.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{input._node.dtype} for the destination and {values._node.dtype} for the source."
        )
    gathering = Gathering(input._node.shape, integer_indices(pairs, input._node.shape))
    source = fitted_source(values, gathering.shape)
    return gathering.written(input, source, "add" if accumulate else "set")


# ---- masks ---------------------------------------------------------------------------------------


@spelled(method=True, inplace=True, out=True)
def masked_fill(input, mask, value) -> Tensor:
    """A copy with one value where the mask is true.  Source: torch.masked_fill."""
    check_tensor("masked_fill", input)
    check_tensor("masked_fill", mask, "mask")
    if mask._node.dtype is not bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask._node.dtype}"
        )
    found = row_major(e.where(mask, _single_value("masked_fill", value, input), input))
    tensor_given = isinstance(value, Tensor)
    return named(found, "MaskedFillBackward1" if tensor_given else "MaskedFillBackward0")


@spelled(method=True, inplace=True, out=True)
@resulting(in_rows)
def masked_scatter(input, mask, source) -> Tensor:
    """A copy whose elements under the mask are taken from source in order.

    Source: torch.masked_scatter.
    """
    check_tensor("masked_scatter", input)
    if mask._node.dtype is not bool_:
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{mask._node.dtype}"
        )
    if input._node.dtype is not source._node.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got "
            f"{input._node.dtype} and {source._node.dtype}"
        )
    shape = broadcast_shapes(input._node.shape, mask._node.shape)
    count = numel(source._node.shape)

    def order_of(mask: Tensor) -> Tensor:
        chosen = np.broadcast_to(value_of(mask), shape)
        needed = int(chosen.sum())
        if count < needed:
            raise RuntimeError(
                f"Number of elements of source < number of ones in mask: {count} < {needed}"
            )
        # Where the mask is false any position will do; its value is not chosen.
        return positions(np.where(chosen, np.cumsum(chosen).reshape(shape) - 1, 0))

    x = p.expand(input, shape) if input._node.shape != shape else input
    order = read(order_of, mask)
    if not count:
        return p.copy(x)
    values = pi.take(p.reshape(source, (count,)), order, 0)
    return e.where(mask, values, x)


PUBLIC["index_put_"] = Tensor.index_put_
