"""Where the elements of sparse tensors are: conversions, coalescing, moving axes, selecting.

In: sparse or dense tensors.  Out: the same values in another arrangement.  Places are read and
arranged by NumPy; elements go through operations of the tape, so that autograd follows.
Level: sparse (12).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import DType, bool_, uint8
from rushlight.ops.creation import tensor as new_tensor
from rushlight.ops.creation import zeros
from rushlight.ops.joining import cat as joined
from rushlight.tensor.sparse_tensor import SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor

COO, CSR, CSC = formats.sparse_coo, formats.sparse_csr, formats.sparse_csc


def coo(
    places: np.ndarray, elements: Tensor, shape: Sequence[int], coalesced: bool
) -> SparseTensor:
    """A tensor by coordinates, from an array of them."""
    return SparseTensor(COO, (index_tensor(places),), elements, tuple(shape), coalesced)


def axis_of(tensor: Tensor, dim: int) -> int:
    """A non-negative axis.  Raises: IndexError as PyTorch."""
    rank = len(tensor._node.shape)
    if not -max(rank, 1) <= dim < max(rank, 1):
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(rank, 1)}, "
            f"{max(rank, 1) - 1}], but got {dim})"
        )
    return dim % max(rank, 1)


def sparse_shape(x: SparseTensor) -> tuple[int, ...]:
    """Sizes of the sparse axes."""
    return x._node.shape[: x.sparse_axes]


def keys_of(x: SparseTensor) -> np.ndarray:
    """The row-major number of each coordinate.  Raises: IndexError for coordinates outside."""
    array = array_of(x.places[0])
    if not len(array):
        return np.zeros(array.shape[1], dtype=np.int64)
    try:
        return np.ravel_multi_index(tuple(array), sparse_shape(x)).astype(np.int64, copy=False)
    except ValueError as error:
        raise IndexError(
            f"sparse tensor of size {x._node.shape}: a coordinate lies outside; construct it with "
            "check_invariants=True to find which"
        ) from error


def added_at(count: int, numbers: np.ndarray, elements: Tensor) -> Tensor:
    """Zeros (count, *dense axes) to which each element is added at its number."""
    if elements.dtype is bool_:
        return added_at(count, numbers, elements.to(uint8)) != 0
    start = zeros((count, *elements.shape[1:]), dtype=elements.dtype)
    return start.index_add(0, index_tensor(numbers), elements)


# ---- conversions ---------------------------------------------------------------------------------


def coalesce(self: SparseTensor) -> SparseTensor:
    """The same values with sorted coordinates that differ.

    Raises: RuntimeError unless the layout is by coordinates.
    """
    _need_coordinates(self, "coalesce")
    if self.coalesced:
        return self
    keys = keys_of(self)
    unique, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if unique.size == keys.size:
        elements = self.elements.index_select(0, index_tensor(first))
    else:
        elements = added_at(unique.size, inverse.reshape(-1), self.elements)
    places = array_of(self.places[0])[:, first]
    return coo(places, elements, self._node.shape, True)


def _need_coordinates(x: Tensor, operation: str) -> None:
    layout = x.form if isinstance(x, SparseTensor) else "Strided"
    if layout is not COO:
        raise RuntimeError(f"{operation} expected sparse coordinate tensor layout but got {layout}")


def rows_and_columns(x: SparseTensor) -> tuple[np.ndarray, np.ndarray]:
    """Of each element of a matrix, in the order of the elements."""
    if x.form is COO:
        array = array_of(x.places[0])
        return array[0], array[1]
    begins, others = (array_of(part).astype(np.int64, copy=False) for part in x.places)
    lines = np.repeat(np.arange(begins.size - 1), np.diff(begins))
    return (lines, others) if x.form is CSR else (others, lines)


def by_coordinates(x: SparseTensor) -> SparseTensor:
    """The same elements, by coordinates; sorted by rows if they come compressed by rows."""
    if x.form is COO:
        return x
    made = coo(np.stack(rows_and_columns(x)), x.elements, x._node.shape, False)
    if x.form is CSR:
        keys = keys_of(made)
        made.coalesced = bool((np.diff(keys) > 0).all())
    return made


def compressed(x: SparseTensor, layout: formats.layout) -> SparseTensor:
    """A matrix by rows or by columns.  Raises: RuntimeError for tensors that are no matrices."""
    if x.form is layout:
        return x
    if len(x._node.shape) != 2 or x.sparse_axes != 2:
        raise RuntimeError(
            f"to_sparse: conversion to {layout} needs a matrix without dense axes, got a tensor of "
            f"{len(x._node.shape)} axes, {x.sparse_axes} of them sparse"
        )
    x = coalesce(by_coordinates(x))
    rows, columns = array_of(x.places[0])
    elements = x.elements
    lines, others = rows, columns
    if layout is CSC:
        order = np.lexsort((rows, columns))
        lines, others = columns[order], rows[order]
        elements = elements.index_select(0, index_tensor(order))
    count = x._node.shape[0 if layout is CSR else 1]
    begins = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(lines, minlength=count), out=begins[1:])
    return SparseTensor(
        layout, (index_tensor(begins), index_tensor(others)), elements, x._node.shape, True
    )


def in_form(x: SparseTensor, layout: formats.layout) -> SparseTensor:
    """The tensor in one of the layouts."""
    return coalesce(by_coordinates(x)) if layout is COO else compressed(x, layout)


def to_dense(
    self: Tensor, dtype: DType | None = None, *, masked_grad: bool | None = None
) -> Tensor:
    """The tensor with its zeros.  masked_grad: accepted; gradients are those of the elements."""
    if not isinstance(self, SparseTensor):
        return self if dtype is None else self.to(dtype)
    x = by_coordinates(self)
    extent = sparse_shape(x)
    made = added_at(math.prod(extent), keys_of(x), x.elements).reshape(x._node.shape)
    return made if dtype is None else made.to(dtype)


def to_sparse(
    self: Tensor,
    sparse_dim: int | None = None,
    *,
    layout: formats.layout | None = None,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> SparseTensor:
    """The nonzero elements of a tensor, by coordinates or in another sparse layout.

    sparse_dim: how many leading axes become coordinates.
    Raises: NotImplementedError for blocks: see `blocks.py`.  Source: torch.Tensor.to_sparse.
    """
    if isinstance(sparse_dim, formats.layout):
        sparse_dim, layout = None, sparse_dim
    layout = COO if layout is None else layout
    if layout not in (COO, CSR, CSC) or blocksize is not None:
        raise NotImplementedError(
            f"to_sparse: layout {layout} is not supported; use {COO}, {CSR} or {CSC}"
        )
    if isinstance(self, SparseTensor):
        return self if self.form is layout else in_form(self, layout)
    shape = tuple(self.shape)
    axes = len(shape) if sparse_dim is None else sparse_dim
    if not (0 < axes <= len(shape) or axes == len(shape)):
        raise RuntimeError(
            f"to_sparse: sparse_dim must be between 1 and {len(shape)}, got {sparse_dim}"
        )
    array = array_of(self)
    flat = (array != 0).reshape((*shape[:axes], -1)).any(-1)
    places = np.stack(np.nonzero(flat)) if axes else np.zeros((0, int(flat)), dtype=np.int64)
    numbers = index_tensor(np.flatnonzero(flat))
    elements = self.reshape(math.prod(shape[:axes]), *shape[axes:]).index_select(0, numbers)
    made = coo(places, elements, shape, True)
    return made if layout is COO else compressed(made, layout)


def to_sparse_csr(self: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """A matrix by rows.  Source: torch.Tensor.to_sparse_csr."""
    return to_sparse(self, layout=CSR)


def to_sparse_csc(self: Tensor, dense_dim: int | None = None) -> SparseTensor:
    """A matrix by columns.  Source: torch.Tensor.to_sparse_csc."""
    return to_sparse(self, layout=CSC)


def sparse_mask(self: Tensor, mask: SparseTensor) -> SparseTensor:
    """The elements of `self` at the places of `mask`.

    Raises: RuntimeError if the sizes differ.  Source: torch.Tensor.sparse_mask.
    """
    if tuple(self.shape) != mask._node.shape:
        raise RuntimeError(
            "sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(self.shape)} but mask has size {list(mask._node.shape)}"
        )
    pattern = by_coordinates(mask)
    keys = keys_of(pattern)
    if isinstance(self, SparseTensor):
        found = _looked_up(coalesce(by_coordinates(self)), keys)
    else:
        found = at_keys(self, pattern, keys)
    return mask.with_elements(found)


def at_keys(dense: Tensor, pattern: SparseTensor, keys: np.ndarray) -> Tensor:
    """(n, *dense axes): a dense tensor's parts at coordinates."""
    extent = sparse_shape(pattern)
    flat = dense.reshape(math.prod(extent), *dense.shape[len(extent) :])
    return flat.index_select(0, index_tensor(keys))


def _looked_up(x: SparseTensor, keys: np.ndarray) -> Tensor:
    """(n, *dense axes): elements of a coalesced tensor by key, zero where it has none."""
    own = keys_of(x)
    place = np.searchsorted(own, keys)
    place[place == own.size] = 0
    found = own[place] == keys if own.size else np.zeros(keys.size, dtype=bool)
    if not own.size:
        return zeros((keys.size, *x.elements.shape[1:]), dtype=x.elements.dtype)
    taken = x.elements.index_select(0, index_tensor(place))
    if found.all():
        return taken
    column = found.reshape(-1, *[1] * (taken.dim() - 1))
    return taken * new_tensor(column).to(taken.dtype)


# ---- axes ----------------------------------------------------------------------------------------


def transpose(input: SparseTensor, dim0: int, dim1: int) -> SparseTensor:
    """Two axes exchanged, both sparse or both dense.  Source: torch.transpose."""
    first, second = axis_of(input, dim0), axis_of(input, dim1)
    if input.form is not COO:
        if first == second:
            return input
        other = CSC if input.form is CSR else CSR
        shape = input._node.shape[::-1]
        return SparseTensor(other, input.places, input.elements, shape, True)
    order = list(range(len(input._node.shape)))
    order[first], order[second] = order[second], order[first]
    return permute(input, order)


def permute(input: SparseTensor, *dims: Any) -> SparseTensor:
    """Axes in another order; sparse ones stay before dense ones.

    Raises: RuntimeError if they would mix.  Source: torch.permute.
    """
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims
    order = [axis_of(input, dim) for dim in order]
    if input.form is not COO:
        return transpose(input, 0, 1) if order == [1, 0] else input
    axes = input.sparse_axes
    if sorted(order) != list(range(len(input._node.shape))):
        raise RuntimeError(f"permute(sparse_coo): {order} is no order of the axes")
    if any((place < axes) != (axis < axes) for place, axis in enumerate(order)):
        raise RuntimeError(
            "permute(sparse_coo): it is not supported to exchange sparse axes with dense ones; the "
            f"first {axes} axes are sparse, and the order is {order}"
        )
    places = array_of(input.places[0])[order[:axes]]
    elements = input.elements
    dense = [axis - axes + 1 for axis in order[axes:]]
    if dense != sorted(dense):
        elements = elements.permute(0, *dense)
    shape = [input._node.shape[axis] for axis in order]
    kept = input.coalesced and order[:axes] == sorted(order[:axes])
    return coo(places, elements, shape, kept)


def matrix_transpose(input: SparseTensor) -> SparseTensor:
    """A matrix transposed; tensors of fewer axes as they are.  Source: torch.t."""
    rank = len(input._node.shape)
    if rank > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 sparse dimensions, but self is {rank}D")
    return input if rank < 2 else transpose(input, 0, 1)


def unsqueeze(input: SparseTensor, dim: int) -> SparseTensor:
    """One axis of size one more.  Source: torch.unsqueeze."""
    x = by_coordinates(input)
    rank = len(x._node.shape)
    axis = dim + rank + 1 if dim < 0 else dim
    if not 0 <= axis <= rank:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank - 1}, {rank}], but got "
            f"{dim})"
        )
    shape = (*x._node.shape[:axis], 1, *x._node.shape[axis:])
    axes = x.sparse_axes
    if axis <= axes:
        places = np.insert(array_of(x.places[0]), axis, 0, axis=0)
        return coo(places, x.elements, shape, x.coalesced)
    return SparseTensor(COO, x.places, x.elements.unsqueeze(axis - axes + 1), shape, x.coalesced)


def squeeze(input: SparseTensor, dim: Any = None) -> SparseTensor:
    """Without axes of size one.  Source: torch.squeeze."""
    x = by_coordinates(input)
    shape = x._node.shape
    named = range(len(shape)) if dim is None else dim if isinstance(dim, (tuple, list)) else [dim]
    gone = [axis_of(x, d) for d in named if shape[axis_of(x, d)] == 1]
    axes = x.sparse_axes
    keep = [axis for axis in range(axes) if axis not in gone]
    places = array_of(x.places[0])[keep]
    kept = [n for axis, n in enumerate(shape) if axis not in gone]
    elements = x.elements.reshape(x.elements.shape[0], *kept[len(keep) :])
    return coo(places, elements, kept, x.coalesced)


# ---- selecting and joining -----------------------------------------------------------------------


def select(input: SparseTensor, dim: int, index: int) -> Tensor:
    """What lies at an index of an axis; a dense tensor once no sparse axis is left.

    Raises: IndexError.  Source: torch.select.
    """
    x = by_coordinates(input)
    axis = axis_of(x, dim)
    shape = x._node.shape
    index = int(index)
    if not -shape[axis] <= index < shape[axis]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{axis}"
        )
    index %= shape[axis]
    axes = x.sparse_axes
    rest = (*shape[:axis], *shape[axis + 1 :])
    if axis >= axes:
        elements = x.elements.select(axis - axes + 1, index)
        return SparseTensor(COO, x.places, elements, rest, x.coalesced)
    array = array_of(x.places[0])
    numbers = np.flatnonzero(array[axis] == index)
    elements = x.elements.index_select(0, index_tensor(numbers))
    if axes == 1:
        return elements.sum(0)
    places = np.delete(array[:, numbers], axis, axis=0)
    return coo(places, elements, rest, x.coalesced)


def getitem(self: SparseTensor, index: Any) -> Tensor:
    """Integers select, one axis after the other; a tensor or list of numbers picks from the first.

    Raises: NotImplementedError for slices, which PyTorch refuses as well.
    """
    parts = index if isinstance(index, tuple) else (index,)
    found: Tensor = self
    axis = 0
    for part in parts:
        if isinstance(part, slice) and part == slice(None):
            axis += 1
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            found = found.select(axis, int(part))
        elif part is None:
            found = found.unsqueeze(axis)
            axis += 1
        elif isinstance(part, (Tensor, list)) and len(parts) == 1:
            numbers = part if isinstance(part, Tensor) else new_tensor(part)
            found = index_select(self, 0, numbers)
        else:
            raise NotImplementedError(
                f"indexing a sparse tensor by {type(part).__name__} is not supported; use select, "
                "index_select or to_dense()"
            )
    return found


def index_select(input: SparseTensor, dim: int, index: Tensor) -> SparseTensor:
    """Parts of an axis, in the order of `index`, which may repeat.  Source: torch.index_select."""
    x = by_coordinates(input)
    axis = axis_of(x, dim)
    wanted = array_of(index).reshape(-1).astype(np.int64)
    size = x._node.shape[axis]
    if wanted.size and not (-size <= wanted.min() and wanted.max() < size):
        raise IndexError(f"index_select(): index out of range for an axis of size {size}")
    wanted %= max(size, 1)
    shape = list(x._node.shape)
    shape[axis] = wanted.size
    axes = x.sparse_axes
    if axis >= axes:
        elements = x.elements.index_select(axis - axes + 1, index_tensor(wanted))
        return SparseTensor(COO, x.places, elements, tuple(shape), x.coalesced)
    array = array_of(x.places[0])
    order = np.argsort(array[axis], kind="stable")
    begins = np.searchsorted(array[axis][order], np.arange(size + 1))
    counts = np.diff(begins)[wanted]
    starts = np.repeat(begins[wanted] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    numbers = order[starts + np.arange(starts.size)]
    places = array[:, numbers].copy()
    places[axis] = np.repeat(np.arange(wanted.size), counts)
    elements = x.elements.index_select(0, index_tensor(numbers))
    return coo(places, elements, shape, False)


def narrow_copy(input: SparseTensor, dim: int, start: int, length: int) -> SparseTensor:
    """A range of an axis.  Source: torch.narrow_copy."""
    return index_select(input, dim, index_tensor(np.arange(start, start + length)))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> SparseTensor:
    """Tensors one after the other along an axis.

    Raises: RuntimeError if one is dense, or sizes differ.  Source: torch.cat.
    """
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, SparseTensor):
            raise RuntimeError(
                "Concatenating sparse tensors, but a dense tensor was found at position "
                f"{position}."
            )
    parts = [by_coordinates(x) for x in tensors if isinstance(x, SparseTensor)]
    first = parts[0]
    axis = axis_of(first, dim)
    axes = first.sparse_axes
    for position, x in enumerate(parts):
        same = list(x._node.shape)
        same[axis : axis + 1] = [first._node.shape[axis]]
        if tuple(same) != first._node.shape or x.sparse_axes != axes:
            raise RuntimeError(
                "All tensors must have the same shape except in the concatenating dimension, and "
                f"equally many sparse axes; tensor {position} has {list(x._node.shape)}, the first "
                f"{list(first._node.shape)}"
            )
    total = sum(x._node.shape[axis] for x in parts)
    shape = (*first._node.shape[:axis], total, *first._node.shape[axis + 1 :])
    if axis < axes:
        moved, start = [], 0
        for x in parts:
            array = array_of(x.places[0]).copy()
            array[axis] += start
            start += x._node.shape[axis]
            moved.append(array)
        elements = joined([x.elements for x in parts], 0)
        return coo(np.concatenate(moved, axis=1), elements, shape, False)
    pieces, start = [], 0
    for x in parts:
        before = zeros(_with_axis(x, axis - axes + 1, start), dtype=x.elements.dtype)
        start += x._node.shape[axis]
        after = zeros(_with_axis(x, axis - axes + 1, total - start), dtype=x.elements.dtype)
        pieces.append(joined([before, x.elements, after], axis - axes + 1))
    places = np.concatenate([array_of(x.places[0]) for x in parts], axis=1)
    return coo(places, joined(pieces, 0), shape, False)


def _with_axis(x: SparseTensor, axis: int, size: int) -> tuple[int, ...]:
    shape = list(x.elements.shape)
    shape[axis] = size
    return tuple(shape)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> SparseTensor:
    """Tensors along a new axis.  Source: torch.stack."""
    return cat([x.unsqueeze(dim) for x in tensors], dim)
