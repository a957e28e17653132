"""Matrix norms, rank, pseudo-inverse, powers, tensor equations, as `torch.linalg`.  Level 11."""

from __future__ import annotations

import math

from rushlight.base.dtypes import bool_
from rushlight.base.dtypes import int64 as _INDEX
from rushlight.base.limits import finfo
from rushlight.base.shapes import numel, wrap_axis
from rushlight.ops.arithmetic import mul
from rushlight.ops.formats import column_major, in_columns, resulting, row_major
from rushlight.ops.joining import cat
from rushlight.ops.linalg import (
    adjoint,
    check_matrix,
    eigvalsh,
    identity_for,
    inv,
    product,
    solve,
    svd,
    svdvals,
)
from rushlight.ops.magnitude import vector_norm
from rushlight.ops.promotion import (
    all_members,
    check_tensor,
    constant,
    is_followed,
    promote,
    to_dtype,
    widened,
)
from rushlight.ops.random import randn
from rushlight.ops.ranges import eye
from rushlight.ops.reduction import amax, amin
from rushlight.ops.reduction import sum as sum_over
from rushlight.ops.return_types import return_type
from rushlight.ops.spelling import PUBLIC, spelled, with_out
from rushlight.primitives import elementwise as e
from rushlight.primitives import linalg as p
from rushlight.primitives.movement import permute, reshape
from rushlight.tensor.tensor import Tensor

# ---- norms ---------------------------------------------------------------------------------------


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None) -> Tensor:  # noqa: N803
    """The ord-norm of matrices along two axes: "fro", "nuc", ±1, ±2, ±inf.

    Raises: RuntimeError for another ord.  Source: torch.linalg.matrix_norm.

    >>> import rushlight as rl
    >>> rl.linalg.matrix_norm(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(3.8730)
    """
    check_tensor("linalg.matrix_norm", A, "A")
    if A.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    if dtype is not None:
        A = to_dtype(A, dtype)
    if len(tuple(dim)) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    rows, columns = (wrap_axis(d, A.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({rows}, {columns})")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in (1, -1, math.inf, -math.inf):
        inner, outer = (rows, columns) if ord in (1, -1) else (columns, rows)
        sums = vector_norm(A, 1, inner, True)
        if sums._node.shape[outer] == 0 and ord > 0:
            found = sum_over(sums, outer, True)  # nothing: 0
        else:
            found = (amax if ord > 0 else amin)(sums, outer, True)
    elif ord in ("nuc", 2, -2):
        others = tuple(a for a in range(A.ndim) if a not in (rows, columns))
        values = svdvals(permute(A, (*others, rows, columns)))
        if ord == "nuc":
            found = sum_over(values, -1)
        else:
            empty = ord > 0 and values._node.shape[-1] == 0
            found = sum_over(values, -1) if empty else (amax if ord > 0 else amin)(values, -1)
        shape = [1 if a in (rows, columns) else n for a, n in enumerate(A._node.shape)]
        found = reshape(found, tuple(shape))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        return found
    return reshape(found, tuple(n for a, n in enumerate(A._node.shape) if a not in (rows, columns)))


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None) -> Tensor:  # noqa: N803
    """A vector or matrix norm, by the number of axes and ord.  Source: torch.linalg.norm.

    >>> import rushlight as rl
    >>> rl.linalg.norm(rl.tensor([3.0, 4.0]))
    tensor(5.)
    """
    check_tensor("linalg.norm", A, "A")
    if dim is not None and not isinstance(dim, int):
        dim = tuple(dim)
    if ord is not None and dim is None and A.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.ndim}D."
        )
    pair = isinstance(dim, tuple) and len(dim) == 2
    if ord is not None and (pair or (dim is None and A.ndim == 2)):
        return matrix_norm(A, ord, dim or (-2, -1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: order {ord!r} needs a matrix")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


def cond(A, p=None) -> Tensor:  # noqa: N803
    """The condition number in the p-norm.  Source: torch.linalg.cond.

    >>> import rushlight as rl
    >>> rl.linalg.cond(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(2.6180)
    """
    check_matrix("linalg.cond", A)
    if p is None or p in (2, -2):
        values = svdvals(A)
        largest, smallest = values[..., 0], values[..., -1]
        return e.div(smallest, largest) if p == -2 else e.div(largest, smallest)
    check_matrix("linalg.cond", A, square=True)
    if numel(A._node.shape) == 0:
        return A.new_zeros(tuple(A._node.shape[:-2]), dtype=A._node.dtype.to_real())
    return mul(matrix_norm(A, p), matrix_norm(inv(A), p))


# ---- singular values -----------------------------------------------------------------------------


def _threshold(values: Tensor, A: Tensor, atol, rtol) -> Tensor:  # noqa: N803
    """What counts as zero: max(atol, rtol * largest), with PyTorch's defaults."""
    largest = amax(values, -1, True)
    if rtol is None:
        given = atol is not None and (isinstance(atol, Tensor) or atol > 0)
        rtol = 0.0 if given else finfo(A._node.dtype).eps * max(A._node.shape[-2:])
    if isinstance(rtol, Tensor):
        rtol = reshape(rtol, (*rtol._node.shape, 1))
    bound = mul(largest, rtol)
    if atol is None:
        return bound
    if isinstance(atol, Tensor):
        atol = reshape(atol, (*atol._node.shape, 1))
    else:
        atol = bound._scalar(atol)
    return e.maximum(*promote("matrix_rank", bound, atol))


def matrix_rank(A, tol=None, *, atol=None, rtol=None, hermitian=False) -> Tensor:  # noqa: N803
    """Number of singular values above the tolerance.  Source: torch.linalg.matrix_rank.

    >>> import rushlight as rl
    >>> rl.linalg.matrix_rank(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor(2)
    """
    check_matrix("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    still = constant(A)
    if numel(A._node.shape) == 0:
        return A.new_zeros(tuple(A._node.shape[:-2]), dtype=_INDEX)
    values = e.absolute(eigvalsh(still)) if hermitian else svdvals(still)
    above = values > _threshold(values, A, atol, rtol)
    return sum_over(above, -1)


def pinv(A, rcond=None, hermitian=False, *, atol=None, rtol=None) -> Tensor:  # noqa: N803
    """The Moore-Penrose inverse, small singular values counting as 0.

    Source: torch.linalg.pinv.

    >>> import rushlight as rl
    >>> rl.linalg.pinv(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor([[ 0.6000, -0.2000],
            [-0.2000,  0.4000]])
    """
    check_matrix("linalg.pinv", A)
    if numel(A._node.shape) == 0:
        return adjoint(A).clone()
    rtol = rcond if rcond is not None else rtol
    still = constant(A)
    if hermitian:
        values, vectors = p.eigh(still)
        size = e.absolute(values)
        right, left = vectors, adjoint(vectors)
    else:
        u, size, vh = svd(still, False)
        values = size
        right, left = adjoint(vh), adjoint(u)
    keep = size > _threshold(size, A, atol, rtol)
    safe = e.where(keep, values, values._scalar(1.0))
    inverse = e.where(keep, e.reciprocal(safe), values._scalar(0.0))
    right = mul(right, reshape(inverse, (*inverse._node.shape[:-1], 1, inverse._node.shape[-1])))
    found = product(right, left)
    if not is_followed(A):
        return found
    left = mul(reshape(inverse, (*inverse._node.shape, 1)), left)
    followed = _inverse_of_rank(A, left, right, keep)
    # What is subtracted is 0, not -0: the value, a -0 too, keeps its bits.
    return e.sub(found, e.sub(constant(followed), followed))


def _inverse_of_rank(A: Tensor, left: Tensor, right: Tensor, keep: Tensor) -> Tensor:  # noqa: N803
    """The pseudo-inverse of A among the matrices of its rank, by operations that have a derivative.

    left, right: the singular vectors over their values, 0 where `keep` says that a value counts as
    0.  Such vectors, and those of equal values, have no derivative, so that they are constants
    here: every matrix near A of its rank is B M^-1 C with B = A right, C = left A and
    M = left A right.  B's columns and C's rows are orthonormal or 0, which makes
    C^+ M B^+ well conditioned; the ones added on the diagonal stand for the zeros.

    Shapes: A (..., m, n), left (..., k, m), right (..., n, k), keep (..., k) -> (..., n, m).
    Source: Golub and Pereyra 1973, "The differentiation of pseudo-inverses"; CUR decompositions.
    """
    columns = product(A, right)  # (..., m, k)
    rows = product(left, A)  # (..., k, n)
    middle = product(left, columns)  # (..., k, k)
    missing = e.where(keep, left._scalar(0.0), left._scalar(1.0))
    missing = mul(identity_for(middle), reshape(missing, (*missing._node.shape, 1)))
    across, along = adjoint(columns), adjoint(rows)
    found = p.solve(e.add(product(across, columns), missing), across, True)  # (..., k, m)
    found = p.solve(e.add(product(rows, along), missing), product(middle, found), True)
    return product(along, found)


def pinverse(input, rcond=1e-15) -> Tensor:
    """The Moore-Penrose inverse.  Source: torch.pinverse."""
    return pinv(input, rcond)


def lstsq(A, B, rcond=None, *, driver=None):  # noqa: N803
    """The X that makes |A X - B| smallest, by the pseudo-inverse; A of full rank for residuals.

    Source: torch.linalg.lstsq.

    >>> import rushlight as rl
    >>> a = rl.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> rl.linalg.lstsq(a, rl.ones(2, 1)).solution.shape
    torch.Size([2, 1])
    """
    check_matrix("linalg.lstsq", A)
    vector = B.ndim == A.ndim - 1
    side = reshape(B, (*B._node.shape, 1)) if vector else B
    m, n = A._node.shape[-2:]
    solution = product(pinv(A, rcond), side)
    residuals = A.new_zeros((0,), dtype=A._node.dtype.to_real())
    if m > n and driver != "gelsy":
        error = e.absolute(e.sub(product(A, solution), side))
        residuals = sum_over(e.mul(error, error), -2)
    rank, values = A.new_zeros((0,), dtype=_INDEX), A.new_zeros((0,), dtype=A._node.dtype.to_real())
    if driver in (None, "gelsy", "gelsd", "gelss"):
        rank = matrix_rank(A, rtol=rcond)
    if driver in ("gelsd", "gelss"):
        values = svdvals(A)
    if vector:
        solution = reshape(solution, solution._node.shape[:-1])
    else:
        solution = column_major(solution)
    result = return_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
    return result(solution, residuals, rank, values)


@spelled()
def svd_lowrank(A, q=6, niter=2, M=None):  # noqa: N803
    """(U, S, V) of about rank q, from random projections.

    Source: Halko et al. 2009, algorithm 5.1; torch.svd_lowrank.
    """
    if M is not None:
        A = e.sub(A, M.expand(A._node.shape))
    columns = A._node.shape[-1]
    batch = A._node.shape[:-2]
    basis, _ = p.qr(product(A, randn((*batch, columns, q), dtype=A._node.dtype)), False)
    for _ in range(niter):
        basis, _ = p.qr(product(adjoint(A), basis), False)
        basis, _ = p.qr(product(A, basis), False)
    u, values, vh = p.svd(product(adjoint(basis), A), False)
    return product(basis, u), values, row_major(adjoint(vh))


@spelled()
def pca_lowrank(A, q=None, center=True, niter=2):  # noqa: N803
    """(U, S, V) of the columns less their means, of about rank q.  Source: torch.pca_lowrank."""
    smallest = min(A._node.shape[-2:])
    q = min(6, smallest) if q is None else q
    if not 0 <= q <= smallest:
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than {smallest}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)


# ---- powers --------------------------------------------------------------------------------------


def matrix_power(A, n: int) -> Tensor:  # noqa: N803
    """The n-th power, of the inverse for a negative n.  Source: torch.linalg.matrix_power.

    >>> import rushlight as rl
    >>> rl.linalg.matrix_power(rl.tensor([[2.0, 1.0], [1.0, 3.0]]), 2)
    tensor([[ 5.,  5.],
            [ 5., 10.]])
    """
    check_tensor("linalg.matrix_power", A, "A")
    if A.ndim < 2 or A._node.shape[-1] != A._node.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, got {list(A._node.shape)}"
        )
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 0:
        # Chosen everywhere: in the graph, with a gradient of 0.
        return e.where(A._scalar(True, bool_), identity_for(A), A)
    # Square for each lower bit, and multiply in A where it is set.
    result = A
    for bit in bin(n)[3:]:
        result = product(result, result)
        if bit == "1":
            result = product(result, A)
    return result


_TAYLOR_TERMS = 18


def matrix_exp(A) -> Tensor:  # noqa: N803
    """The exponential, by a Taylor series of A / 2**k squared k times; reads the norm for k.

    Source: torch.linalg.matrix_exp.

    >>> import rushlight as rl
    >>> rl.linalg.matrix_exp(rl.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if isinstance(A, Tensor) and A._node.dtype.is_floating_point and A._node.dtype.itemsize == 2:
        return to_dtype(matrix_exp(widened(A)), A._node.dtype)
    check_matrix("linalg.matrix_exp", A, square=True)
    if numel(A._node.shape) == 0:
        return A.clone()
    size = float(amax(sum_over(e.absolute(all_members(constant(A))), -2)).item())
    halvings = max(0, math.ceil(math.log2(size)) + 1) if size > 0 and math.isfinite(size) else 0
    x = e.mul(A, A._scalar(2.0**-halvings))
    one = identity_for(A)
    total = one
    for k in range(_TAYLOR_TERMS, 0, -1):  # Horner: 1 + x/1 (1 + x/2 (1 + …))
        total = e.add(one, e.mul(product(x, total), x._scalar(1 / k)))
    for _ in range(halvings):
        total = product(total, total)
    return total


# ---- vectors and tensors -------------------------------------------------------------------------


def vecdot(x, y, *, dim=-1) -> Tensor:
    """Dot products along `dim`, x conjugated.  Source: torch.linalg.vecdot.

    >>> import rushlight as rl
    >>> rl.linalg.vecdot(rl.tensor([0.5, 1.0, 2.0]), rl.tensor([2.0, 1.0, 0.5]))
    tensor(3.)
    """
    check_tensor("linalg.vecdot", x)
    left = e.conj(x) if x._node.dtype.is_complex else x
    if not x._node.dtype.is_inexact:
        raise RuntimeError(f"linalg.vecdot: Expected a floating point tensor, got {x._node.dtype}")
    return sum_over(mul(left, y), dim)


def vander(x, *, N=None) -> Tensor:  # noqa: N803
    """Matrices of ascending powers of vectors.  Source: torch.linalg.vander.

    >>> import rushlight as rl
    >>> rl.linalg.vander(rl.tensor([1.0, 2.0, 3.0]))
    tensor([[1., 1., 1.],
            [1., 2., 4.],
            [1., 3., 9.]])
    """
    check_tensor("linalg.vander", x)
    if N is not None and N <= 1:
        raise RuntimeError(f"linalg.vander: N must be greater than 1, got N={N}, x {x.ndim}D")
    if x.ndim == 0:
        x = reshape(x, (1,))
    count = x._node.shape[-1] if N is None else N
    whole = not x._node.dtype.is_inexact
    x = to_dtype(x, _INDEX) if whole else x
    column = reshape(x, (*x._node.shape, 1))
    ones = x.new_ones((*x._node.shape, 1))
    if count == 1:
        return ones
    repeated = column.expand((*x._node.shape, count - 1)).cumprod(-1)
    return cat((ones, repeated), -1)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1) -> Tensor:  # noqa: N803
    """Diagonals of matrices, as a view.  Source: torch.linalg.diagonal.

    >>> import rushlight as rl
    >>> rl.linalg.diagonal(rl.tensor([[2.0, 1.0], [1.0, 3.0]]))
    tensor([2., 3.])
    """
    return A.diagonal(offset, dim1, dim2)


def tensorinv(A, ind=2) -> Tensor:  # noqa: N803
    """Inverse of A seen as a matrix of its first `ind` axes by the others.

    Source: torch.linalg.tensorinv.
    """
    check_tensor("linalg.tensorinv", A, "A")
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    first, last = A._node.shape[:ind], A._node.shape[ind:]
    if numel(first) != numel(last):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {numel(last)} != {numel(first)}"
        )
    return reshape(inv(reshape(A, (numel(first), numel(last)))), (*last, *first))


def tensorsolve(A, B, dims=None) -> Tensor:  # noqa: N803
    """X with tensordot(A, X, X.ndim) = B.  Source: torch.linalg.tensorsolve."""
    check_tensor("linalg.tensorsolve", A, "A")
    if dims is not None:
        moved = [wrap_axis(d, A.ndim) for d in dims]
        A = permute(A, (*(a for a in range(A.ndim) if a not in moved), *moved))
    rest = A._node.shape[B.ndim :]
    if numel(rest) != numel(B._node.shape):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {numel(rest)} != {numel(B._node.shape)}"
        )
    size = numel(rest)
    found = solve(reshape(A, (size, size)), reshape(B, (size,)))
    return reshape(found, tuple(rest))


@resulting(in_columns)
def householder_product(A, tau) -> Tensor:  # noqa: N803
    """The first columns of the product of the reflections that A's columns and tau describe.

    Source: torch.linalg.householder_product.
    """
    check_matrix("linalg.householder_product", A)
    m, n = A._node.shape[-2:]
    if m < n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to "
            "input.shape[-1]"
        )
    if numel(A._node.shape) == 0:
        return A.clone()
    if tau._node.shape[-1] == 0:  # no reflection; in the graph all the same
        return e.where(A._scalar(True, bool_), identity_of(A, m)[..., :, :n], A)
    columns = identity_of(A, m)[..., :, :n]
    k = tau._node.shape[-1]
    if k > n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to "
            "tau.shape[-1]"
        )
    unit = identity_of(A, m)[..., :, :n]
    vectors = A.tril(-1) + unit
    for i in range(k - 1, -1, -1):
        v = vectors[..., :, i : i + 1]
        factor = reshape(tau[..., i], (*tau._node.shape[:-1], 1, 1))
        columns = e.sub(columns, e.mul(factor, product(v, product(adjoint(v), columns))))
    return columns


def identity_of(A: Tensor, size: int) -> Tensor:  # noqa: N803
    """Identity matrices of the given size, in A's dtype and batch."""
    batch = A._node.shape[:-2]
    return eye(size, dtype=A._node.dtype, device=A.device).expand((*batch, size, size))


def _publish() -> None:
    """The functions that also stand in the top namespace and on Tensor."""
    for function, name in (
        (matrix_power, "matrix_power"), (matrix_exp, "matrix_exp"), (pinverse, "pinverse"),
    ):  # fmt: skip
        public = with_out(function)
        PUBLIC[name] = public
        setattr(Tensor, name, public)


_publish()
