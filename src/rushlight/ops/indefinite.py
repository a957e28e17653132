"""LDL factorization of symmetric and Hermitian matrices, which may be indefinite.  Level 11.

By diagonal pivoting with blocks of one and two (Bunch and Kaufman 1977), in LAPACK's compact form:
the factor's columns below the blocks of D, and pivots that count from one, negative and twice for a
block of two.
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import bool_, int32
from rushlight.ops.creation import value_of
from rushlight.ops.formats import column_major
from rushlight.ops.promotion import check_tensor
from rushlight.ops.return_types import return_type
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

_Factor = return_type("linalg_ldl_factor", "LD", "pivots")
_FactorEx = return_type("linalg_ldl_factor_ex", "LD", "pivots", "info")
# Bounds the growth of elements equally for both sizes of blocks.
_ALPHA = (1 + math.sqrt(17)) / 8


def _square(name: str, matrix: Tensor) -> None:
    check_tensor(name, matrix)
    shape = matrix._node.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {shape[-2]} by "
            f"{shape[-1]} matrices"
        )
    if not matrix._node.dtype.is_inexact or matrix._node.dtype.itemsize < 4:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input")


def _magnitude(values: np.ndarray) -> np.ndarray:
    """Sizes of elements; of complex ones the sum of those of their parts, as LAPACK compares."""
    return np.abs(values.real) + np.abs(values.imag)


def _pivot(a: np.ndarray, k: int) -> tuple[int, int]:
    """(row to exchange, size of the block) for column k; the row is -1 if the column is zero."""
    size = len(a)
    diagonal = _magnitude(a[k, k])
    below = _magnitude(a[k + 1 :, k])
    if not below.size:
        return (k if diagonal else -1), 1
    most = below.max()
    if max(diagonal, most) == 0:
        return -1, 1
    if diagonal >= _ALPHA * most:
        return k, 1
    row = k + 1 + int(below.argmax())
    widest = _magnitude(a[row, k:row]).max()
    if row + 1 < size:
        widest = max(widest, _magnitude(a[row + 1 :, row]).max())
    if diagonal >= _ALPHA * most * (most / widest):
        return k, 1
    return row, (1 if _magnitude(a[row, row]) >= _ALPHA * widest else 2)


def _exchange(a: np.ndarray, k: int, block: int, row: int, conjugated: bool) -> None:
    """Exchange rows and columns `k + block - 1` and `row` of the lower triangle."""
    at = k + block - 1
    if row == at:
        return
    a[row + 1 :, [at, row]] = a[row + 1 :, [row, at]]
    middle = a[at + 1 : row, at].copy()
    a[at + 1 : row, at], a[row, at + 1 : row] = a[row, at + 1 : row].copy(), middle
    if conjugated:
        a[at + 1 : row, at] = a[at + 1 : row, at].conj()
        a[row, at:row] = a[row, at:row].conj()
    a[at, at], a[row, row] = a[row, row], a[at, at]
    if block == 2:
        a[k + 1, k], a[row, k] = a[row, k], a[k + 1, k]


def _factored(matrix: np.ndarray, conjugated: bool) -> tuple[np.ndarray, np.ndarray, int]:
    a = np.tril(matrix)
    size = len(a)
    pivots = np.zeros(size, dtype=np.int32)
    info = k = 0
    while k < size:
        row, block = _pivot(a, k)
        if row < 0:
            info = info or k + 1
            row = k
        _exchange(a, k, block, row, conjugated)
        end = k + block
        columns = a[end:, k:end].copy()
        d = a[k:end, k:end].copy()
        if block == 2:
            d[0, 1] = d[1, 0].conj() if conjugated else d[1, 0]
        if columns.size and not (block == 1 and d[0, 0] == 0):
            scaled = columns @ np.linalg.inv(d)
            update = scaled @ (columns.conj().T if conjugated else columns.T)
            a[end:, end:] -= np.tril(update)
            a[end:, k:end] = scaled
        pivots[k:end] = row + 1 if block == 1 else -(row + 1)
        k = end
    return a, pivots, info


def ldl_factor_ex(A, *, hermitian=False, check_errors=False):  # noqa: N803 - PyTorch's name
    """`ldl_factor` with a third result: the first zero block of D, from one, or zero.

    Reads the matrices.  Raises: RuntimeError for shapes or dtypes that have none, where a gradient
    would be needed, and with `check_errors` for a singular D.
    Source: torch.linalg.ldl_factor_ex.
    """
    _square("torch.linalg.ldl_factor_ex", A)
    if is_grad_enabled() and current_edge(A) is not None:
        raise RuntimeError("the derivative for 'linalg_ldl_factor_ex' is not implemented.")
    array = value_of(A)
    factors = np.empty_like(array)
    pivots = np.empty(array.shape[:-1], dtype=np.int32)
    info = np.zeros(array.shape[:-2], dtype=np.int32)
    conjugated = bool(hermitian) and array.dtype.kind == "c"
    for place in np.ndindex(*array.shape[:-2]):
        factors[place], pivots[place], info[place] = _factored(array[place], conjugated)
    if check_errors and info.any():
        raise RuntimeError(
            "torch.linalg.ldl_factor_ex: The factorization has been completed, but the block "
            f"diagonal matrix D is singular at {int(info[info != 0][0])}"
        )
    dtype = A._node.dtype
    parts = (column_major(tensor_from_numpy(factors, dtype)), tensor_from_numpy(pivots, int32))
    return _FactorEx(*parts, tensor_from_numpy(info, int32))


def ldl_factor(A, *, hermitian=False):  # noqa: N803 - PyTorch's name
    """(LD, pivots) of symmetric or Hermitian matrices, of which the lower triangle is read.

    Shapes: (..., n, n) -> (..., n, n), (..., n).  Dtypes: floating, complex, of 32 or 64 bits.
    Raises: RuntimeError as `ldl_factor_ex`.  Source: torch.linalg.ldl_factor.
    """
    found = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return _Factor(found.LD, found.pivots)


def _solved(a: np.ndarray, pivots: np.ndarray, b: np.ndarray, conjugated: bool) -> np.ndarray:
    x = b.copy()
    size = len(a)
    blocks = []
    k = 0
    while k < size:
        block = 1 if pivots[k] > 0 else 2
        blocks.append((k, block))
        at, row, end = k + block - 1, abs(int(pivots[k])) - 1, k + block
        x[[at, row]] = x[[row, at]]
        x[end:] -= a[end:, k:end] @ x[k:end]
        d = a[k:end, k:end].copy()
        if block == 2:
            d[0, 1] = d[1, 0].conj() if conjugated else d[1, 0]
        x[k:end] = np.linalg.solve(d, x[k:end])
        k = end
    for k, block in reversed(blocks):
        end = k + block
        upper = a[end:, k:end].conj().T if conjugated else a[end:, k:end].T
        x[k:end] -= upper @ x[end:]
        at, row = k + block - 1, abs(int(pivots[k])) - 1
        x[[at, row]] = x[[row, at]]
    return x


def ldl_solve(LD, pivots, B, *, hermitian=False) -> Tensor:  # noqa: N803 - PyTorch's names
    """X of A X = B, from what `ldl_factor` gives for A.

    Shapes: (..., n, n), (..., n), (..., n, k) -> (..., n, k).  Reads its operands.
    Raises: RuntimeError for other shapes and dtypes, and where a gradient would be needed.
    Source: torch.linalg.ldl_solve.
    """
    _square("torch.linalg.ldl_solve", LD)
    check_tensor("torch.linalg.ldl_solve", B, "B")
    if B.dim() < 2 or B._node.shape[-2] != LD._node.shape[-1]:
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected B to have at least 2 dimensions and as many rows as "
            f"LD, got {list(B._node.shape)} for LD of {list(LD._node.shape)}"
        )
    if pivots._node.dtype.is_inexact or pivots._node.dtype is bool_:
        raise RuntimeError("torch.linalg.ldl_solve: Expected pivots to be integers")
    if B._node.dtype is not LD._node.dtype:
        raise RuntimeError("torch.linalg.ldl_solve: LD and B must have one dtype")
    if is_grad_enabled() and any(current_edge(x) is not None for x in (LD, B)):
        raise RuntimeError("the derivative for 'linalg_ldl_solve' is not implemented.")
    a, p, b = value_of(LD), value_of(pivots), value_of(B)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, p = np.broadcast_to(a, (*batch, *a.shape[-2:])), np.broadcast_to(p, (*batch, p.shape[-1]))
    b = np.broadcast_to(b, (*batch, *b.shape[-2:]))
    conjugated = bool(hermitian) and a.dtype.kind == "c"
    found = np.empty_like(b, order="C")
    for place in np.ndindex(*batch):
        found[place] = _solved(a[place], p[place], b[place], conjugated)
    return column_major(tensor_from_numpy(found, B._node.dtype))
