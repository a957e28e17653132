"""Batching rules of the factorisations, which take batches of matrices as they are.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import broadcasting
from rushlight.primitives import linalg as p

for _primitive in (
    p.cholesky, p.solve, p.triangular_solve, p.cholesky_solve, p.qr, p.eigh, p.eig, p.svd, p.lu,
):  # fmt: skip
    broadcasting(_primitive, __name__)
