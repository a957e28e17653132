"""Bessel functions of order 0 and 1: J and Y by quadrature, K by series.  Level 11.

J and Y: up to 25 the integrals over the circle, whose trapezoidal sums of 128 points converge
faster than any power; beyond, Hankel's asymptotic series.  As in PyTorch they carry no gradient.
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import narrow
from rushlight.ops.promotion import as_inexact, constant, refuse
from rushlight.ops.special import chebyshev_sum, i0, i1
from rushlight.primitives import elementwise as e
from rushlight.primitives.movement import reshape
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

_FAR = 25.0
_POINTS = 128
_HANKEL_TERMS = 10
# Angles of the midpoint rule on half the circle.
_ANGLES = (np.arange(_POINTS) + 0.5) * np.pi / _POINTS
_TERMS = np.arange(1, 41)


def _operand(name: str, x) -> Tensor:
    found = as_inexact(name, x)
    refuse(name, found, complex_=True)
    return constant(found)


def _times(x: Tensor, factor: float) -> Tensor:
    return e.mul(x, x._scalar(factor))


def _plus(x: Tensor, term: float) -> Tensor:
    return e.add(x, x._scalar(term))


def _constants(x: Tensor, array) -> Tensor:
    return tensor_from_numpy(narrow(np.ascontiguousarray(array), x._node.dtype), x._node.dtype)


def _circle_sum(x: Tensor, wave, weights) -> Tensor:
    """The mean over the angles of weights times wave(x sin angle)."""
    phase = e.mul(reshape(x, (*x._node.shape, 1)), _constants(x, np.sin(_ANGLES)))
    values = e.mul(wave(phase), _constants(x, weights / _POINTS))
    return reduce_sum(values, (x.ndim,), False)


def _hankel(x: Tensor, order: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(amplitude * P, amplitude * Q, cosine, sine) of the phase x - order pi/2 - pi/4."""
    mu = 4 * order * order
    inverse = e.reciprocal(_times(x, 8.0))
    p, q = x._scalar(0.0), x._scalar(0.0)
    term = x._scalar(1.0)
    for k in range(_HANKEL_TERMS):
        part = _times(term, -1.0 if k % 4 in (2, 3) else 1.0)
        if k % 2:
            q = e.add(q, part)
        else:
            p = e.add(p, part)
        term = _times(e.mul(term, inverse), (mu - (2 * k + 1) ** 2) / (k + 1))
    amplitude = e.sqrt(e.div(x._scalar(2 / math.pi), x))
    phase = _plus(x, -(order / 2 + 0.25) * math.pi)
    return e.mul(amplitude, p), e.mul(amplitude, q), e.cos(phase), e.sin(phase)


def _split(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(|x| > 25, |x| where it is not, |x| where it is)."""
    size = e.absolute(x)
    beyond = e.gt(size, size._scalar(_FAR))
    return (
        beyond,
        e.where(e.le(size, size._scalar(_FAR)), size, size._scalar(1.0)),
        e.where(beyond, size, size._scalar(_FAR)),
    )


def bessel_j0(input) -> Tensor:
    """Bessel function of the first kind of order 0.  Source: torch.special.bessel_j0.

    >>> import rushlight as rl
    >>> rl.special.bessel_j0(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.9385, 0.7652, 0.2239])
    """
    x = _operand("bessel_j0", input)
    beyond, near, far = _split(x)
    p, q, cosine, sine = _hankel(far, 0)
    tail = e.sub(e.mul(p, cosine), e.mul(q, sine))
    found = e.where(beyond, tail, _circle_sum(near, e.cos, np.ones(_POINTS)))
    return e.where(e.ne(x, x), x, found)


def bessel_j1(input) -> Tensor:
    """Bessel function of the first kind of order 1.  Source: torch.special.bessel_j1.

    >>> import rushlight as rl
    >>> rl.special.bessel_j1(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.2423, 0.4401, 0.5767])
    """
    x = _operand("bessel_j1", input)
    beyond, near, far = _split(x)
    p, q, cosine, sine = _hankel(far, 1)
    tail = e.sub(e.mul(p, cosine), e.mul(q, sine))
    found = e.where(beyond, tail, _circle_sum(near, e.sin, np.sin(_ANGLES)))
    return e.where(e.ne(x, x), x, e.mul(found, e.sign(x)))


# Neumann's series (Abramowitz and Stegun 9.1.88): Y by log(x) J and all J of the same parity.
_Y0_WEIGHTS = sum((-1) ** k / k * np.cos(2 * k * _ANGLES) for k in _TERMS)
_Y1_WEIGHTS = sum(
    (-1) ** k * (2 * k + 1) / (k * (k + 1)) * np.sin((2 * k + 1) * _ANGLES) for k in _TERMS
)


def _second_kind(name: str, input, order: int, body) -> Tensor:
    x = _operand(name, input)
    beyond, near, far = _split(x)
    near = e.where(e.gt(near, near._scalar(0.0)), near, near._scalar(1.0))
    p, q, cosine, sine = _hankel(far, order)
    tail = e.add(e.mul(p, sine), e.mul(q, cosine))
    found = e.where(e.ne(x, x), x, e.where(beyond, tail, body(near)))
    zero = x._scalar(0.0)
    found = e.where(e.eq(x, zero), x._scalar(-math.inf), found)
    return e.where(e.lt(x, zero), x._scalar(math.nan), found)


def bessel_y0(input) -> Tensor:
    """Bessel function of the second kind of order 0.  Source: torch.special.bessel_y0.

    >>> import rushlight as rl
    >>> rl.special.bessel_y0(rl.tensor([0.5, 1.0, 2.0]))
    tensor([-0.4445,  0.0883,  0.5104])
    """

    def body(x):
        growth = _plus(e.log(_times(x, 0.5)), np.euler_gamma)
        j0 = _circle_sum(x, e.cos, np.ones(_POINTS))
        rest = _circle_sum(x, e.cos, _Y0_WEIGHTS)
        return e.sub(_times(e.mul(growth, j0), 2 / math.pi), _times(rest, 4 / math.pi))

    return _second_kind("bessel_y0", input, 0, body)


def bessel_y1(input) -> Tensor:
    """Bessel function of the second kind of order 1.  Source: torch.special.bessel_y1.

    >>> import rushlight as rl
    >>> rl.special.bessel_y1(rl.tensor([0.5, 1.0, 2.0]))
    tensor([-1.4715, -0.7812, -0.1070])
    """

    def body(x):
        growth = _plus(e.log(_times(x, 0.5)), np.euler_gamma - 1)
        j1 = _circle_sum(x, e.sin, np.sin(_ANGLES))
        rest = _circle_sum(x, e.sin, _Y1_WEIGHTS)
        smooth = e.sub(_times(e.mul(growth, j1), 2 / math.pi), _times(rest, 2 / math.pi))
        j0 = _circle_sum(x, e.cos, np.ones(_POINTS))
        return e.sub(smooth, e.div(_times(j0, 2 / math.pi), x))

    return _second_kind("bessel_y1", input, 1, body)


# ---- K -------------------------------------------------------------------------------------------

_K_NEAR = 2.0
_K_TERMS = 16
# Chebyshev coefficients, computed with 50 digits at 44 nodes: of exp(x) sqrt(x) K(x) in 4 / x - 1
# beyond 2.
_K0_FAR = (
    1.2201515410329777, -0.0314481013119645, 0.0015698838857300533, -0.00012849549581627802,
    1.39498137188765e-05, -1.8317555227191195e-06, 2.766813639445015e-07, -4.660489897687948e-08,
    8.574034017414225e-09, -1.6975345093890614e-09, 3.5773972814003283e-10, -7.957489244477396e-11,
    1.8559491149549264e-11, -4.514597883374519e-12, 1.1403405882073441e-12, -2.9800969231481784e-13,
    8.032890775068375e-14, -2.2275133267462965e-14, 6.340076476276646e-15, -1.848593377920907e-15,
    5.5120559994043335e-16, -1.6782311257549006e-16,
)  # fmt: skip
_K1_FAR = (
    1.3603130952422213, 0.10392373657681724, -0.002857816859622779, 0.00019521551847135162,
    -1.936197974166083e-05, 2.406484947837217e-06, -3.5019606030878126e-07, 5.7410841254500495e-08,
    -1.0345762465678097e-08, 2.0150497551970347e-09, -4.1903547593419254e-10, 9.218315187605315e-11,
    -2.129967838427791e-11, 5.139639673482343e-12, -1.2891739609498229e-12, 3.348419666052243e-13,
    -8.976705182010146e-14, 2.4771544242195988e-14, -7.0198370892147685e-15, 2.038703166239861e-15,
    -6.057047270643018e-16, 1.8380935752430455e-16,
)  # fmt: skip


def _k_far(x: Tensor, order: int) -> Tensor:
    """exp(x) K(x) for x >= 2."""
    position = _plus(e.div(x._scalar(4.0), x), -1.0)
    return e.mul(chebyshev_sum(position, _K1_FAR if order else _K0_FAR), e.rsqrt(x))


def _k_near(x: Tensor, order: int) -> Tensor:
    """K(x) for 0 < x <= 2 by its power series."""
    quarter = _times(e.mul(x, x), 0.25)
    total = x._scalar(0.0)
    for k in range(_K_TERMS, -1, -1):
        harmonic = sum(1 / i for i in range(1, k + 1)) - np.euler_gamma
        if order == 0:
            coefficient = harmonic / math.factorial(k) ** 2
        else:
            pair = 2 * harmonic + 1 / (k + 1)
            coefficient = pair / (math.factorial(k) * math.factorial(k + 1))
        total = _plus(e.mul(total, quarter), coefficient)
    growth = e.log(_times(x, 0.5))
    if order == 0:
        return e.sub(total, e.mul(growth, i0(x)))
    smooth = e.sub(e.mul(growth, i1(x)), _times(e.mul(x, total), 0.25))
    return e.add(e.reciprocal(x), smooth)


def _k(name: str, input, order: int, scaled: bool) -> Tensor:
    x = _operand(name, input)
    beyond = e.gt(x, x._scalar(_K_NEAR))
    inside = e.bitwise_and(e.gt(x, x._scalar(0.0)), e.le(x, x._scalar(_K_NEAR)))
    near = e.where(inside, x, x._scalar(1.0))
    far = e.where(beyond, x, x._scalar(_K_NEAR))
    tail, body = _k_far(far, order), _k_near(near, order)
    if scaled:
        body = e.mul(body, e.exp(near))
    else:
        tail = e.mul(tail, e.exp(e.neg(far)))
    found = e.where(beyond, tail, body)
    zero = x._scalar(0.0)
    found = e.where(e.eq(x, zero), x._scalar(math.inf), found)
    found = e.where(e.lt(x, zero), x._scalar(math.nan), found)
    return e.where(e.ne(x, x), x, found)


def modified_bessel_k0(input) -> Tensor:
    """Modified Bessel function of the second kind of order 0.

    >>> import rushlight as rl
    >>> rl.special.modified_bessel_k0(rl.tensor([0.5, 1.0, 2.0]))
    tensor([0.9244, 0.4210, 0.1139])
    """
    return _k("modified_bessel_k0", input, 0, False)


def modified_bessel_k1(input) -> Tensor:
    """Modified Bessel function of the second kind of order 1.

    >>> import rushlight as rl
    >>> rl.special.modified_bessel_k1(rl.tensor([0.5, 1.0, 2.0]))
    tensor([1.6564, 0.6019, 0.1399])
    """
    return _k("modified_bessel_k1", input, 1, False)


def scaled_modified_bessel_k0(input) -> Tensor:
    """exp(x) times modified_bessel_k0(x).

    >>> import rushlight as rl
    >>> rl.special.scaled_modified_bessel_k0(rl.tensor([0.5, 1.0, 2.0]))
    tensor([1.5241, 1.1445, 0.8416])
    """
    return _k("scaled_modified_bessel_k0", input, 0, True)


def scaled_modified_bessel_k1(input) -> Tensor:
    """exp(x) times modified_bessel_k1(x).

    >>> import rushlight as rl
    >>> rl.special.scaled_modified_bessel_k1(rl.tensor([0.5, 1.0, 2.0]))
    tensor([2.7310, 1.6362, 1.0335])
    """
    return _k("scaled_modified_bessel_k1", input, 1, True)
