"""PyTorch's `torch.sparse`: tensors that keep only the elements that are not zero.

By coordinates (`torch.sparse_coo`), compressed by rows or columns (`sparse_csr`, `sparse_csc`), and
by blocks (`sparse_bsr`, `sparse_bsc`).  Loaded when a program first makes such a tensor.
Level: sparse (12).
"""

from __future__ import annotations

from typing import Any

from rushlight.base.dtypes import DType
from rushlight.ops.linalg import solve
from rushlight.sparse import former, methods  # noqa: F401 - attaches what sparse tensors do
from rushlight.sparse.blocks import apart
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
    "spsolve",
    "sum",
]


globals().update(former.TYPES)


def mm(mat1: Tensor, mat2: Tensor, reduce: str | None = None) -> Tensor:
    """Product of a sparse matrix with a sparse or dense one.

    reduce: "sum", "mean", "amax" or "amin" of the terms, for a matrix by rows and a dense one.
    Gradients are sparse for sparse operands.  Source: torch.sparse.mm.
    """
    if not isinstance(mat1, SparseTensor) and not isinstance(mat2, SparseTensor):
        raise RuntimeError("sparse.mm: one of the operands must be sparse; use torch.mm")
    if reduce is None:
        return apart("mm", _mm)(mat1, mat2)
    return apart("mm", reduced_mm)(mat1, mat2, reduce)


def addmm(
    mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1.0, alpha: float = 1.0
) -> Tensor:
    """beta mat + alpha (mat1 @ mat2), with mat1 sparse.  Source: torch.sparse.addmm."""
    return apart("addmm", _addmm)(mat, mat1, mat2, beta=beta, alpha=alpha)


def spsolve(input: Tensor, other: Tensor, *, left: bool = True) -> Tensor:
    """X with A X = B, or X A = B for left=False.  The matrix is factorized as a dense one.

    Shapes: input (n, n) by rows; other (n,) or (n, k); dense.
    Raises: RuntimeError for a matrix in another layout; LinAlgError if it is singular.
    Source: torch.sparse.spsolve.

    >>> import rushlight
    >>> matrix = rushlight.tensor([[2.0, 0.0], [0.0, 4.0]]).to_sparse_csr()
    >>> spsolve(matrix, rushlight.ones(2))
    tensor([0.5000, 0.2500])
    """
    if not isinstance(input, SparseTensor) or not input.is_sparse_csr:  # type: ignore[attr-defined]
        raise RuntimeError("sparse.spsolve: expected a matrix in the CSR layout; use to_sparse_csr")
    return solve(input.to_dense(), other, left=left)  # type: ignore[attr-defined]


def sum(input: Tensor, dim: Any = None, dtype: DType | None = None) -> Tensor:
    """Sum of all elements, or along axes; dense once no sparse axis is left.

    Raises: RuntimeError for a dense tensor.  Source: torch.sparse.sum.
    """
    if not isinstance(input, SparseTensor):
        raise RuntimeError("sparse.sum: expected a sparse tensor; use torch.sum for dense ones")
    return apart("sum", _sum)(input, dim, dtype=dtype)
