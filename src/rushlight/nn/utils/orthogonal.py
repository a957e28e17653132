"""`parametrizations.orthogonal`: a matrix that stays orthogonal while it is trained.

The matrix is the exponential or the Cayley transform of a skew-symmetric one, or a product of
reflectors.  Source: Lezcano-Casado 2019, with its trivialization around a fixed base.  Level 12.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.nn.utils.parametrize import register_parametrization
from rushlight.ops.alike import zeros_like
from rushlight.ops.householder import geqrf
from rushlight.ops.joining import cat
from rushlight.ops.linalg import qr, solve
from rushlight.ops.matrix_norm import householder_product, matrix_exp
from rushlight.ops.random import randn
from rushlight.ops.ranges import eye
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

MAPS = ("matrix_exp", "cayley", "householder")
_CLOSE = 10.0  # units in the last place, for each row of the matrix


class _Orthogonal(Module):
    """From a free matrix to one with orthonormal columns, or rows if it has more columns."""

    def __init__(self, weight: Any, orthogonal_map: str, *, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:  # noqa: N803 - as the mathematics
        """Shapes: (..., n, k) -> (..., n, k)."""
        n, k = X.size(-2), X.size(-1)
        transposed = n < k
        if transposed:
            X, n, k = X.mT, k, n
        if self.orthogonal_map == "householder":
            A = X.tril(diagonal=-1)
            tau = 2.0 / (1.0 + (A * A).sum(dim=-2))
            Q: Any = householder_product(A, tau)
            Q = Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            Q = self._of_skew(X.tril(), n, k)
        base = self._buffers.get("base")
        if base is not None:
            Q = base @ Q
        return Q.mT if transposed else Q

    def _of_skew(self, lower: Any, n: int, k: int) -> Any:
        if n != k:
            empty = lower.new_zeros(n, n - k).expand(*lower.shape[:-2], -1, -1)
            lower = cat([lower, empty], -1)
        skew = lower - lower.mH
        if self.orthogonal_map == "matrix_exp":
            Q: Any = matrix_exp(skew)
        else:
            unit = eye(n, dtype=skew.dtype)
            Q = solve(unit - 0.5 * skew, unit + 0.5 * skew)
        return Q[..., :k] if n != k else Q

    def right_inverse(self, Q: Any) -> Any:  # noqa: N803
        """A free matrix that the map takes to `Q`, made orthogonal.

        Raises: ValueError for another shape, NotImplementedError where the map has no inverse.
        """
        with no_grad():
            if Q.shape != self.shape:
                raise ValueError(
                    f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of"
                    f" shape {Q.shape}."
                )
            given = Q
            n, k = Q.size(-2), Q.size(-1)
            transposed = n < k
            if transposed:
                Q, n, k = Q.mT, k, n
            if "base" not in self._buffers:
                return self._reflectors(Q, transposed)
            if n == k:
                Q = Q.clone() if _is_orthogonal(Q) else _made_orthogonal(Q)
            else:
                noise = randn(*Q.shape[:-2], n, n - k, dtype=Q.dtype)
                Q = _made_orthogonal(cat([Q, noise], -1))
            self.base = Q
            start: Any = zeros_like(given)
            start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
            return start

    def _reflectors(self, Q: Any, transposed: bool) -> Any:  # noqa: N803
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley"
                " parametrizations when use_trivialization=False."
            )
        A, tau = geqrf(Q)
        diagonal = A.diagonal(dim1=-2, dim2=-1)
        diagonal.sign_()
        # Where no reflection is needed the map makes one all the same, with the factor 2.
        diagonal[tau == 0.0] *= -1
        return A.mT if transposed else A


def _is_orthogonal(Q: Any) -> bool:  # noqa: N803
    rows, columns = Q.size(-2), Q.size(-1)
    if rows < columns:
        return False
    unit = eye(columns, dtype=Q.dtype)
    error = (Q.mH @ Q - unit).abs().max()
    return bool(error < _CLOSE * rows * _epsilon(Q))


def _epsilon(Q: Any) -> float:  # noqa: N803
    return 2.0**-52 if Q.dtype.name in ("float64", "complex128") else 2.0**-23


def _made_orthogonal(A: Any) -> Any:  # noqa: N803
    """The orthogonal factor whose triangular one has a positive diagonal."""
    Q, R = qr(A)
    return Q * R.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Let a parameter of a module stay orthogonal; returns the module.

    orthogonal_map: "matrix_exp" (the default of square and of complex matrices), "cayley" or
        "householder" (the default otherwise).
    use_trivialization: whether the map starts from the parameter's present value, made orthogonal.
    Raises: ValueError for another map, a missing parameter or one with fewer than two axes.
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"  # type: ignore[attr-defined]
    if orthogonal_map not in MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got:'
            f" {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    register_parametrization(module, name, made, unsafe=True)
    return module
