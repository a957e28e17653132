"""Former names of sparse tensors and of their products, which programs on graphs still use.

In: coordinates and values, or matrices.  Out: what today's `sparse_coo_tensor`, `mm` and `addmm`
return, in the layouts that the former names promise.  Level: sparse (12).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import ALL_DTYPES, int64
from rushlight.ops import matmul
from rushlight.sparse.arithmetic import add
from rushlight.sparse.construction import sparse_coo_tensor
from rushlight.sparse.structure import COO, added_at, coo, rows_and_columns
from rushlight.tensor.autodiff import type_name
from rushlight.tensor.sparse_tensor import SparseTensor, array_of, index_tensor
from rushlight.tensor.tensor import Tensor

# ---- constructors --------------------------------------------------------------------------------


class _SparseConstructor(type):
    """Metaclass of `sparse.FloatTensor` and the like; `isinstance` asks for layout and dtype."""

    dtype: Any

    def __call__(cls, *arguments: Any, device: Any = None) -> SparseTensor:
        if len(arguments) in (2, 3) and all(isinstance(x, Tensor) for x in arguments[:2]):
            return _at_coordinates(*arguments, device=device)
        sizes = arguments
        if len(arguments) == 1 and isinstance(arguments[0], tuple):
            sizes = arguments[0]
        if not all(isinstance(size, int) for size in sizes):
            raise TypeError(
                f"sparse.{cls.__name__}: expected indices and values as tensors and, after them, a "
                f"size, or sizes alone, got {', '.join(type(x).__name__ for x in arguments)}; "
                "sparse_coo_tensor takes lists, and to_sparse() a dense tensor"
            )
        return sparse_coo_tensor(tuple(sizes) or (0,), dtype=cls.dtype, device=device)

    def __instancecheck__(cls, value: Any) -> bool:
        sparse = isinstance(value, SparseTensor) and value.form is COO
        return sparse and value.dtype is cls.dtype and value.device.type in ("cpu", "meta")

    def __repr__(cls) -> str:
        return f"<class 'torch.sparse.{cls.__name__}'>"


def _at_coordinates(
    indices: Tensor, values: Tensor, size: Any = None, *, device: Any = None
) -> SparseTensor:
    """The values keep their dtype, whatever the constructor's name says, as in PyTorch."""
    if indices.dtype is not int64:
        raise RuntimeError(
            f"sparse tensor: indices must be int64, got {indices.dtype}; convert with .long()"
        )
    return sparse_coo_tensor(indices, values, size, device=device)


TYPES: dict[str, Any] = {}
for _dtype in ALL_DTYPES:
    _name = type_name(_dtype).removeprefix("torch.")
    if not _dtype.is_complex and _name != "BoolTensor":
        TYPES[_name] = _SparseConstructor(
            _name, (), {"dtype": _dtype, "__doc__": f"Makes sparse tensors of {_dtype}."}
        )


# ---- products ------------------------------------------------------------------------------------


def spmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Today's `mm`.  Source: torch.spmm."""
    return matmul.mm(input, mat2)


def dsmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Today's `mm`.  Source: torch.dsmm."""
    return matmul.mm(input, mat2)


def _need_sparse_and_dense(name: str, sparse: Tensor, dense: Tensor) -> None:
    if not isinstance(sparse, SparseTensor) or sparse.form is not COO:
        raise RuntimeError(
            f"{name}: expected a sparse matrix by coordinates, got {sparse.layout}; use "
            "to_sparse_coo(), or mm"
        )
    rows, columns = sparse._node.shape[1], dense._node.shape[0]
    if rows != columns:
        raise RuntimeError(
            f"{name}: Argument #3: Expected dim 0 size {rows}, got {columns}; inner sizes differ"
        )


def hspmm(mat1: SparseTensor, mat2: Tensor) -> SparseTensor:
    """A sparse matrix times a dense one, of which only the rows with elements are kept.

    Shapes: (m, k) @ (k, n) -> (m, n), with one sparse and one dense axis.
    Raises: RuntimeError.  Source: torch.hspmm.

    >>> import rushlight
    >>> hspmm(rushlight.eye(2).to_sparse(), rushlight.ones(2, 3)).sparse_dim()
    1
    """
    _need_sparse_and_dense("hspmm", mat1, mat2)
    numbers, columns = rows_and_columns(mat1)
    rows, places = np.unique(numbers, return_inverse=True)
    terms = mat1.elements.unsqueeze(1) * mat2.index_select(0, index_tensor(columns))
    kept = added_at(rows.size, places, terms)
    return coo(rows[None], kept, (mat1._node.shape[0], mat2._node.shape[1]), True)


def hsmm(mat1: SparseTensor, mat2: Tensor) -> SparseTensor:
    """`hspmm`.  Source: torch.hsmm."""
    return hspmm(mat1, mat2)


def smm(input: SparseTensor, mat: Tensor) -> SparseTensor:
    """A sparse matrix times a dense one, as a sparse matrix.

    Shapes: (m, k) @ (k, n) -> (m, n).  Raises: RuntimeError.  Source: torch.smm.

    >>> import rushlight
    >>> smm(rushlight.eye(2).to_sparse(), rushlight.ones(2, 2)).layout
    torch.sparse_coo
    """
    product = hspmm(input, mat)
    rows, width = array_of(product.places[0])[0], mat._node.shape[1]
    places = np.stack([np.repeat(rows, width), np.tile(np.arange(width), rows.size)])
    return coo(places, product.elements.flatten(), product._node.shape, True)


def sspaddmm(
    input: SparseTensor, mat1: SparseTensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> SparseTensor:
    """beta input + alpha (mat1 @ mat2), as a sparse matrix.

    Shapes: (m, n), (m, k), (k, n) -> (m, n).  Raises: RuntimeError.  Source: torch.sspaddmm.

    >>> import rushlight
    >>> x = rushlight.eye(2).to_sparse()
    >>> sspaddmm(x, x, rushlight.ones(2, 2)).to_dense()
    tensor([[2., 1.],
            [1., 2.]])
    """
    product = smm(mat1, mat2)
    scaled = input if beta == 1 else input * beta
    found = add(scaled, product if alpha == 1 else product * alpha)
    assert isinstance(found, SparseTensor)  # a sum of two sparse tensors is one
    return found


def saddmm(
    input: SparseTensor, mat1: SparseTensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> SparseTensor:
    """`sspaddmm`.  Source: torch.saddmm."""
    return sspaddmm(input, mat1, mat2, beta=beta, alpha=alpha)
