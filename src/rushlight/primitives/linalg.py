"""Factorisations and solutions of systems of linear equations, for batches of matrices.  Level 2.

Operands are floating or complex and have at least two axes; the spelling has checked that matrices
are square where they must be.  `check` says whether a matrix that cannot be taken is an error
(found when the tape is executed) or gives NaN.
"""

from __future__ import annotations

from rushlight.base.dtypes import int32, int64
from rushlight.base.shapes import broadcast_shapes
from rushlight.tape.primitive import Primitive


def _same(a, *params):
    return a.shape, a.dtype


def _solution(a, b, *params):
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"linear systems: expected A and B to have the same dtype, but found A of type "
            f"{a.dtype} and B of type {b.dtype} instead"
        )
    return (*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), b.dtype


def _orthogonal_and_triangular(a, complete):
    *batch, m, n = a.shape
    k = m if complete else min(m, n)
    return [((*batch, m, k), a.dtype), ((*batch, k, n), a.dtype)]


def _values_and_vectors(a):
    return [(a.shape[:-1], a.dtype.to_real()), (a.shape, a.dtype)]


def _complex_values_and_vectors(a):
    dtype = a.dtype.to_complex()
    return [(a.shape[:-1], dtype), (a.shape, dtype)]


def _singular(a, full):
    *batch, m, n = a.shape
    k = min(m, n)
    left, right = (m, n) if full else (k, k)
    return [
        ((*batch, m, left), a.dtype),
        ((*batch, k), a.dtype.to_real()),
        ((*batch, right, n), a.dtype),
    ]


def _triangular_factors(a):
    *batch, m, n = a.shape
    return [(a.shape, a.dtype), ((*batch, min(m, n)), int32), ((*batch, m), int64)]


def _matrix(name, arity, result, params=(), **more) -> Primitive:
    return Primitive(name, "linalg", "opaque", arity, result, params, **more)


# a = L L^H, L lower; only a's lower triangle is read.
cholesky = _matrix("cholesky", 1, _same, ("check",), grad_name="LinalgCholeskyEx")
# a x = b by elimination with pivots.
solve = _matrix("solve", 2, _solution, ("check",), grad_name="LinalgSolveEx")
# a x = b where only one triangle of a counts; unit: its diagonal counts as 1.
triangular_solve = _matrix(
    "triangular_solve", 2, _solution, ("upper", "unit"), grad_name="LinalgSolveTriangular"
)
# a a^H x = b where a's lower triangle counts, or a^H a x = b where the upper one does.  A primitive
# for its derivative, which reaches all of a as PyTorch's does: two triangular systems reach one
# triangle only.
cholesky_solve = _matrix("cholesky_solve", 2, _solution, ("upper",), grad_name="CholeskySolve")
qr = _matrix("qr", 1, _orthogonal_and_triangular, ("complete",), multiple=True)
# Eigenvalues, ascending, and eigenvectors of the Hermitian matrix given by a's lower triangle.
eigh = _matrix("eigh", 1, _values_and_vectors, multiple=True)
eig = _matrix("eig", 1, _complex_values_and_vectors, multiple=True)
# U, singular values in descending order, V^H.
svd = _matrix("svd", 1, _singular, ("full",), multiple=True)
# L and U in one matrix; for each row the row (counted from 1) it was exchanged with; and the rows
# of a in the order in which they stand in L U.
lu = _matrix("lu", 1, _triangular_factors, multiple=True)
