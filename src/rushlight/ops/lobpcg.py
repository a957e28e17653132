"""Some of the largest or smallest eigenvalues of a symmetric matrix, which is only multiplied with.

Level 11.  Source: torch.lobpcg; the method is Knyazev's of 2001: each step finds the best vectors
among the present ones, their residuals and the last directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import float32, float64
from rushlight.ops.joining import cat, stack
from rushlight.ops.linalg import eigh
from rushlight.ops.random import randn
from rushlight.ops.spelling import spelled
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

_MOST_STEPS = 1000
_EPSILON = {float32: 1.2e-07, float64: 2.23e-16}


@spelled()
def lobpcg(
    A: Any,
    k: int | None = None,
    B: Any = None,
    X: Any = None,
    n: int | None = None,
    iK: Any = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Callable[..., Any] | None = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) eigenvalues of `A x = e B x`, and their vectors.

    Shapes: A, B (*, m, m), symmetric, A possibly sparse; X (*, m, n), where it begins; returns
    (*, k) and (*, m, k).
    iK: what residuals are multiplied with, an approximation of A's inverse.
    niter, tol: the most steps, and the size of residuals at which it ends, relative to A's.
    method: accepted; there is one.  Gradients of a dense A are those of its full decomposition.
    Dtypes: float32, float64.  Raises: RuntimeError for matrices smaller than 3 k.
    """
    if A.dtype not in _EPSILON:
        raise RuntimeError(f"lobpcg: A is float32 or float64, got {A.dtype}")
    if tracker is not None:
        raise NotImplementedError("lobpcg: a tracker of the steps is not known here")
    count = (1 if X is None else X.shape[-1]) if k is None else k
    size = A.shape[-1]
    if size < 3 * count:
        raise ValueError(
            f"LPBPCG algorithm is not applicable when the number of A rows (={size}) is smaller"
            f" than 3 x the number of requested eigenpairs (={count})"
        )
    largest = True if largest is None else largest
    if A.requires_grad and not A.is_sparse:
        return _by_decomposition(A, B, count, largest)
    if A.dim() > 2:
        rows = [
            lobpcg(*each[:1], count, *each[1:], n, iK, niter, tol, largest)
            for each in zip(_rows(A), _rows(B, A), _rows(X, A))
        ]
        lead = A.shape[:-2]
        values, vectors = (stack(list(column)) for column in zip(*rows))
        return (
            values.reshape(*lead, count),  # type: ignore[attr-defined]
            vectors.reshape(*lead, size, count),  # type: ignore[attr-defined]
        )
    width = max(count, n or count)
    begin = randn(size, width, dtype=A.dtype) if X is None else X
    tolerance = _EPSILON[A.dtype] ** 0.5 if tol is None else tol
    steps = _MOST_STEPS if niter is None or niter < 0 else niter
    with no_grad():
        return _iterated(A, B, begin, iK, steps, tolerance, largest, count)


def _rows(x: Any, like: Any = None) -> list:
    if x is None:
        return [None] * like.reshape(-1, *like.shape[-2:]).shape[0]
    return list(x.reshape(-1, *x.shape[-2:]).unbind(0))


def _by_decomposition(A: Any, B: Any, count: int, largest: bool) -> tuple[Tensor, Tensor]:
    if B is not None:
        raise NotImplementedError("lobpcg: gradients of a problem with B are not known")
    values, vectors = eigh(A)
    if largest:
        return values[..., -count:].flip(-1), vectors[..., -count:].flip(-1)
    return values[..., :count], vectors[..., :count]


def _basis(S: Any, B: Any) -> Any:
    """The span of S by columns that are orthonormal with respect to B; what is dependent goes."""
    S = S / S.norm(dim=0).clamp(min=1e-300)
    for _ in range(2):
        values, vectors = eigh(S.mT @ (S if B is None else B @ S))
        keep = values > values[-1] * 10 * S.shape[-1] * _EPSILON[S.dtype]
        first = int((~keep).sum())
        S = S @ (vectors[:, first:] * values[first:].rsqrt())
    return S


def _iterated(
    A: Any, B: Any, X: Any, iK: Any, steps: int, tolerance: float, largest: bool, count: int
) -> tuple[Tensor, Tensor]:
    width = X.shape[-1]
    P = None
    X = _basis(X, B)
    scale = (A @ X).norm() / X.norm()
    S = X
    for _ in range(steps + 1):
        values, turn = eigh(S.mT @ (A @ S))
        if largest:
            values, turn = values.flip(0), turn.flip(1)
        values, turn = values[:width], turn[:, :width]
        X = S @ turn
        residual = A @ X - (X if B is None else B @ X) * values
        found = residual[:, :count].norm(dim=0)
        allowed = tolerance * (scale + values[:count].abs()) * X[:, :count].norm(dim=0)
        if bool((found <= allowed).all()):
            break
        # The last direction: what of X did not come from the last X.
        P = None if S.shape[1] <= width else S[:, width:] @ turn[width:]
        move = residual if iK is None else iK @ residual
        S = _extended(X, [move] if P is None else [move, P], B)
    return values[:count], X[:, :count]


def _extended(X: Any, more: list, B: Any) -> Any:
    """X, and an orthonormal basis of what the others add to its span."""
    rest = cat(more, 1)
    for _ in range(2):
        rest = rest - X @ (X.mT @ (rest if B is None else B @ rest))
        rest = rest / rest.norm(dim=0).clamp(min=1e-300)
    return cat([X, _basis(rest, B)], 1)
