"""Embeddings: rows of a table, singly or summed in bags; one-hot rows.  Level 11."""

from __future__ import annotations

import importlib

import numpy as np

from rushlight.base.dtypes import bool_, int64
from rushlight.base.formats import sparse_coo
from rushlight.base.shapes import numel
from rushlight.ops.creation import filled, value_of
from rushlight.ops.formats import in_rows, resulting
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import PUBLIC, spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as p
from rushlight.primitives.reduction import reduce_max
from rushlight.tape.tape import current_tape
from rushlight.tensor.autodiff import CustomNode
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.graph import named
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.storage import alias_without_grad, current_edge, write
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _check_indices(name: str, input) -> None:
    check_tensor(name, input)
    if input._node.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {input._node.dtype} instead (while checking arguments for {name})"
        )


def _padding_row(padding_idx, rows: int):
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    return padding_idx + rows if padding_idx < 0 else padding_idx


def renormalize_rows(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the named rows down to `max_norm`, in place and unseen by autograd."""
    rows = np.unique(value_of(indices))
    if not rows.size:
        return
    with no_grad():
        places = tensor_from_numpy(rows.astype(np.int64), int64)
        found = pi.take(weight, places, 0)
        size = found.norm(norm_type, 1, True)
        limit = e.div(size._scalar(max_norm), e.add(size, size._scalar(1e-7)))
        factor = e.where(e.gt(size, size._scalar(max_norm)), limit, size._scalar(1))
        write(weight, pi.put(weight, places, e.mul(found, factor), 0, "set"))


def _without_gradient_at(found: Tensor, indices: Tensor, row: int) -> Tensor:
    """The same values; where the index is `row`, without history."""
    hidden = e.eq(indices, indices._scalar(row))
    rank = len(indices._node.shape)
    hidden = p.reshape(hidden, (*indices._node.shape, *(1,) * (len(found._node.shape) - rank)))
    return e.where(hidden, alias_without_grad(found), found)


def _scaled_by_frequency(found: Tensor, indices: Tensor) -> Tensor:
    """The same values; their gradients are divided by how often their index occurs."""
    array = value_of(indices)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    share = (1.0 / counts)[inverse].reshape((*array.shape, 1))
    scale = tensor_from_numpy(share.astype(found._node.dtype.numpy), found._node.dtype)
    scaled = e.mul(found, scale)
    # The difference is exactly zero; only its gradient counts.
    return e.add(alias_without_grad(found), e.sub(scaled, alias_without_grad(scaled)))


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
    sparse=False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` named by integers.  Shapes: (*input, columns).

    padding_idx: a row that receives no gradient.  max_norm: rows used are first scaled down, in
    place.  sparse: the gradient of `weight` is a sparse tensor by coordinates, with one entry for
    each index.
    Raises: IndexError when read, for an index out of range; RuntimeError for scale_grad_by_freq
    with sparse.
    Source: torch.nn.functional.embedding.
    """
    _check_indices("embedding", input)
    check_tensor("embedding", weight, "weight")
    if len(weight._node.shape) != 2:
        raise RuntimeError(f"'weight' must be 2-D, got {len(weight._node.shape)}-D")
    row = _padding_row(padding_idx, weight._node.shape[0])
    if max_norm is not None:
        renormalize_rows(weight, input, max_norm, norm_type)
    if input._node.dtype is not int64:
        input = e.cast(input, int64)
    if sparse and current_tape().grad_enabled and current_edge(weight) is not None:
        if scale_grad_by_freq:
            raise RuntimeError(
                "embedding_backward: scale_grad_by_freq not supported with sparse gradients"
            )
        return _with_sparse_gradient(weight, input, row)
    found = pi.take(weight, input, 0)
    if found._grad_fn is None:
        return found
    if scale_grad_by_freq:
        found = _scaled_by_frequency(found, input)
    if row is not None:
        found = _without_gradient_at(found, input, row)
    return named(found, "EmbeddingBackward0")


def _with_sparse_gradient(weight: Tensor, indices: Tensor, row: int | None) -> Tensor:
    """Rows of `weight`, whose gradient has only these rows."""
    importlib.import_module("rushlight.sparse")  # what sparse tensors do
    found = pi.take(alias_without_grad(weight), indices, 0)
    shape, columns = weight._node.shape, weight._node.shape[1]
    count = numel(indices._node.shape)
    flat = p.reshape(alias_without_grad(indices), (count,))

    def apply(given: dict[int, Tensor], retain_graph: bool) -> list[Tensor]:
        places, elements = flat, p.reshape(given[0], (count, columns))
        if row is not None:
            kept = tensor_from_numpy(np.flatnonzero(value_of(flat) != row).astype(np.int64), int64)
            places, elements = pi.take(places, kept, 0), pi.take(elements, kept, 0)
        line = p.reshape(places, (1, places._node.shape[0]))
        return [SparseTensor(sparse_coo, (line,), elements, shape)]

    edge = current_edge(weight)
    facts = [(found._node.shape, found._node.dtype)]
    found._grad_fn = CustomNode("EmbeddingBackward0", (edge,), facts, apply)
    return found


@spelled(function=False)
@resulting(in_rows)
def one_hot(tensor, num_classes=-1) -> Tensor:
    """Rows with a one at the index and zeros elsewhere.  Dtypes: int64.

    num_classes: -1 reads the largest index (a flush).  Source: torch.nn.functional.one_hot.
    """
    check_tensor("one_hot", tensor)
    if tensor._node.dtype is not int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    shape = tensor._node.shape
    values = value_of(tensor)
    if not values.size:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return filled((*shape, num_classes), 0, int64)
    if values.min() < 0:
        raise RuntimeError("Class values must be non-negative.")
    if num_classes == -1:
        num_classes = int(values.max()) + 1
    elif num_classes < 1 or values.max() >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    classes = tensor_from_numpy(np.arange(num_classes), int64)
    return e.cast(e.eq(p.reshape(tensor, (*shape, 1)), classes), int64)


# ---- bags ----------------------------------------------------------------------------------------


def _bags_of(input: Tensor, offsets, include_last_offset: bool):
    """(flat indices, bag of each index as an array, number of bags)."""
    shape = input._node.shape
    if len(shape) == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        flat = p.reshape(input, (numel(shape),))
        return flat, np.repeat(np.arange(shape[0]), shape[1]), shape[0]
    if len(shape) != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {len(shape)}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if len(offsets._node.shape) != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts = value_of(offsets)
    if starts.size and starts[0] != 0:
        raise ValueError(
            f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {starts[0]}"
        )
    if starts.size and starts[-1] > shape[0]:
        raise ValueError(
            f"offsets[-1] can not be greater than input's length {shape[0]} but got offsets[-1] of "
            f"{starts[-1]}"
        )
    bounds = starts if include_last_offset else np.append(starts, shape[0])
    counts = np.diff(bounds)
    bags = np.repeat(np.arange(counts.size), counts)
    # Indices after the last given offset belong to no bag.
    return input, np.append(bags, np.full(shape[0] - bags.size, -1)), counts.size


def embedding_bag(
    input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode="mean",
    sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None,
) -> Tensor:  # fmt: skip
    """Sums, means or maxima of embeddings over bags of indices.

    Shapes: input (bags, n), or (n,) with `offsets`, which are read (a flush).  sparse: as for
    `embedding`.
    Raises: ValueError, RuntimeError.  Source: torch.nn.functional.embedding_bag.
    """
    if isinstance(weight, Tensor) and weight._node.dtype is int64 and isinstance(input, Tensor):
        if input._node.dtype.is_floating_point:
            input, weight = weight, input
    _check_indices("embedding_bag", input)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ValueError(
            "max mode does not support scaling the gradient by the frequency or sparse"
        )
    if per_sample_weights is not None:
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                f"supported for mode='sum' (got mode='{mode}')."
            )
        if per_sample_weights._node.shape != input._node.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({list(per_sample_weights._node.shape)}) is "
                f"not None, then it must have the same shape as the input "
                f"({list(input._node.shape)})"
            )
    row = _padding_row(padding_idx, weight._node.shape[0])
    flat, bags, count = _bags_of(input, offsets, include_last_offset)
    kept = bags >= 0
    if row is not None:
        kept &= value_of(flat) != row
    places = tensor_from_numpy(np.flatnonzero(kept).astype(np.int64), int64)
    rows = embedding(
        pi.take(flat, places, 0), weight, None, max_norm, norm_type, scale_grad_by_freq, sparse
    )
    if per_sample_weights is not None:
        weights = p.reshape(per_sample_weights, (bags.size,))
        weights = p.reshape(pi.take(weights, places, 0), (places._node.shape[0], 1))
        rows = e.mul(rows, weights)
    return _reduced(rows, bags[kept], count, mode)


def _reduced(rows: Tensor, bags, count: int, mode: str) -> Tensor:
    columns = rows._node.shape[1]
    dtype = rows._node.dtype
    sizes = np.bincount(bags, minlength=count) if bags.size else np.zeros(count, np.int64)
    if mode == "max":
        return _largest(rows, bags, sizes)
    index = tensor_from_numpy(bags.astype(np.int64), int64)
    total = pi.put(filled((count, columns), 0, dtype), index, rows, 0, "add")
    if mode == "sum":
        return total
    divisor = tensor_from_numpy(np.maximum(sizes, 1).reshape(-1, 1).astype(np.int64), int64)
    return e.div(total, e.cast(divisor, dtype))


def _largest(rows: Tensor, bags, sizes) -> Tensor:
    """Maxima of each bag: its rows, filled up with its first one, reduced together."""
    count, longest = sizes.size, int(sizes.max(initial=0))
    if not bags.size:
        return filled((count, rows._node.shape[1]), 0, rows._node.dtype)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    at = np.arange(longest)[None, :]
    table = np.where(at < sizes[:, None], starts[:, None] + at, starts[:, None])
    table = np.minimum(table, bags.size - 1)
    seen = pi.take(rows, tensor_from_numpy(np.ascontiguousarray(table, np.int64), int64), 0)
    inside = (at < sizes[:, None])[:, :, None]
    lowest = seen._scalar(float("-inf"))
    mask = tensor_from_numpy(np.ascontiguousarray(inside), bool_)
    best = reduce_max(e.where(mask, seen, lowest), (1,), False)
    empty = tensor_from_numpy(np.ascontiguousarray((sizes == 0)[:, None]), bool_)
    return e.where(empty, best._scalar(0), best)


def embedding_of_top(
    weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False
) -> Tensor:
    """As `nn.functional.embedding`, the weight first; -1 for no padding row."""
    row = None if padding_idx == -1 else padding_idx
    return embedding(indices, weight, row, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


PUBLIC["embedding"] = embedding_of_top
