"""VJP rows of the factorisations.  Level 4.

Factors are computed again from the operand, which gives the same bits.  Source of the formulas:
Giles 2008, "Collected matrix derivative results", and, for complex matrices, PyTorch's notes.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides
from rushlight.primitives import elementwise as e
from rushlight.primitives import linalg as p
from rushlight.primitives.contraction import matmul
from rushlight.primitives.movement import (
    concatenate,
    expand,
    permute,
    reshape,
    strided_add,
    strided_read,
)
from rushlight.primitives.reduction import cumsum
from rushlight.vjp.broadcast import conjugate, filled, sum_to
from rushlight.vjp.table import OUT, define, define_for_all, wrt


def adjoint(x):
    """The conjugate transpose of x's matrices."""
    rank = len(x.shape)
    return conjugate(permute(x, (*range(rank - 2), rank - 1, rank - 2)))


def _identity(like, n: int):
    """The identity matrix in like's dtype."""
    ones = filled(like, 1.0, (n,))
    return strided_add(ones, like._scalar(0, int64), (n,), (n + 1,), (n, n))


def _on_diagonal(x):
    """A mask of the diagonal of x's matrices, which are square."""
    one = _identity(x, x.shape[-1])
    return e.ne(one, one._scalar(0.0))


def _above(x):
    """A mask of the diagonal and what lies above it."""
    counted = cumsum(_identity(x, x.shape[-1]), 1)
    return e.ne(counted, counted._scalar(0.0))


def upper_triangle(x):
    return e.where(_above(x), x, x._scalar(0.0))


def _strictly_lower(x):
    return e.where(_above(x), x._scalar(0.0), x)


def lower_triangle(x):
    return e.where(permute(_above(x), (1, 0)), x, x._scalar(0.0))


def _diagonal(x):
    return e.where(_on_diagonal(x), x, x._scalar(0.0))


def off_diagonal(x):
    return e.where(_on_diagonal(x), x._scalar(0.0), x)


def _diagonal_matrix(values, like):
    """Square matrices with `values` on the diagonal, in like's dtype."""
    n = values.shape[-1]
    if values.dtype is not like.dtype:
        values = e.cast(values, like.dtype)
    return _diagonal(expand(reshape(values, (*values.shape, 1)), (*values.shape, n)))


def _product(x, y):
    return matmul(x, y, False, False)


def _columns_times(x, values):
    """x with its columns multiplied by real `values`."""
    row = reshape(values, (*values.shape[:-1], 1, values.shape[-1]))
    return e.mul(x, row if row.dtype is x.dtype else e.cast(row, x.dtype))


def _rows_times(x, values):
    column = reshape(values, (*values.shape, 1))
    return e.mul(x, column if column.dtype is x.dtype else e.cast(column, x.dtype))


def _gaps(values, dtype):
    """values[j] - values[i], with 1 on the diagonal."""
    n = values.shape[-1]
    row = reshape(values, (*values.shape[:-1], 1, n))
    column = reshape(values, (*values.shape, 1))
    found = e.sub(row, column)
    found = e.where(_on_diagonal(found), found._scalar(1.0), found)
    return found if found.dtype is dtype else e.cast(found, dtype)


def _mirrored(x):
    """The lower triangle and its adjoint above."""
    return e.add(lower_triangle(x), adjoint(_strictly_lower(x)))


# ---- systems -------------------------------------------------------------------------------------


def _cholesky_vjp(g, out, a, check):
    middle = _mirrored(_product(adjoint(out), lower_triangle(g)))
    middle = e.mul(middle, middle._scalar(0.5))
    # L^-H middle L^-1, by two triangular solves.
    upper = adjoint(out)
    left = p.triangular_solve(upper, middle, True, False)
    return adjoint(p.triangular_solve(upper, adjoint(left), True, False))


def _solve_matrix_vjp(g, out, a, b, check):
    moved = p.solve(adjoint(a), g, check)
    return sum_to(e.neg(_product(moved, adjoint(out))), a)


def _solve_side_vjp(g, out, a, b, check):
    return sum_to(p.solve(adjoint(a), g, check), b)


def _triangle_matrix_vjp(g, out, a, b, upper, unit):
    moved = p.triangular_solve(adjoint(a), g, not upper, unit)
    found = e.neg(_product(moved, adjoint(out)))
    found = upper_triangle(found) if upper else lower_triangle(found)
    return sum_to(off_diagonal(found) if unit else found, a)


def _triangle_side_vjp(g, out, a, b, upper, unit):
    return sum_to(p.triangular_solve(adjoint(a), g, not upper, unit), b)


def _factor_vjp(g, out, a, b, upper):
    """As if a's other triangle were read too: that of (a a^H) x = b, through the product."""
    whole = e.neg(_product(p.cholesky_solve(a, g, upper), adjoint(out)))
    whole = sum_to(whole, a)
    whole = e.add(whole, adjoint(whole))
    return _product(a, whole) if upper else _product(whole, a)


def _factored_side_vjp(g, out, a, b, upper):
    return sum_to(p.cholesky_solve(a, g, upper), b)


# ---- factorisations ------------------------------------------------------------------------------


def _zeros_like(x):
    return filled(x, 0.0, x.shape)


def _columns(x, start, stop):
    shape = tuple(x.shape)
    return strided_read(
        x, x._scalar(start, int64), (*shape[:-1], stop - start), contiguous_strides(shape)
    )


def _qr_vjp(wanted, g, out, operands, complete):
    a = operands[0]
    m, n = a.shape[-2:]
    if complete and m > n:
        raise NotImplementedError("qr: the complete factor of a tall matrix has no derivative")
    q, r = p.qr(a, False)
    gq = _zeros_like(q) if g[0] is None else g[0]
    gr = _zeros_like(r) if g[1] is None else g[1]
    if m >= n:
        return [_tall_qr(q, r, gq, gr)]
    # A = [X | Y], R = [U | V]: Q comes from X alone, and Y = Q V.
    gv = _columns(gr, m, n)
    gq = e.add(gq, _product(_columns(a, m, n), adjoint(gv)))
    gx = _tall_qr(q, _columns(r, 0, m), gq, _columns(gr, 0, m))
    return [concatenate((gx, _product(q, gv)), len(a.shape) - 1)]


def _tall_qr(q, r, gq, gr):
    middle = e.sub(_product(r, adjoint(gr)), _product(adjoint(gq), q))
    total = e.add(gq, _product(q, _mirrored(middle)))
    # total R^-H, transposed to a solve with R.
    return adjoint(p.triangular_solve(r, adjoint(total), True, False))


def _eigh_vjp(wanted, g, out, operands):
    a = operands[0]
    values, vectors = p.eigh(a)
    middle = None if g[0] is None else _diagonal_matrix(g[0], a)
    if g[1] is not None:
        turned = e.div(_product(adjoint(vectors), g[1]), _gaps(values, a.dtype))
        turned = off_diagonal(turned)
        middle = turned if middle is None else e.add(middle, turned)
    found = _product(_product(vectors, middle), adjoint(vectors))
    # The operand is Hermitian, and so is its cotangent.
    return [e.mul(e.add(found, adjoint(found)), found._scalar(0.5))]


def _eig_vjp(wanted, g, out, operands):
    a = operands[0]
    values, vectors = p.eig(a)
    turned_vectors = adjoint(vectors)
    middle = None if g[0] is None else _diagonal_matrix(g[0], vectors)
    if g[1] is not None:
        turned = _product(turned_vectors, g[1])
        # The vectors have unit length: what would change it is taken out.
        real = e.cast(e.real(_diagonal(turned)), vectors.dtype)
        turned = e.sub(turned, _product(_product(turned_vectors, vectors), real))
        turned = e.div(turned, conjugate(_gaps(values, vectors.dtype)))
        turned = off_diagonal(turned)
        middle = turned if middle is None else e.add(middle, turned)
    found = p.solve(turned_vectors, _product(middle, turned_vectors), True)
    return [found if a.dtype.is_complex else e.real(found)]


def _skew(x):
    return e.sub(x, adjoint(x))


def _svd_vjp(wanted, g, out, operands, full):
    a = operands[0]
    m, n = a.shape[-2:]
    u, s, vh = p.svd(a, False)
    gu, gs, gvh = g
    k = s.shape[-1]
    if full and (gu is not None or gvh is not None):
        gu = None if gu is None else _columns(gu, 0, k)
        gvh = None if gvh is None else adjoint(_columns(adjoint(gvh), 0, k))
    middle = None if gs is None else _diagonal_matrix(gs, a)
    if gu is not None or gvh is not None:
        turned = _svd_turn(a, u, s, vh, gu, gvh)
        middle = turned if middle is None else e.add(middle, turned)
    found = _product(_product(u, middle), vh)
    inverse = e.reciprocal(s)
    if gu is not None and m > k:
        outside = e.sub(gu, _product(u, _product(adjoint(u), gu)))
        found = e.add(found, _product(_columns_times(outside, inverse), vh))
    if gvh is not None and n > k:
        outside = e.sub(gvh, _product(_product(gvh, adjoint(vh)), vh))
        found = e.add(found, _product(u, _rows_times(outside, inverse)))
    return [found]


def _svd_turn(a, u, s, vh, gu, gvh):
    gaps = _gaps(e.mul(s, s), a.dtype)
    total = None
    if gu is not None:
        skew = _skew(_product(adjoint(u), gu))
        total = _columns_times(off_diagonal(e.div(skew, gaps)), s)
        if a.dtype.is_complex:
            # The phase that U and V share is free; U's is taken to carry it.
            half = e.mul(_diagonal(skew), skew._scalar(0.5))
            total = e.add(total, _columns_times(half, e.reciprocal(s)))
    if gvh is not None:
        skew = _skew(_product(vh, adjoint(gvh)))
        part = _rows_times(off_diagonal(e.div(skew, gaps)), s)
        total = part if total is None else e.add(total, part)
    return total


def _rows(x, start, stop):
    shape = tuple(x.shape)
    offset = x._scalar(start * shape[-1], int64)
    size = (*shape[:-2], stop - start, shape[-1])
    return strided_read(x, offset, size, contiguous_strides(shape))


def _lu_vjp(wanted, g, out, operands):
    """A = P L U.  The part of the longer side beyond the square is a solution with L or U."""
    a = operands[0]
    m, n = a.shape[-2:]
    k = min(m, n)
    packed, _, order = p.lu(a)
    cotangent = g[0]
    square = _rows(_columns(packed, 0, k), 0, k)
    lower = e.add(_strictly_lower(square), _identity(a, k))
    upper = upper_triangle(square)
    g_square = _rows(_columns(cotangent, 0, k), 0, k)
    below = _product(adjoint(lower), _strictly_lower(g_square))
    above = _product(upper_triangle(g_square), adjoint(upper))
    if n > k:
        beyond, g_beyond = _columns(packed, k, n), _columns(cotangent, k, n)
        below = e.sub(below, _product(g_beyond, adjoint(beyond)))
    if m > k:
        beyond, g_beyond = _rows(packed, k, m), _rows(cotangent, k, m)
        above = e.sub(above, _product(adjoint(beyond), g_beyond))
    middle = e.add(_strictly_lower(below), upper_triangle(above))
    if m > k:
        left = p.triangular_solve(adjoint(lower), middle, True, True)
        joined = concatenate((left, g_beyond), len(a.shape) - 2)
        found = adjoint(p.triangular_solve(upper, adjoint(joined), True, False))
    else:
        right = adjoint(p.triangular_solve(upper, adjoint(middle), True, False))
        if n > k:
            right = concatenate((right, g_beyond), len(a.shape) - 1)
        found = p.triangular_solve(adjoint(lower), right, True, True)
    # Row i of the product came from row order[i] of A.
    counted = e.sub(cumsum(expand(order._scalar(1), (m,)), 0), order._scalar(1))
    chosen = e.eq(reshape(counted, (m, 1)), reshape(order, (*order.shape[:-1], 1, m)))
    return [_product(e.cast(chosen, a.dtype), found)]


define(p.cholesky, __name__, wrt(_cholesky_vjp, OUT))
define(p.solve, __name__, wrt(_solve_matrix_vjp, 0, OUT), wrt(_solve_side_vjp, 0))
define(
    p.triangular_solve,
    __name__,
    wrt(_triangle_matrix_vjp, 0, OUT),
    wrt(_triangle_side_vjp, 0),
)
define(p.cholesky_solve, __name__, wrt(_factor_vjp, 0, OUT), wrt(_factored_side_vjp, 0))
define_for_all(p.qr, __name__, _qr_vjp, 0)
define_for_all(p.eigh, __name__, _eigh_vjp, 0)
define_for_all(p.eig, __name__, _eig_vjp, 0)
define_for_all(p.svd, __name__, _svd_vjp, 0)
define_for_all(p.lu, __name__, _lu_vjp, 0)
