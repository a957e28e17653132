"""Matrices that keep blocks that are not all zero: `torch.sparse_bsr` and `sparse_bsc`.

Where blocks are is kept as where elements are in `sparse_csr` and `sparse_csc`; elements are
(n, block rows, block columns).  What has no rule for blocks is done with single elements.
Level: sparse (12).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.sparse import structure
from rushlight.tensor.sparse_tensor import COMPRESSED, SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor

BSR, BSC = formats.sparse_bsr, formats.sparse_bsc
BLOCKS = (BSR, BSC)


def is_of_blocks(x: Any) -> bool:
    """Whether it is a sparse tensor that keeps blocks."""
    return isinstance(x, SparseTensor) and x.form in BLOCKS


def _lines_and_others(x: SparseTensor) -> tuple[np.ndarray, np.ndarray]:
    begins, others = (array_of(part) for part in x.places)
    return np.repeat(np.arange(begins.size - 1), np.diff(begins)), others


def by_elements(x: SparseTensor) -> SparseTensor:
    """The same matrix by single elements, compressed by rows: those of its blocks, zeros too."""
    lines, others = _lines_and_others(x)
    rows, columns = (lines, others) if x.form is BSR else (others, lines)
    count, high, wide = x.elements.shape
    up, across = np.arange(high)[None, :, None], np.arange(wide)[None, None, :]
    places = [
        np.broadcast_to(rows[:, None, None] * high + up, (count, high, wide)).reshape(-1),
        np.broadcast_to(columns[:, None, None] * wide + across, (count, high, wide)).reshape(-1),
    ]
    elements = x.elements.reshape(count * high * wide)
    made = structure.coo(np.stack(places), elements, x._node.shape, False)
    return structure.compressed(made, structure.CSR)


def in_blocks(self: Tensor, blocksize: Any, layout: formats.layout) -> SparseTensor:
    """A matrix by blocks of (rows, columns), by rows or by columns of blocks.

    Raises: RuntimeError where the blocks do not divide it, or it is no matrix.
    """
    name = "to_sparse_bsr" if layout is BSR else "to_sparse_bsc"
    if is_of_blocks(self):
        self = by_elements(self)  # type: ignore[arg-type]
    dense = structure.to_dense(self)
    if dense.dim() != 2:
        raise RuntimeError(f"{name}: expected a matrix, got a tensor of {dense.dim()} axes")
    sizes = tuple(int(size) for size in blocksize) if blocksize is not None else ()
    shape = tuple(dense.shape)
    if len(sizes) != 2 or min(sizes) < 1 or shape[0] % sizes[0] or shape[1] % sizes[1]:
        raise RuntimeError(
            f"{name}: blocksize has two sizes that divide those of the matrix, {list(shape)}; got"
            f" {blocksize}"
        )
    high, wide = shape[0] // sizes[0], shape[1] // sizes[1]
    tiles = dense.reshape(high, sizes[0], wide, sizes[1])
    array = array_of(dense).reshape(high, sizes[0], wide, sizes[1])
    filled = (array != 0).any(axis=(1, 3))
    axes = (0, 2, 1, 3)
    if layout is BSC:
        filled, axes = filled.T, (2, 0, 1, 3)
    lines, others = np.nonzero(filled)
    begins = np.zeros(filled.shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(lines, minlength=filled.shape[0]), out=begins[1:])
    flat = tiles.permute(axes).reshape(high * wide, *sizes)  # type: ignore[attr-defined]
    elements = flat.index_select(0, index_tensor(np.flatnonzero(filled)))
    return SparseTensor(layout, (index_tensor(begins), index_tensor(others)), elements, shape, True)


def from_blocks(
    layout: formats.layout, begins: Tensor, others: Tensor, elements: Tensor,
    size: Sequence[int] | None,
) -> SparseTensor:  # fmt: skip
    """A matrix of given blocks.  Raises: RuntimeError if the parts do not fit."""
    names = COMPRESSED[layout]
    if begins.dim() != 1 or others.dim() != 1 or elements.dim() != 3:
        raise RuntimeError(
            f"{layout}: {names[0]} and {names[1]} have one axis and values three, got"
            f" {begins.dim()}, {others.dim()} and {elements.dim()}"
        )
    if others.shape[0] != elements.shape[0]:
        raise RuntimeError(
            f"number of {names[1]} ({others.shape[0]}) and of values ({elements.shape[0]}) differ"
        )
    block = tuple(elements.shape[1:])
    lines = begins.shape[0] - 1
    if size is None:
        array = array_of(others)
        counts = (lines, int(array.max()) + 1 if array.size else 0)
        high, wide = counts if layout is BSR else counts[::-1]
        shape: tuple[int, ...] = (high * block[0], wide * block[1])
    else:
        shape = tuple(int(n) for n in size)
    along = 0 if layout is BSR else 1
    if len(shape) != 2 or shape[0] % block[0] or shape[1] % block[1]:
        raise RuntimeError(f"{layout}: blocks of {list(block)} do not divide size {list(shape)}")
    if shape[along] // block[along] != lines:
        raise RuntimeError(
            f"{layout}: {names[0]} must have {shape[along] // block[along] + 1} entries, got"
            f" {lines + 1}"
        )
    return SparseTensor(layout, (begins, others), elements, shape, True)


def transposed(x: SparseTensor) -> SparseTensor:
    """Rows and columns exchanged: by columns of blocks where it was by rows."""
    other = BSC if x.form is BSR else BSR
    elements = x.elements.transpose(1, 2)  # type: ignore[attr-defined]
    return SparseTensor(other, x.places, elements, x._node.shape[::-1], True)


def apart(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with operands of blocks taken apart first.

    Raises, where it writes into one: NotImplementedError.
    """
    writes = (name.endswith("_") and not name.endswith("__")) or name.startswith("__i")

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if not any(is_of_blocks(x) for x in args):
            return function(*args, **kwargs)
        if writes and is_of_blocks(args[0]):
            raise NotImplementedError(
                f"{name}: a matrix of blocks is not written to; use the operation that returns one"
            )
        return function(*[by_elements(x) if is_of_blocks(x) else x for x in args], **kwargs)

    return called


def turning(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that exchanges axes, for matrices of blocks as well."""

    @functools.wraps(function)
    def called(self: SparseTensor, *axes: int) -> SparseTensor:
        if not is_of_blocks(self):
            return function(self, *axes)
        exchanges = not axes or axes[0] % 2 != axes[1] % 2
        return transposed(self) if exchanges else self

    return called


def to_sparse_bsr(self: Tensor, blocksize: Any, dense_dim: int | None = None) -> SparseTensor:
    """A matrix by rows of blocks.  Source: torch.Tensor.to_sparse_bsr."""
    return in_blocks(self, blocksize, BSR)


def to_sparse_bsc(self: Tensor, blocksize: Any, dense_dim: int | None = None) -> SparseTensor:
    """A matrix by columns of blocks.  Source: torch.Tensor.to_sparse_bsc."""
    return in_blocks(self, blocksize, BSC)


def to_sparse(
    self: Tensor,
    sparse_dim: Any = None,
    *,
    layout: formats.layout | None = None,
    blocksize: Any = None,
    dense_dim: int | None = None,
) -> SparseTensor:
    """A tensor in one of the sparse layouts.  Source: torch.Tensor.to_sparse."""
    if layout in BLOCKS:
        return in_blocks(self, blocksize, layout)
    return structure.to_sparse(self, sparse_dim, layout=layout, blocksize=blocksize)
