"""JVP rows of the factorisations.  Level 5.

Solutions of systems have rules of their own; factorisations transpose their VJP, whose formulas
need the same products and solves.
"""

from __future__ import annotations

from rushlight.jvp.table import TRANSPOSED, define
from rushlight.primitives import elementwise as e
from rushlight.primitives import linalg as p
from rushlight.primitives.contraction import matmul
from rushlight.vjp.linalg import adjoint, lower_triangle, off_diagonal, upper_triangle


def _right_side(ta, tb, out):
    """tb - ta @ out."""
    if ta is None:
        return tb
    moved = e.neg(matmul(ta, out, False, False))
    return moved if tb is None else e.add(tb, moved)


def _solve_jvp(tangents, out, operands, check):
    a, _ = operands
    return p.solve(a, _right_side(*tangents, out), check)


def _triangle_jvp(tangents, out, operands, upper, unit):
    a, _ = operands
    ta, tb = tangents
    if ta is not None:
        ta = upper_triangle(ta) if upper else lower_triangle(ta)
        ta = off_diagonal(ta) if unit else ta
    return p.triangular_solve(a, _right_side(ta, tb, out), upper, unit)


def _factored_jvp(tangents, out, operands, upper):
    a, _ = operands
    ta, tb = tangents
    if ta is not None:
        half = (
            matmul(adjoint(ta), a, False, False) if upper else matmul(a, adjoint(ta), False, False)
        )
        ta = e.add(half, adjoint(half))
    return p.cholesky_solve(a, _right_side(ta, tb, out), upper)


define(p.solve, __name__, _solve_jvp)
define(p.cholesky_solve, __name__, _factored_jvp)
define(p.triangular_solve, __name__, _triangle_jvp)
for _primitive in (p.cholesky, p.qr, p.eigh, p.eig, p.svd, p.lu):
    define(_primitive, __name__, TRANSPOSED)
