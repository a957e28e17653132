"""Von Mises distribution: the circle's normal distribution.  Level 12.

Source: torch.distributions.VonMises; sampling by D. Best and N. Fisher 1979.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import bool_, float64
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import broadcast_all, lazy_property
from rushlight.ops.alike import zeros_like
from rushlight.ops.comparison import where
from rushlight.ops.creation import empty, zeros
from rushlight.ops.random import rand
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Size, Tensor

__all__ = ["VonMises"]

# Polynomials of the Bessel functions I0 and I1 in (x / 3.75)**2 and in 3.75 / x.
# Source: M. Abramowitz and I. Stegun 1964, 9.8.1 to 9.8.4.
_SMALL = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
)
_LARGE = (
    (0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1,
     0.2635537e-1, -0.1647633e-1, 0.392377e-2),
    (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1,
     -0.2895312e-1, 0.1787654e-1, -0.420059e-2),
)  # fmt: skip
_BOUND = 3.75


def _polynomial(y: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    result = zeros_like(y)
    for coefficient in reversed(coefficients):
        result = coefficient + y * result
    return result


def _log_modified_bessel_fn(x: Tensor, order: int = 0) -> Tensor:
    """log of I0 or I1 at positive x."""
    if order not in (0, 1):
        raise AssertionError(f"order must be 0 or 1, got {order}")
    y = x / _BOUND
    small = _polynomial(y * y, _SMALL[order])
    if order == 1:
        small = x.abs() * small
    large = x - 0.5 * x.log() + _polynomial(_BOUND / x, _LARGE[order]).log()
    return where(x < _BOUND, small.log(), large)


class VonMises(Distribution):
    """Angles in [-pi, pi) around `loc`, the closer the larger `concentration`."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(
        self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None
    ) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, Size(), validate_args)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        density = self.concentration * (value - self.loc).cos()
        return density - math.log(2 * math.pi) - _log_modified_bessel_fn(self.concentration)

    @lazy_property
    def _loc(self) -> Tensor:
        return self.loc.to(float64)

    @lazy_property
    def _concentration(self) -> Tensor:
        return self.concentration.to(float64)

    @lazy_property
    def _proposal_r(self) -> Tensor:
        kappa = self._concentration
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        exact = (1 + rho**2) / (2 * rho)
        # The exact value loses its digits for small concentrations: two terms of its series there.
        return where(kappa < 1e-5, 1 / kappa + kappa, exact)

    @no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Angles, drawn in float64 whatever the parameters' dtype."""
        shape = self._extended_shape(sample_shape)
        loc, kappa, r = (
            x.expand(shape) for x in (self._loc, self._concentration, self._proposal_r)
        )
        found = empty(shape, dtype=float64)
        is_done = zeros(shape, dtype=bool_)
        while not is_done.all():
            u1, u2, u3 = rand((3, *shape), dtype=float64).unbind()
            z = (math.pi * u1).cos()
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            is_accepted = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
            if is_accepted.any():
                found = where(is_accepted, (u3 - 0.5).sign() * f.acos(), found)
                is_done = is_done | is_accepted
        return ((found + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        loc, concentration = (x.expand(batch_shape) for x in (self.loc, self.concentration))
        return type(self)(loc, concentration, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:  # type: ignore[override]
        """The circular variance."""
        first = _log_modified_bessel_fn(self.concentration, order=1)
        return 1 - (first - _log_modified_bessel_fn(self.concentration, order=0)).exp()
