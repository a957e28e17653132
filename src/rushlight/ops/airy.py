"""The Airy function Ai.  Level 11.

Computed in float64: near zero by its power series; above, by the integral of the Bessel function K
of order 1/3, whose trapezoidal sum converges faster than any power; far below, by its asymptotic
series.  As in PyTorch it carries no gradient.  Source: Abramowitz and Stegun 10.4.
"""

from __future__ import annotations

import math

import numpy as np

from rushlight.base.dtypes import float64
from rushlight.ops.promotion import as_inexact, constant, refuse
from rushlight.primitives import elementwise as e
from rushlight.primitives.movement import reshape
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

_HIGH, _LOW = 1.5, -7.0
_SERIES_TERMS = 40
_ASYMPTOTIC_TERMS = 24
# Beyond, Ai is smaller than any float64 that is not 0.
_HIGHEST = 110.0
_STEPS = np.linspace(0.0, 4.5, 91)
_AT_ZERO = 3 ** (-2 / 3) / math.gamma(2 / 3)
_SLOPE = 3 ** (-1 / 3) / math.gamma(1 / 3)


def _series(x: Tensor) -> Tensor:
    """Ai near zero: two power series in the cube, by Horner's rule."""
    cube = e.mul(e.mul(x, x), x)
    first = second = x._scalar(1.0)
    for k in range(_SERIES_TERMS, 0, -1):
        share = e.mul(cube, x._scalar(1 / ((3 * k - 1) * (3 * k))))
        first = e.add(e.mul(first, share), x._scalar(1.0))
        share = e.mul(cube, x._scalar(1 / ((3 * k) * (3 * k + 1))))
        second = e.add(e.mul(second, share), x._scalar(1.0))
    linear = e.mul(e.mul(x, second), x._scalar(_SLOPE))
    return e.sub(e.mul(first, x._scalar(_AT_ZERO)), linear)


def _decaying(x: Tensor) -> Tensor:
    """Ai above: sqrt(x / 3) / pi times K(2/3 x^(3/2)) of order 1/3."""
    root = e.sqrt(x)
    zeta = e.mul(e.mul(x, root), x._scalar(2 / 3))
    # exp(-zeta cosh t) as exp(-zeta) exp(-zeta (cosh t - 1)), of which the second sums.
    rise = tensor_from_numpy(2 * np.sinh(_STEPS / 2) ** 2, float64)
    weights = np.cosh(_STEPS / 3) * (_STEPS[1] - _STEPS[0])
    weights[0] /= 2
    column = reshape(zeta, (*zeta._node.shape, 1))
    values = e.mul(e.exp(e.neg(e.mul(column, rise))), tensor_from_numpy(weights, float64))
    total = e.mul(reduce_sum(values, (x.ndim,), False), e.exp(e.neg(zeta)))
    return e.mul(e.mul(root, total), x._scalar(1 / (math.pi * math.sqrt(3))))


def _waving(z: Tensor) -> Tensor:
    """Ai(-z) far below zero."""
    root = e.sqrt(z)
    zeta = e.mul(e.mul(z, root), z._scalar(2 / 3))
    inverse = e.reciprocal(zeta)
    p, q, term = z._scalar(0.0), z._scalar(0.0), z._scalar(1.0)
    for k in range(_ASYMPTOTIC_TERMS):
        signed = e.mul(term, z._scalar(-1.0 if k % 4 in (2, 3) else 1.0))
        if k % 2:
            q = e.add(q, signed)
        else:
            p = e.add(p, signed)
        k += 1
        share = (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1))
        term = e.mul(e.mul(term, inverse), z._scalar(share))
    phase = e.add(zeta, z._scalar(math.pi / 4))
    wave = e.sub(e.mul(e.sin(phase), p), e.mul(e.cos(phase), q))
    return e.div(wave, e.mul(e.sqrt(root), z._scalar(math.sqrt(math.pi))))


def airy_ai(input) -> Tensor:
    """The Airy function of the first kind.  Dtypes: floating; integers give the default one.

    Source: torch.special.airy_ai.
    """
    given = as_inexact("airy_ai", input)
    refuse("airy_ai", given, complex_=True)
    given = constant(given)
    x = e.cast(given, float64)
    high, low = e.gt(x, x._scalar(_HIGH)), e.lt(x, x._scalar(_LOW))
    middle = e.where(e.bitwise_or(high, low), x._scalar(0.0), x)
    above = e.minimum(e.where(high, x, x._scalar(_HIGH)), x._scalar(_HIGHEST))
    found = e.where(high, _decaying(above), _series(middle))
    found = e.where(low, _waving(e.neg(e.where(low, x, x._scalar(_LOW)))), found)
    return e.cast(e.where(e.ne(x, x), x, found), given._node.dtype)
