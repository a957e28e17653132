"""Special functions that NumPy lacks, in float64.  Level 3.

erf, erfc and lgamma come from Python's math module; erfinv is Giles' approximation refined by
Newton steps; digamma is the recurrence up to 10, then the asymptotic series.
"""

from __future__ import annotations

import math

import numpy as np


def _by_element(function):
    vectorised = np.frompyfunc(function, 1, 1)

    def rule(x):
        if x.size == 0:
            return x.copy()
        return np.asarray(vectorised(x.astype(np.float64)), dtype=object).astype(x.dtype)

    return rule


def _lgamma_of_number(x: float) -> float:
    if math.isnan(x):
        return x
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


erf = _by_element(math.erf)
erfc = _by_element(math.erfc)
lgamma = _by_element(_lgamma_of_number)


def erfinv(x):
    """Inverse of erf; ±inf at ±1, NaN outside.  Source: M. Giles, 2010; two Newton steps."""
    y = x.astype(np.float64)
    inside = np.abs(y) < 1
    safe = np.where(inside, y, 0.0)
    w = -np.log((1 - safe) * (1 + safe))
    central = w < 5
    small = np.where(central, w - 2.5, 0.0)
    large = np.where(central, 0.0, np.sqrt(np.where(central, 9.0, w)) - 3)
    guess = safe * np.where(
        central,
        np.polynomial.polynomial.polyval(small, _GILES_CENTRAL),
        np.polynomial.polynomial.polyval(large, _GILES_TAIL),
    )
    for _ in range(2):
        magnitude = np.abs(guess)
        slope = 2 / math.sqrt(math.pi) * np.exp(-magnitude * magnitude)
        # erfc on the far side keeps the relative accuracy near ±1.
        magnitude = magnitude - ((1 - np.abs(safe)) - erfc(magnitude)) / slope
        guess = np.copysign(magnitude, safe)
    edge = np.where(y == 1, np.inf, np.where(y == -1, -np.inf, np.nan))
    return np.where(inside, guess, edge).astype(x.dtype)


_GILES_CENTRAL = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.000218580870,
    -4.39150654e-06, -3.5233877e-06, 3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
_GILES_TAIL = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773,
    -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257,
)  # fmt: skip

# Coefficients B(2k) / 2k of the asymptotic series of digamma.
_DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def digamma(x):
    """Logarithmic derivative of the gamma function; NaN at negative integers, -+inf at ±0."""
    y = x.astype(np.float64)
    reflected = y < 0
    z = np.where(reflected, 1 - y, y)
    total = np.zeros_like(z)
    for _ in range(10):
        low = z < 10
        total = total - np.where(low, 1 / np.where(z == 0, 1, z), 0)
        z = np.where(low, z + 1, z)
    square = 1 / (z * z)
    series = np.zeros_like(z)
    for coefficient in reversed(_DIGAMMA_SERIES):
        series = (series + coefficient) * square
    total = total + np.log(z) - 0.5 / z - series
    whole = y == np.floor(y)
    cotangent = math.pi / np.tan(math.pi * (y - np.rint(y)))
    total = np.where(reflected, total - cotangent, total)
    total = np.where(reflected & whole, np.nan, total)
    return np.where(y == 0, np.copysign(np.inf, -y), total).astype(x.dtype)


# Coefficients B(2k) / (2k)! of the Euler-Maclaurin sum.
_EULER_MACLAURIN = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000,
    1 / 74724249600,
)  # fmt: skip
_DIRECT_TERMS = 12


def hurwitz_zeta(s: float, q):
    """Sum over k >= 0 of (k + q) ** -s for s > 1 and q > 0, by the Euler-Maclaurin formula."""
    total = np.zeros_like(q)
    for k in range(_DIRECT_TERMS):
        total = total + (q + k) ** -s
    start = q + _DIRECT_TERMS
    total = total + start ** (1 - s) / (s - 1) + 0.5 * start**-s
    rising = s
    power = start ** (-s - 1)
    for k, coefficient in enumerate(_EULER_MACLAURIN):
        total = total + coefficient * rising * power
        rising *= (s + 2 * k + 1) * (s + 2 * k + 2)
        power = power / (start * start)
    return total


def _cotangent_derivative(order: int, x):
    """The order-th derivative of pi / tan(pi x), as a polynomial of the cotangent c.

    Of one in c it is that in c times -(1 + c**2), over pi.
    """
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    step = np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    for _ in range(order):
        polynomial = polynomial.deriv() * step
    rest = x - np.rint(x)
    size = np.abs(rest)
    # Near the zeros of c, between two poles, from the distance to them, which is exact: the
    # coefficients of high orders would make much of an error there.
    near = np.where(size < 0.25, size, 0.25)
    far = np.where(size < 0.25, 0.25, 0.5 - size)
    cotangent = np.where(size < 0.25, 1 / np.tan(math.pi * near), np.tan(math.pi * far))
    return math.pi ** (order + 1) * polynomial(np.copysign(cotangent, rest))


def polygamma(x, order: int):
    """The order-th derivative of digamma, order >= 1; +inf or NaN at its poles.

    Below 0 by reflection: psi(n, y) = (-1)**n psi(n, 1 - y) - d^n/dy^n pi cot(pi y).
    """
    y = x.astype(np.float64)
    sign = 1.0 if order % 2 else -1.0
    factor = sign * math.factorial(order)
    pole = (y == np.floor(y)) & (y <= 0)
    usable = np.where(np.isfinite(y) & ~pole, y, 0.5)
    below = usable < 0
    total = factor * hurwitz_zeta(order + 1.0, np.where(below, 1 - usable, usable))
    turned = _cotangent_derivative(order, np.where(below, usable, 0.5))
    total = np.where(below, -sign * total - turned, total)
    total = np.where(pole & np.isfinite(y), factor * np.inf, total)
    total = np.where(np.isposinf(y), 0.0, np.where(np.isnan(y) | np.isneginf(y), np.nan, total))
    return total.astype(x.dtype)


# More than the series needs for a up to 1e6; it stops when no element changes.
_IGAMMA_ROUNDS = 10_000


def _igamma_parts(a, x):
    """(whether the series gives the lower part, the value of that part or of the upper one)."""
    a, x = np.broadcast_arrays(a.astype(np.float64), x.astype(np.float64))
    usable = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    a, x = np.where(usable, a, 1.0), np.where(usable, x, 1.0)
    scale = np.exp(a * np.log(x) - x - lgamma(a))
    by_series = x < a + 1
    total = term = 1 / a
    below = a
    for _ in range(_IGAMMA_ROUNDS):
        below = below + 1
        term = term * np.where(by_series, x / below, 0.0)
        total = total + term
        if not np.any(np.abs(term) > np.abs(total) * 1e-17):
            break
    return by_series, np.where(by_series, total * scale, _upper_fraction(a, x, ~by_series) * scale)


def _upper_fraction(a, x, wanted):
    """Lentz's evaluation of the continued fraction of the upper incomplete gamma function."""
    x = np.where(wanted, x, a + 2)
    b = x + 1 - a
    c = np.full(x.shape, 1e300)
    d = 1 / b
    found = d
    for i in range(1, _IGAMMA_ROUNDS):
        factor = -i * (i - a)
        b = b + 2
        d = 1 / (factor * d + b)
        c = b + factor / c
        change = c * d
        found = found * change
        if np.all(np.abs(change - 1) < 1e-16):
            break
    return found


def _igamma_edges(a, x, found, at_zero: float):
    """Limits at 0 and infinity; NaN outside the domain."""
    a, x = np.broadcast_arrays(a, x)
    found = np.where(x == 0, at_zero, found)
    found = np.where(np.isposinf(x), 1 - at_zero, found)
    found = np.where((a == 0) & (x > 0), 1 - at_zero, found)
    found = np.where(np.isposinf(a) & np.isfinite(x), at_zero, found)
    wrong = (a < 0) | (x < 0) | np.isnan(a) | np.isnan(x) | ((a == 0) & (x == 0))
    wrong |= np.isposinf(a) & np.isposinf(x)
    return np.where(wrong, np.nan, found)


def igamma(a, x):
    """Regularised lower incomplete gamma function: power series, or 1 less the fraction."""
    by_series, part = _igamma_parts(a, x)
    return _igamma_edges(a, x, np.where(by_series, part, 1 - part), 0.0).astype(a.dtype)


def igammac(a, x):
    """Regularised upper incomplete gamma function."""
    by_series, part = _igamma_parts(a, x)
    return _igamma_edges(a, x, np.where(by_series, 1 - part, part), 1.0).astype(a.dtype)
