"""Orthogonal polynomials by their three-term recurrences.  Level 11.

The degree may differ from element to element: all degrees up to the largest are computed, and each
element takes its own.  A tensor of degrees is read for that; negative degrees give 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.ops.creation import arithmetic_value
from rushlight.ops.promotion import all_members, constant, promote, refuse
from rushlight.primitives import elementwise as e
from rushlight.tensor.tensor import Tensor


def _times(x: Tensor, factor: float) -> Tensor:
    return e.mul(x, x._scalar(factor))


def _plus(x: Tensor, term: float) -> Tensor:
    return e.add(x, x._scalar(term))


def _family(name: str, first: Callable, following: Callable, what: str, *, shifted=False):
    """first: x to the polynomial of degree 1; following: (x, p, q, k) to degree k + 1 from p and q
    of degrees k and k - 1."""

    def evaluate(input, n) -> Tensor:
        x, degree = promote(name, input, n, floating=True)
        refuse(name, x, complex_=True)
        x = constant(x)
        whole = e.trunc(constant(degree))
        values = arithmetic_value(all_members(whole))
        usable = values[np.isfinite(values)]
        highest = int(usable.max()) if usable.size else -1
        if shifted:
            x = _plus(_times(x, 2.0), -1.0)
        before = e.add(_times(x, 0.0), x._scalar(1.0))
        found = e.where(e.eq(whole, whole._scalar(0.0)), before, x._scalar(0.0))
        current = first(x)
        for k in range(1, highest + 1):
            found = e.where(e.eq(whole, whole._scalar(float(k))), current, found)
            current, before = following(x, current, before, k), current
        return found

    evaluate.__name__ = evaluate.__qualname__ = name
    evaluate.__doc__ = f"{what} of degree n.  Source: torch.special.{name}."
    return evaluate


def _chebyshev(x, p, q, k):
    return e.sub(e.mul(_times(x, 2.0), p), q)


def _hermite_h(x, p, q, k):
    return e.sub(e.mul(_times(x, 2.0), p), _times(q, 2.0 * k))


def _hermite_he(x, p, q, k):
    return e.sub(e.mul(x, p), _times(q, float(k)))


def _laguerre(x, p, q, k):
    return _times(e.sub(e.mul(_plus(e.neg(x), 2 * k + 1.0), p), _times(q, float(k))), 1 / (k + 1))


def _legendre(x, p, q, k):
    return _times(e.sub(_times(e.mul(x, p), 2 * k + 1.0), _times(q, float(k))), 1 / (k + 1))


def _same(x):
    return x


def _doubled(x):
    return _times(x, 2.0)


def _doubled_less_one(x):
    return _plus(_times(x, 2.0), -1.0)


def _doubled_plus_one(x):
    return _plus(_times(x, 2.0), 1.0)


def _one_minus(x):
    return _plus(e.neg(x), 1.0)


_T = "Chebyshev polynomial of the first kind"
_U = "Chebyshev polynomial of the second kind"
_V = "Chebyshev polynomial of the third kind"
_W = "Chebyshev polynomial of the fourth kind"
chebyshev_polynomial_t = _family("chebyshev_polynomial_t", _same, _chebyshev, _T)
chebyshev_polynomial_u = _family("chebyshev_polynomial_u", _doubled, _chebyshev, _U)
chebyshev_polynomial_v = _family("chebyshev_polynomial_v", _doubled_less_one, _chebyshev, _V)
chebyshev_polynomial_w = _family("chebyshev_polynomial_w", _doubled_plus_one, _chebyshev, _W)
shifted_chebyshev_polynomial_t = _family(
    "shifted_chebyshev_polynomial_t", _same, _chebyshev, f"{_T} at 2x - 1", shifted=True
)
shifted_chebyshev_polynomial_u = _family(
    "shifted_chebyshev_polynomial_u", _doubled, _chebyshev, f"{_U} at 2x - 1", shifted=True
)
shifted_chebyshev_polynomial_v = _family(
    "shifted_chebyshev_polynomial_v", _doubled_less_one, _chebyshev, f"{_V} at 2x - 1", shifted=True
)
shifted_chebyshev_polynomial_w = _family(
    "shifted_chebyshev_polynomial_w", _doubled_plus_one, _chebyshev, f"{_W} at 2x - 1", shifted=True
)
hermite_polynomial_h = _family(
    "hermite_polynomial_h", _doubled, _hermite_h, "Physicists' Hermite polynomial"
)
hermite_polynomial_he = _family(
    "hermite_polynomial_he", _same, _hermite_he, "Probabilists' Hermite polynomial"
)
laguerre_polynomial_l = _family(
    "laguerre_polynomial_l", _one_minus, _laguerre, "Laguerre polynomial"
)
legendre_polynomial_p = _family("legendre_polynomial_p", _same, _legendre, "Legendre polynomial")
