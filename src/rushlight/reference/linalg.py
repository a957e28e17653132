"""NumPy rules of the factorisations.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.base.errors import LinAlgError
from rushlight.primitives import linalg as p
from rushlight.reference.table import define


def _cholesky(a, check):
    lower = np.tril(a)
    diagonal = np.real(np.diagonal(a, axis1=-2, axis2=-1))
    whole = lower + np.conj(np.swapaxes(np.tril(a, -1), -1, -2))
    rows = np.arange(a.shape[-1])
    whole[..., rows, rows] = diagonal  # the diagonal of a Hermitian matrix is real
    result = np.full(a.shape, np.nan, a.dtype)
    for place in np.ndindex(*a.shape[:-2]):
        try:
            result[place] = np.linalg.cholesky(whole[place])
        except np.linalg.LinAlgError:
            if check:
                raise LinAlgError(
                    "linalg.cholesky: The factorization could not be completed because the input "
                    "is not positive-definite"
                ) from None
    return result


def _batched(a, b) -> tuple:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return np.broadcast_to(a, batch + a.shape[-2:]), np.broadcast_to(b, batch + b.shape[-2:])


def _solve(a, b, check):
    a, b = _batched(a, b)
    result = np.full(b.shape, np.nan, b.dtype)
    for place in np.ndindex(*b.shape[:-2]):
        try:
            result[place] = np.linalg.solve(a[place], b[place])
        except np.linalg.LinAlgError:
            if check:
                raise LinAlgError(
                    "linalg.solve: The solver failed because the input matrix is singular."
                ) from None
    return result


def _triangular_solve(a, b, upper, unit):
    a, b = _batched(a, b)
    size = a.shape[-1]
    result = np.array(b, order="C")
    rows = reversed(range(size)) if upper else range(size)
    for row in rows:
        known = slice(row + 1, size) if upper else slice(0, row)
        seen = a[..., row, None, known] @ result[..., known, :]
        result[..., row, :] -= seen[..., 0, :]
        if not unit:
            result[..., row, :] /= a[..., row, row, None]
    return result


def _cholesky_solve(a, b, upper):
    turned = np.conj(np.swapaxes(a, -1, -2))
    lower, higher = (turned, a) if upper else (a, turned)
    return _triangular_solve(higher, _triangular_solve(lower, b, False, False), True, False)


def _qr(a, complete):
    q, r = np.linalg.qr(a, "complete" if complete else "reduced")
    return [q, r]


def _phases(vectors):
    """For each column the unit number that makes its largest element positive.

    LAPACK's signs depend on its version; results should not.
    """
    if 0 in vectors.shape:
        return np.ones((*vectors.shape[:-2], 1, vectors.shape[-1]), vectors.dtype)
    place = np.abs(vectors).argmax(-2)[..., None, :]
    largest = np.take_along_axis(vectors, place, -2)
    size = np.abs(largest)
    return np.conj(largest) / np.where(size == 0, 1, size)


def _eigh(a):
    values, vectors = np.linalg.eigh(a, "L")
    return [values, vectors * _phases(vectors)]


def _eig(a):
    values, vectors = np.linalg.eig(a)
    return [values, vectors]


def _svd(a, full):
    if 0 in a.shape[-2:]:
        *batch, m, n = a.shape
        left, right = (m, n) if full else (0, 0)
        u = np.broadcast_to(np.eye(m, left, dtype=a.dtype), (*batch, m, left))
        v = np.broadcast_to(np.eye(right, n, dtype=a.dtype), (*batch, right, n))
        return [u, np.zeros((*batch, 0), a.real.dtype), v]
    u, values, vh = np.linalg.svd(a, full_matrices=full)
    k = values.shape[-1]
    phases = _phases(u[..., :k])
    u[..., :k] *= phases
    vh[..., :k, :] *= np.conj(np.swapaxes(phases, -1, -2))
    return [u, values, vh]


def _lu(a):
    packed = np.array(a, order="C")
    *batch, m, n = a.shape
    pivots = np.zeros((*batch, min(m, n)), np.int32)
    order = np.array(np.broadcast_to(np.arange(m), (*batch, m)))
    for place in np.ndindex(*batch):
        _eliminate(packed[place], pivots[place], order[place])
    return [packed, pivots, order]


def _eliminate(a, pivots, order) -> None:
    """Gaussian elimination in place, choosing in each column the largest element."""
    for column in range(min(a.shape)):
        candidates = a[column:, column]
        # LAPACK compares |re| + |im|, which needs no root.
        best = column + int((np.abs(candidates.real) + np.abs(candidates.imag)).argmax())
        pivots[column] = best + 1
        if best != column:
            a[[column, best]] = a[[best, column]]
            order[[column, best]] = order[[best, column]]
        if a[column, column] != 0:
            below = slice(column + 1, None)
            a[below, column] /= a[column, column]
            a[below, below] -= np.outer(a[below, column], a[column, below])


define(p.cholesky, __name__, _cholesky)
define(p.solve, __name__, _solve)
define(p.triangular_solve, __name__, _triangular_solve)
define(p.cholesky_solve, __name__, _cholesky_solve)
define(p.qr, __name__, _qr)
define(p.eigh, __name__, _eigh)
define(p.eig, __name__, _eig)
define(p.svd, __name__, _svd)
define(p.lu, __name__, _lu)
