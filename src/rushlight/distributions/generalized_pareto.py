"""Generalized Pareto distribution.  Level 12.  Source: torch.distributions.GeneralizedPareto."""

from __future__ import annotations

import math
from typing import Any

from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import broadcast_all, is_number
from rushlight.ops.alike import ones_like, zeros_like
from rushlight.ops.comparison import isclose, where
from rushlight.ops.random import rand
from rushlight.tensor.tensor import Size, Tensor

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Excesses over the threshold `loc`; `concentration` is the weight of the tail."""

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        concentration: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        are_numbers = is_number(loc) and is_number(scale) and is_number(concentration)
        shape = Size() if are_numbers else self.loc.size()
        super().__init__(shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        names = ("loc", "scale", "concentration")
        new = self._expanded(GeneralizedPareto, batch_shape, _instance, names)
        return self._finish_expanded(new, batch_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def _is_exponential(self) -> Tensor:
        return isclose(self.concentration, zeros_like(self.concentration))

    def _safe_concentration(self, is_exponential: Tensor) -> Tensor:
        return where(is_exponential, ones_like(self.concentration), self.concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        is_exponential = self._is_exponential()
        c = self._safe_concentration(is_exponential)
        tail = 1 / c
        heavy = where(z >= 0, -(tail + 1) * (c * z).log1p(), -math.inf)
        light = where(z >= 0, -z, -math.inf)
        return where(is_exponential, light, heavy) - self.scale.log()

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log of the probability of values above `value`."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        is_exponential = self._is_exponential()
        c = self._safe_concentration(is_exponential)
        return where(is_exponential, -z, -(c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """log of the probability of values up to `value`."""
        if self._validate_args:
            self._validate_sample(value)
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        is_exponential = self._is_exponential()
        c = self._safe_concentration(is_exponential)
        log_rest = (-value).log1p()
        heavy = self.loc + self.scale * (-c * log_rest).expm1() / c
        return where(is_exponential, self.loc - self.scale * log_rest, heavy)

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    @property
    def mean(self) -> Tensor:
        c = self.concentration
        is_finite = c < 1
        safe = where(is_finite, c, 0.5)
        return where(is_finite, self.loc + self.scale / (1 - safe), math.inf)

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        is_finite = c < 0.5
        safe = where(is_finite, c, 0.25)
        found = self.scale**2 / ((1 - safe) ** 2 * (1 - 2 * safe))
        return where(is_finite, found + zeros_like(self.loc), math.inf)

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).broadcast_to(self._batch_shape)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        lower = self.loc
        upper = where(self.concentration < 0, lower - self.scale / self.concentration, math.inf)
        return constraints.interval(lower, upper)
