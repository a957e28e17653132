"""Samples of the factorisations.

Eigenvectors and singular vectors are unique up to signs: PyTorch's are brought to our convention.
"""

from __future__ import annotations

import numpy as np
import torch

from rushlight.base.errors import LinAlgError
from tests.samples.row import Error, Row, random_array

_DTYPES = ("float64", "float32")
_TOLERANCE = {"float64": 1e-9, "float32": 2e-3}
_REASON = "the errors of a factorisation grow with the condition of the matrix"
_SQUARES = (((3, 3),), ((2, 4, 4),), ((1, 1),))
_SYSTEMS = (((3, 3), (3, 2)), ((2, 1, 3, 3), (4, 3, 1)), ((2, 2), (2, 0)))


def _definite(generator, shapes, dtype, params):
    a = random_array(generator, shapes[0], dtype, -1.0, 1.0)
    n = a.shape[-1]
    found = [(a @ np.swapaxes(a, -1, -2) + n * np.eye(n)).astype(dtype)]
    return found + [random_array(generator, s, dtype, -2.0, 2.0) for s in shapes[1:]]


def _regular(generator, shapes, dtype, params):
    """Well-conditioned matrices whose pivots are clear."""
    found = []
    for position, shape in enumerate(shapes):
        a = random_array(generator, shape, dtype, -1.0, 1.0)
        if position == 0:
            a = a + np.eye(*shape[-2:]) * (3 + np.arange(shape[-1]))
        found.append(a.astype(dtype))
    return found


def _signs(vectors):
    """Our convention: the largest element of each column is positive."""
    place = vectors.detach().abs().argmax(-2, keepdim=True)
    return vectors.detach().gather(-2, place).sign()


def _eigh(a):
    values, vectors = torch.linalg.eigh(a)
    return values, vectors * _signs(vectors)


def _svd(a, full):
    u, values, vh = torch.linalg.svd(a, full)
    signs = _signs(u)
    return u * signs, values, vh * signs.transpose(-1, -2)


def _triangular(a, b, upper, unit):
    return torch.linalg.solve_triangular(a, b, upper=upper, unitriangular=unit)


def _factored(a, b, upper):
    return torch.cholesky_solve(b, a, upper)


def _packed_lu(a):
    packed, pivots = torch.linalg.lu_factor(a)
    rows = torch.arange(a.shape[-2]).expand(*a.shape[:-1]).clone()
    for place in np.ndindex(*a.shape[:-2]):
        for i, j in enumerate(pivots[place].tolist()):
            rows[place][[i, j - 1]] = rows[place][[j - 1, i]]
    return packed, pivots, rows


_SINGULAR = Error((((2, 2), "float32"), ((2, 1), "float32")), (True,), LinAlgError, "singular")

ROWS = (
    Row("cholesky", lambda a, check: torch.linalg.cholesky(a), _SQUARES, ((True,),), _DTYPES,
        operands=_definite, tolerance=_TOLERANCE, reason=_REASON, finite_differences=False,
        second_order=False,
        errors=(Error((((2, 2), "float32"),), (True,), LinAlgError, "not positive-definite"),)),
    Row("solve", lambda a, b, check: torch.linalg.solve(a, b), _SYSTEMS, ((True,),), _DTYPES,
        operands=_regular, differentiable=(0, 1), tolerance=_TOLERANCE, reason=_REASON,
        errors=(_SINGULAR,)),
    Row("triangular_solve", _triangular, _SYSTEMS,
        ((True, False), (False, False), (True, True), (False, True)), _DTYPES, operands=_regular,
        differentiable=(0, 1), tolerance=_TOLERANCE, reason=_REASON),
    Row("cholesky_solve", _factored, _SYSTEMS, ((False,), (True,)), _DTYPES, operands=_regular,
        differentiable=(0, 1), tolerance=_TOLERANCE, reason=_REASON, finite_differences=False),
    Row("qr", lambda a, complete: torch.linalg.qr(a, "complete" if complete else "reduced"),
        (((3, 3),), ((2, 4, 3),), ((2, 4),)), ((False,),), _DTYPES, operands=_regular,
        tolerance=_TOLERANCE, reason=_REASON),
    Row("eigh", _eigh, _SQUARES, dtypes=_DTYPES, operands=_definite,
        tolerance=_TOLERANCE, reason=_REASON, finite_differences=False, second_order=False),
    Row("eig", lambda a: torch.linalg.eig(a), (((3, 3),), ((1, 1),)), dtypes=("float64",),
        operands=_definite, tolerance=_TOLERANCE, reason=_REASON, differentiable=()),
    Row("svd", _svd, (((3, 3),), ((2, 4, 3),), ((2, 4),)),
        ((False,),), _DTYPES, operands=_regular, tolerance=_TOLERANCE, reason=_REASON,
        second_order=False),
    Row("lu", _packed_lu, (*_SQUARES, ((2, 4),), ((4, 2),)), dtypes=_DTYPES,
        operands=_regular, tolerance=_TOLERANCE, reason=_REASON),
)  # fmt: skip
