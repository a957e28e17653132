"""PyTorch's `torch.sparse`: tensors that keep only the elements that are not zero.

By coordinates (`torch.sparse_coo`) and compressed by rows or columns (`sparse_csr`, `sparse_csc`);
layouts by blocks are not supported.  Loaded when a program first makes such a tensor.
Level: sparse (12).
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import DType
from rushlight.sparse import methods  # noqa: F401 - attaches what sparse tensors do
from rushlight.sparse.construction import check_sparse_tensor_invariants
from rushlight.sparse.diagonals import spdiags
from rushlight.sparse.products import addmm as _addmm
from rushlight.sparse.products import mm as _mm
from rushlight.sparse.products import reduced_mm, sampled_addmm
from rushlight.sparse.reduction import log_softmax, softmax
from rushlight.sparse.reduction import sum as _sum
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.tensor import Tensor

__all__ = [
    "addmm",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "sum",
]


def mm(mat1: Tensor, mat2: Tensor, reduce: str | None = None) -> Tensor:
    """Product of a sparse matrix with a sparse or dense one.

    reduce: "sum", "mean", "amax" or "amin" of the terms, for a matrix by rows and a dense one.
    Gradients are sparse for sparse operands.  Source: torch.sparse.mm.
    """
    if not isinstance(mat1, SparseTensor) and not isinstance(mat2, SparseTensor):
        raise RuntimeError("sparse.mm: one of the operands must be sparse; use torch.mm")
    return _mm(mat1, mat2) if reduce is None else reduced_mm(mat1, mat2, reduce)


def addmm(
    mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """beta mat + alpha (mat1 @ mat2), with mat1 sparse.  Source: torch.sparse.addmm."""
    return _addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def sum(input: Tensor, dim: Any = None, dtype: DType | None = None) -> Tensor:
    """Sum of all elements, or along axes; dense once no sparse axis is left.

    Raises: RuntimeError for a dense tensor.  Source: torch.sparse.sum.
    """
    if not isinstance(input, SparseTensor):
        raise RuntimeError("sparse.sum: expected a sparse tensor; use torch.sum for dense ones")
    return _sum(input, dim, dtype=dtype)
