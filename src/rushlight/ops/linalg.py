"""Solving and factorising, as `torch.linalg`: systems, determinants, decompositions.  Level 11.

Norms and what follows from singular values are in `matrix_norm.py`.  Matrices that cannot be taken
are found when the values are computed, and raise `LinAlgError` then, naming the line.
"""

from __future__ import annotations

import math

from rushlight.base.dtypes import int32
from rushlight.base.dtypes import int64 as _INDEX
from rushlight.ops.formats import column_major, in_columns, resulting, row_major
from rushlight.ops.promotion import check_tensor, constant
from rushlight.ops.ranges import eye, tril, triu
from rushlight.ops.reduction import prod
from rushlight.ops.reduction import sum as sum_over
from rushlight.ops.return_types import return_type
from rushlight.ops.spelling import PUBLIC, with_out
from rushlight.primitives import elementwise as e
from rushlight.primitives import linalg as p
from rushlight.primitives.contraction import matmul
from rushlight.primitives.movement import expand, permute, reshape
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose of the last two axes."""
    rank = x.ndim
    turned = permute(x, (*range(rank - 2), rank - 1, rank - 2))
    return e.conj(turned) if x._node.dtype.is_complex else turned


def product(x: Tensor, y: Tensor) -> Tensor:
    """Matrix product without vector cases."""
    return matmul(x, y, False, False)


def check_matrix(name: str, x, *, square: bool = False) -> Tensor:
    """Raise PyTorch's errors unless x is a (square) floating or complex matrix or batch of them."""
    check_tensor(name, x, "A")
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if square and x._node.shape[-1] != x._node.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are "
            f"{x._node.shape[-2]} by {x._node.shape[-1]} matrices"
        )
    if not x._node.dtype.is_inexact or x._node.dtype.name in ("float16", "bfloat16"):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {x._node.dtype}"
        )
    return x


def identity_for(x: Tensor) -> Tensor:
    """Identity matrices of x's shape."""
    n = x._node.shape[-1]
    one = eye(n, dtype=x._node.dtype, device=x.device)
    return expand(one, (*x._node.shape[:-2], n, n))


def _no_failures(x: Tensor) -> Tensor:
    """`info` of zeros: one int32 for each matrix."""
    return x.new_zeros(tuple(x._node.shape[:-2]), dtype=int32)


# ---- systems -------------------------------------------------------------------------------------


@resulting(in_columns)
def inv(A) -> Tensor:  # noqa: N803 - PyTorch's name
    """The inverse.  Raises: LinAlgError if A is singular.  Source: torch.linalg.inv.

    >>> import rushlight as rl
    >>> rl.linalg.inv(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor([[ 0.6000, -0.2000],
            [-0.2000,  0.4000]])
    """
    check_matrix("linalg.inv", A, square=True)
    return p.solve(A, identity_for(A), True)


def inv_ex(A, *, check_errors=False):  # noqa: N803
    """(inverse, info); info names the first zero pivot, 0 if there is none.

    Source: torch.linalg.inv_ex.

    >>> import rushlight as rl
    >>> rl.linalg.inv_ex(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).info
    tensor(0, dtype=torch.int32)
    """
    check_matrix("linalg.inv", A, square=True)
    found = p.solve(A, identity_for(A), bool(check_errors))
    return return_type("linalg_inv_ex", "inverse", "info")(column_major(found), first_zero_pivot(A))


def first_zero_pivot(A: Tensor) -> Tensor:  # noqa: N803
    """For each matrix the place, from 1, of the first zero on U's diagonal; 0 if there is none."""
    packed = p.lu(constant(A))[0]
    n = min(A._node.shape[-2:])
    if n == 0:
        return _no_failures(A)
    diagonal = packed.diagonal(0, -2, -1)
    zero = e.eq(diagonal, diagonal._scalar(0.0))
    found = e.add(zero.int().argmax(-1), diagonal._scalar(1, _INDEX))
    return e.where(zero.any(-1), found, found._scalar(0)).int()


def _is_vector_side(A: Tensor, B: Tensor) -> bool:  # noqa: N803
    """Whether B is one vector, or a batch of vectors of A's batch."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and A._node.shape[:-1] == B._node.shape)


def solve(A, B, *, left=True) -> Tensor:  # noqa: N803
    """X with A X = B, or X A = B.  Shapes: (*, n, n) and (*, n, k) or (*, n).

    Raises: LinAlgError if A is singular.  Source: torch.linalg.solve.

    >>> import rushlight as rl
    >>> rl.linalg.solve(rl.tensor([[2.0, 1.0], [1.0, 3.0]]), rl.tensor([3.0, 4.0]))
    tensor([1., 1.])
    """
    return _solved(A, B, left, True)


def _solved(A, B, left: bool, check: bool) -> Tensor:  # noqa: N803
    check_matrix("linalg.solve", A, square=True)
    check_tensor("linalg.solve", B, "B")
    vector = _is_vector_side(A, B)
    if vector:
        B = reshape(B, (*B._node.shape, 1))
    if not left and not vector:
        found = column_major(p.solve(adjoint(A), adjoint(B), check))
        return adjoint(found)
    if A._node.shape[-1] != B._node.shape[-2]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B "
            f"({A._node.shape[-2]}x{A._node.shape[-1]} and {B._node.shape[-2]}x{B._node.shape[-1]})"
        )
    found = column_major(p.solve(A, B, check))
    return reshape(found, found._node.shape[:-1]) if vector else found


def solve_ex(A, B, *, left=True, check_errors=False):  # noqa: N803
    """(solution, info).  Source: torch.linalg.solve_ex."""
    found = _solved(A, B, left, bool(check_errors))
    return return_type("linalg_solve_ex", "result", "info")(found, first_zero_pivot(A))


@resulting(in_columns)
def solve_triangular(A, B, *, upper, left=True, unitriangular=False) -> Tensor:  # noqa: N803
    """X with A X = B (or X A = B), A being triangular.  Source: torch.linalg.solve_triangular.

    >>> import rushlight as rl
    >>> a = rl.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> rl.linalg.solve_triangular(a.triu(), rl.ones(2, 1), upper=True)
    tensor([[0.3333],
            [0.3333]])
    """
    check_matrix("linalg.solve_triangular", A, square=True)
    check_matrix("linalg.solve_triangular", B)
    if A._node.shape[-1] != B._node.shape[-2 if left else -1]:
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B: {list(A._node.shape)} and "
            f"{list(B._node.shape)}"
        )
    if left:
        return p.triangular_solve(A, B, bool(upper), bool(unitriangular))
    return adjoint(p.triangular_solve(adjoint(A), adjoint(B), not upper, bool(unitriangular)))


@resulting(in_columns)
def triangular_solve(b, A, upper=True, transpose=False, unitriangular=False):  # noqa: N803
    """(X, A) with A X = b.  Source: torch.triangular_solve."""
    check_matrix("triangular_solve", A, square=True)
    matrix = permute(A, (*range(A.ndim - 2), A.ndim - 1, A.ndim - 2)) if transpose else A
    found = p.triangular_solve(matrix, b, bool(upper) is not bool(transpose), bool(unitriangular))
    batch = found._node.shape[:-2]
    copied = expand(A, (*batch, *A._node.shape[-2:])).clone()
    return return_type("triangular_solve", "solution", "cloned_coefficient")(found, copied)


# ---- determinants --------------------------------------------------------------------------------


def _sign_of_exchanges(pivots: Tensor, dtype) -> Tensor:
    """-1 to the number of rows that were exchanged."""
    n = pivots._node.shape[-1]
    places = pivots.new_tensor(list(range(1, n + 1)))
    odd = e.bitwise_and(sum_over(e.ne(pivots, places), -1), pivots._scalar(1, _INDEX))
    sign = e.sub(odd._scalar(1), e.mul(odd, odd._scalar(2)))
    return e.cast(sign, dtype)


def det(A) -> Tensor:  # noqa: N803
    """The determinant.  Source: torch.linalg.det.

    >>> import rushlight as rl
    >>> rl.linalg.det(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(5.)
    """
    check_matrix("linalg.det", A, square=True)
    packed, pivots, _ = p.lu(A)
    found = prod(packed.diagonal(0, -2, -1), -1)
    return named(e.mul(found, _sign_of_exchanges(pivots, A._node.dtype)), "LinalgDetBackward0")


def slogdet(A):  # noqa: N803
    """(sign, log of the absolute value) of the determinant.  Source: torch.linalg.slogdet.

    >>> import rushlight as rl
    >>> rl.linalg.slogdet(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).logabsdet
    tensor(1.6094)
    """
    check_matrix("linalg.slogdet", A, square=True)
    packed, pivots, _ = p.lu(A)
    diagonal = packed.diagonal(0, -2, -1)
    sign = e.mul(prod(e.sign(diagonal), -1), _sign_of_exchanges(pivots, A._node.dtype))
    size = sum_over(e.log(e.absolute(diagonal)), -1)
    return return_type("linalg_slogdet", "sign", "logabsdet")(sign, size)


def logdet(input) -> Tensor:
    """log(det(A)): NaN for a negative determinant.  Source: torch.logdet."""
    check_matrix("logdet", input, square=True)
    sign, size = slogdet(input)
    if input._node.dtype.is_complex:
        return e.add(e.cast(size, sign._node.dtype), e.log(sign))
    negative = e.lt(sign, sign._scalar(0.0))
    return e.where(negative, size._scalar(math.nan), size)


# ---- factorisations ------------------------------------------------------------------------------


@resulting(in_columns)
def cholesky(A, *, upper=False) -> Tensor:  # noqa: N803
    """L with A = L L^H (or its adjoint, if upper).  Raises: LinAlgError if A is not positive
    definite.  Source: torch.linalg.cholesky.

    >>> import rushlight as rl
    >>> rl.linalg.cholesky(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor([[1.4142, 0.0000],
            [0.7071, 1.5811]])
    """
    check_matrix("linalg.cholesky", A, square=True)
    return _cholesky(A, upper, True)


def _cholesky(A, upper, check: bool) -> Tensor:  # noqa: N803
    if upper:
        return adjoint(p.cholesky(adjoint(A), check))
    return p.cholesky(A, check)


def cholesky_ex(A, *, upper=False, check_errors=False):  # noqa: N803
    """(L, info); info is 1 where A is not positive definite, and L is NaN there.

    Source: torch.linalg.cholesky_ex.
    """
    check_matrix("linalg.cholesky", A, square=True)
    found = _cholesky(A, upper, bool(check_errors))
    diagonal = e.absolute(constant(found).diagonal(0, -2, -1))
    failed = e.ne(diagonal, diagonal).any(-1)
    info = return_type("linalg_cholesky_ex", "L", "info")
    return info(column_major(found), failed.int())


@resulting(in_columns)
def cholesky_inverse(L, upper=False) -> Tensor:  # noqa: N803
    """The inverse of L L^H.  Source: torch.cholesky_inverse."""
    check_matrix("cholesky_inverse", L, square=True)
    return cholesky_solve(identity_for(L), L, upper)


@resulting(in_columns)
def cholesky_solve(B, L, upper=False) -> Tensor:  # noqa: N803
    """X with L L^H X = B.  Source: torch.cholesky_solve."""
    check_matrix("cholesky_solve", L, square=True)
    check_matrix("cholesky_solve", B)
    return p.cholesky_solve(L, B, bool(upper))


@resulting(in_columns)
def qr(A, mode="reduced"):  # noqa: N803
    """(Q, R); mode "complete" has a square Q, "r" has none.  Source: torch.linalg.qr.

    >>> import rushlight as rl
    >>> rl.linalg.qr(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).R.shape
    torch.Size([2, 2])
    """
    check_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    q, r = p.qr(A, mode == "complete")
    result = return_type("linalg_qr", "Q", "R")
    return result(A.new_zeros((0,)), r) if mode == "r" else result(q, r)


def eigh(A, UPLO="L"):  # noqa: N803
    """(ascending eigenvalues, eigenvectors) of a Hermitian matrix.  Source: torch.linalg.eigh.

    >>> import rushlight as rl
    >>> rl.linalg.eigh(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).eigenvalues
    tensor([1.3820, 3.6180])
    """
    check_matrix("linalg.eigh", A, square=True)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    values, vectors = p.eigh(adjoint(A) if UPLO.upper() == "U" else A)
    return return_type("linalg_eigh", "eigenvalues", "eigenvectors")(values, column_major(vectors))


def eigvalsh(A, UPLO="L") -> Tensor:  # noqa: N803
    """Eigenvalues of a Hermitian matrix.  Source: torch.linalg.eigvalsh.

    >>> import rushlight as rl
    >>> rl.linalg.eigvalsh(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor([1.3820, 3.6180])
    """
    return eigh(A, UPLO)[0]


def eig(A):  # noqa: N803
    """(eigenvalues, eigenvectors), complex.  Source: torch.linalg.eig."""
    check_matrix("linalg.eig", A, square=True)
    values, vectors = p.eig(A)
    result = return_type("linalg_eig", "eigenvalues", "eigenvectors")
    return result(values, column_major(vectors))


def eigvals(A) -> Tensor:  # noqa: N803
    """Eigenvalues, complex.  Source: torch.linalg.eigvals."""
    return eig(A)[0]


def svd(A, full_matrices=True, *, driver=None):  # noqa: N803
    """(U, S, Vh) with A = U diag(S) Vh.  Source: torch.linalg.svd.

    >>> import rushlight as rl
    >>> rl.linalg.svd(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).S
    tensor([3.6180, 1.3820])
    """
    check_matrix("linalg.svd", A)
    u, values, vh = p.svd(A, bool(full_matrices))
    result = return_type("linalg_svd", "U", "S", "Vh")
    return result(column_major(u), values, column_major(vh))


def svdvals(A, *, driver=None) -> Tensor:  # noqa: N803
    """Singular values, largest first.  Source: torch.linalg.svdvals.

    >>> import rushlight as rl
    >>> rl.linalg.svdvals(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor([3.6180, 1.3820])
    """
    check_matrix("linalg.svdvals", A)
    return p.svd(A, False)[1]


@resulting(in_columns)
def lu_factor(A, *, pivot=True):  # noqa: N803
    """(L and U in one matrix, pivots).  Source: torch.linalg.lu_factor."""
    check_matrix("linalg.lu_factor", A)
    if not pivot:
        raise NotImplementedError("linalg.lu_factor: pivot=False is not supported")
    return return_type("linalg_lu_factor", "LU", "pivots")(*p.lu(A)[:2])


def lu_factor_ex(A, *, pivot=True, check_errors=False):  # noqa: N803
    """(LU, pivots, info).  Source: torch.linalg.lu_factor_ex."""
    found = lu_factor(A, pivot=pivot)
    result = return_type("linalg_lu_factor_ex", "LU", "pivots", "info")
    return result(*found, first_zero_pivot(A))


def lu(A, *, pivot=True):  # noqa: N803
    """(P, L, U) with A = P L U.  Source: torch.linalg.lu.

    >>> import rushlight as rl
    >>> rl.linalg.lu(rl.tensor([[2.0, 1.0], [1.0, 3.0]])).U
    tensor([[2.0000, 1.0000],
            [0.0000, 2.5000]])
    """
    packed, pivots = lu_factor(A, pivot=pivot)
    return return_type("linalg_lu", "P", "L", "U")(*lu_unpack(packed, pivots))


def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):  # noqa: N803
    """(P, L, U) from a packed factorisation.  Source: torch.lu_unpack."""
    m, n = LU_data._node.shape[-2:]
    k = min(m, n)
    result = return_type("lu_unpack", "P", "L", "U")
    nothing = LU_data.new_zeros((0,))
    permutation, lower, upper = nothing, nothing, nothing
    if unpack_pivots:
        permutation = _permutation_matrix(LU_pivots, m, LU_data._node.dtype)
    if unpack_data:
        unit = eye(m, k, dtype=LU_data._node.dtype, device=LU_data.device)
        lower = row_major(tril(LU_data[..., :, :k], -1) + unit)
        upper = row_major(triu(LU_data[..., :k, :]))
    return result(permutation, lower, upper)


def _permutation_matrix(pivots: Tensor, m: int, dtype) -> Tensor:
    """P with A = P L U: identity rows exchanged as elimination did, in reverse order."""
    batch = tuple(pivots._node.shape[:-1])
    order = expand(eye(m, dtype=dtype, device=pivots.device), (*batch, m, m))
    places = pivots.new_tensor(list(range(1, m + 1)))
    for row in range(pivots._node.shape[-1] - 1, -1, -1):
        other = pivots[..., row : row + 1]
        is_other = reshape(e.eq(expand(other, (*batch, m)), places), (*batch, m, 1))
        own = order[..., row : row + 1, :]
        there = sum_over(e.where(is_other, order, order._scalar(0.0)), -2, True)
        is_row = reshape(e.eq(places, places._scalar(row + 1)), (m, 1))
        order = e.where(is_other, own, order)
        order = e.where(is_row, there, order)
    return order


def lu_solve(LU, pivots, B, *, left=True, adjoint=False) -> Tensor:  # noqa: N803
    """X with A X = B from A's packed factorisation.  Source: torch.linalg.lu_solve."""
    permutation, lower, upper = lu_unpack(LU, pivots)
    if not left:
        turned = lu_solve(LU, pivots, _turned(B), adjoint=not adjoint)
        return _turned(turned)
    return column_major(_lu_solved(permutation, lower, upper, B, adjoint))


def _lu_solved(permutation, lower, upper, B, adjoint: bool) -> Tensor:  # noqa: N803
    if adjoint:
        middle = p.triangular_solve(_turned(upper), B, False, False)
        middle = p.triangular_solve(_turned(lower), middle, True, True)
        return product(permutation, middle)
    moved = product(_turned(permutation), B)
    middle = p.triangular_solve(lower, moved, False, True)
    return p.triangular_solve(upper, middle, True, False)


_turned = adjoint


def _top_qr(input, some=True):
    """(Q, R), reduced unless some=False.  Source: torch.qr."""
    found = qr(input, "reduced" if some else "complete")
    return return_type("qr", "Q", "R")(*found)


def _top_svd(input, some=True, compute_uv=True):
    """(U, S, V) with input = U diag(S) V^H.  Source: torch.svd."""
    u, values, vh = svd(input, not some)
    result = return_type("svd", "U", "S", "V")
    if compute_uv:
        return result(u, values, adjoint(vh))
    m, n = input._node.shape[-2:]
    batch = tuple(input._node.shape[:-2])
    return result(input.new_zeros((*batch, m, m)), values, input.new_zeros((*batch, n, n)))


def _top_cholesky(input, upper=False) -> Tensor:
    """L with input = L L^H.  Source: torch.cholesky."""
    return cholesky(input, upper=upper)


def _top_lu_solve(b, LU_data, LU_pivots) -> Tensor:  # noqa: N803
    """X with A X = b from A's packed factorisation.  Source: torch.lu_solve."""
    return lu_solve(LU_data, LU_pivots, b)


def _top_lu(A, pivot=True, get_infos=False):  # noqa: N803
    """(L and U in one matrix, pivots), with `info` if asked for.  Source: torch.lu."""
    found = lu_factor(A, pivot=pivot)
    if not get_infos:
        return found
    return return_type("_lu_with_info", "LU", "pivots", "info")(*found, first_zero_pivot(A))


def _publish() -> None:
    """The functions that also stand in the top namespace and on Tensor."""
    for function, name in (
        (_top_qr, "qr"), (_top_svd, "svd"), (_top_cholesky, "cholesky"), (_top_lu, "lu"),
        (_top_lu_solve, "lu_solve"), (lu_unpack, "lu_unpack"), (inv, "inverse"), (det, "det"),
        (slogdet, "slogdet"), (logdet, "logdet"), (cholesky_inverse, "cholesky_inverse"),
        (cholesky_solve, "cholesky_solve"), (triangular_solve, "triangular_solve"),
    ):  # fmt: skip
        public = with_out(function)
        PUBLIC[name] = public
        if name != "lu_unpack":
            setattr(Tensor, name, public)


_publish()
