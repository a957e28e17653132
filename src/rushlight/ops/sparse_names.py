"""Names of sparse tensors that dense ones answer to, too; loads `rushlight.sparse` at first need.

Level 11.
"""

from __future__ import annotations

import importlib
from typing import Any

from rushlight.ops.spelling import attach_method
from rushlight.tensor.tensor import Tensor


def _structure(module: str = "structure") -> Any:
    importlib.import_module("rushlight.sparse")
    return importlib.import_module(f"rushlight.sparse.{module}")


@attach_method("to_sparse")
def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None) -> Tensor:
    """The nonzero elements, in a sparse layout; reads the tensor."""
    return _structure("blocks").to_sparse(self, sparse_dim, layout=layout, blocksize=blocksize)


@attach_method("to_sparse_coo")
def to_sparse_coo(self) -> Tensor:
    """The nonzero elements by coordinates."""
    return _structure().to_sparse(self)


@attach_method("to_sparse_csr")
def to_sparse_csr(self, dense_dim=None) -> Tensor:
    """A matrix by rows."""
    return _structure().to_sparse_csr(self)


@attach_method("to_sparse_csc")
def to_sparse_csc(self, dense_dim=None) -> Tensor:
    """A matrix by columns."""
    return _structure().to_sparse_csc(self)


@attach_method("to_sparse_bsr")
def to_sparse_bsr(self, blocksize, dense_dim=None) -> Tensor:
    """A matrix by rows of blocks."""
    return _structure("blocks").to_sparse_bsr(self, blocksize)


@attach_method("to_sparse_bsc")
def to_sparse_bsc(self, blocksize, dense_dim=None) -> Tensor:
    """A matrix by columns of blocks."""
    return _structure("blocks").to_sparse_bsc(self, blocksize)


@attach_method("sparse_mask")
def sparse_mask(self, mask) -> Tensor:
    """The elements at the places of a sparse tensor."""
    return _structure().sparse_mask(self, mask)


@attach_method("to_dense")
def to_dense(self, dtype=None, *, masked_grad=None) -> Tensor:
    """The tensor itself, or with another dtype."""
    return self if dtype is None else self.to(dtype)


def _refusing(name: str, wanted: str, kind: type[Exception]):
    def method(self):
        raise kind(
            f"{name} expected {wanted} tensor layout but got Strided; use to_sparse() before"
        )

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Of sparse tensors only.  Raises: {kind.__name__}."
    attach_method(name)(method)


for _name in ("coalesce", "is_coalesced", "indices"):
    _refusing(_name, "sparse coordinate", RuntimeError)
for _name in ("crow_indices", "col_indices", "ccol_indices", "row_indices"):
    _refusing(_name, "sparse compressed", RuntimeError)
_refusing("values", "sparse", RuntimeError)
for _name in ("_nnz", "_indices", "_values"):
    _refusing(_name, "sparse", NotImplementedError)


@attach_method("sparse_dim")
def sparse_dim(self) -> int:
    """How many axes are coordinates: none."""
    return 0


@attach_method("dense_dim")
def dense_dim(self) -> int:
    """How many axes are not coordinates: all."""
    return len(self._node.shape)


@attach_method("smm")
def smm(self, mat) -> Tensor:
    """A sparse matrix times a dense one, as a sparse matrix."""
    return _structure("former").smm(self, mat)


@attach_method("sspaddmm")
def sspaddmm(self, mat1, mat2, *, beta=1, alpha=1) -> Tensor:
    """beta self + alpha (mat1 @ mat2), as a sparse matrix."""
    return _structure("former").sspaddmm(self, mat1, mat2, beta=beta, alpha=alpha)
