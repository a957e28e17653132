"""Matrix products with sparse operands.

In: matrices, sparse or dense.  Out: a dense tensor for a product with a dense one, a sparse tensor
for one of two sparse ones.  Elements are gathered, multiplied and added up by operations of the
tape, so that gradients reach them and the dense operand alike.  Level: sparse (12).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ops.creation import zeros
from rushlight.sparse.arithmetic import add, in_form_of
from rushlight.sparse.structure import (
    COO,
    added_at,
    by_coordinates,
    coalesce,
    coo,
    matrix_transpose,
    rows_and_columns,
)
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor


def _need_matrices(operation: str, x: Tensor, y: Tensor) -> None:
    first, second = x._node.shape, y._node.shape
    if len(first) != 2 or len(second) != 2:
        raise RuntimeError(
            f"{operation}: expected two matrices, got {len(first)} and {len(second)} axes"
        )
    if first[1] != second[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({first[0]}x{first[1]} and "
            f"{second[0]}x{second[1]})"
        )
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"{operation}: expected both operands to have one dtype, got {x.dtype} and {y.dtype}"
        )


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """Product of two matrices, at least one of them sparse.

    Shapes: (m, k) @ (k, n) -> (m, n).  Raises: RuntimeError.  Source: torch.mm.
    """
    _need_matrices("mm", input, mat2)
    if isinstance(input, SparseTensor):
        if isinstance(mat2, SparseTensor):
            return _sparse_by_sparse(input, mat2)
        return _sparse_by_dense(input, mat2)
    assert isinstance(mat2, SparseTensor)
    return _sparse_by_dense(matrix_transpose(mat2), input.t()).t()


def _sparse_by_dense(x: SparseTensor, dense: Tensor) -> Tensor:
    if x.sparse_axes != 2:
        raise RuntimeError("mm: expected the matrix to have two sparse axes")
    rows, columns = rows_and_columns(x)
    terms = x.elements.unsqueeze(1) * dense.index_select(0, index_tensor(columns))
    return added_at(x._node.shape[0], rows, terms)


def _sparse_by_sparse(x: SparseTensor, y: SparseTensor) -> SparseTensor:
    """For each pair of elements of the same inner number one term; equal places are added up."""
    left, right = coalesce(by_coordinates(x)), coalesce(by_coordinates(y))
    rows, inner = array_of(left.places[0])
    lines, columns = array_of(right.places[0])
    begins = np.searchsorted(lines, np.arange(x._node.shape[1] + 1))
    counts = np.diff(begins)[inner]
    first = np.repeat(np.arange(inner.size), counts)
    starts = begins[inner] - np.concatenate(([0], np.cumsum(counts)[:-1]))
    second = np.repeat(starts, counts) + np.arange(first.size)
    terms = left.elements.index_select(0, index_tensor(first)) * right.elements.index_select(
        0, index_tensor(second)
    )
    shape = (x._node.shape[0], y._node.shape[1])
    places = np.stack([rows[first], columns[second]])
    return in_form_of(coalesce(coo(places, terms, shape, False)), x)


def mv(input: SparseTensor, vec: Tensor) -> Tensor:
    """A matrix times a vector.  Source: torch.mv."""
    return mm(input, vec.unsqueeze(1)).squeeze(1)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """`mm` or `mv`, by the number of axes.

    Raises: NotImplementedError for batches.  Source: torch.matmul.
    """
    ranks = (len(input._node.shape), len(other._node.shape))
    if ranks == (2, 2):
        return mm(input, other)
    if ranks == (2, 1) and isinstance(input, SparseTensor):
        return mv(input, other)
    if ranks == (1, 2) and isinstance(other, SparseTensor):
        return mv(matrix_transpose(other), input)
    raise NotImplementedError(
        f"matmul: operands of {ranks[0]} and {ranks[1]} axes with a sparse one are not supported; "
        "multiply matrices one by one, or use to_dense()"
    )


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta input + alpha (mat1 @ mat2).  Source: torch.addmm."""
    product = mm(mat1, mat2)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product
    scaled = input if beta == 1 else input * beta
    return add(scaled, product) if isinstance(product, SparseTensor) else scaled + product


def reduced_mm(x: Tensor, dense: Tensor, reduce: str) -> Tensor:
    """A product whose terms are reduced otherwise: "sum", "mean", "amax" or "amin".

    Rows without elements are zero.  Raises: RuntimeError as PyTorch.
    """
    if reduce not in ("sum", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, mean, amax or amin, got {reduce}")
    if not isinstance(x, SparseTensor) or x.form is COO:
        raise RuntimeError("sparse.mm with reduce expects the first operand in the CSR layout")
    _need_matrices("sparse.mm", x, dense)
    if reduce == "sum":
        return _sparse_by_dense(x, dense)
    rows, columns = rows_and_columns(x)
    if reduce == "mean":
        counts = np.maximum(np.bincount(rows, minlength=x._node.shape[0]), 1)
        return _sparse_by_dense(x, dense) / index_tensor(counts).to(x.dtype).unsqueeze(1)
    terms = x.elements.unsqueeze(1) * dense.index_select(0, index_tensor(columns))
    numbers = index_tensor(rows).unsqueeze(1).expand(*terms.shape)
    start = zeros((x._node.shape[0], dense.shape[1]), dtype=x.dtype)
    return start.scatter_reduce(0, numbers, terms, reduce, include_self=False)


def sampled_addmm(
    input: SparseTensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0
) -> SparseTensor:
    """beta input + alpha (mat1 @ mat2) at the places of `input`.

    Source: torch.sparse.sampled_addmm.
    """
    rows, columns = rows_and_columns(input)
    left = mat1.index_select(0, index_tensor(rows))
    right = mat2.t().index_select(0, index_tensor(columns))
    return input.with_elements(input.elements * beta + (left * right).sum(1) * alpha)


FUNCTIONS.update({"mm": mm, "mv": mv, "matmul": matmul, "addmm": addmm})
