"""Negative binomial distribution.  Level 12.  Source: torch.distributions.NegativeBinomial."""

from __future__ import annotations

from typing import Any

from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.odds import BinaryOdds, choose
from rushlight.distributions.utils import broadcast_all, lazy_property
from rushlight.ops.activation import logsigmoid
from rushlight.ops.comparison import where
from rushlight.ops.random import poisson as draw_poisson
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Size, Tensor

__all__ = ["NegativeBinomial"]


class NegativeBinomial(BinaryOdds, Distribution):
    """Number of successes of probability `probs` before `total_count` failures."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Tensor | float,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name = choose(probs, logits)
        count, self._param = broadcast_all(total_count, logits if probs is None else probs)
        self.total_count = count.type_as(self._param)
        setattr(self, name, self._param)
        super().__init__(self._param.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        names = ("total_count", "probs", "logits")
        new = self._expanded(NegativeBinomial, batch_shape, _instance, names)
        new._param = new.__dict__["probs" if "probs" in new.__dict__ else "logits"]
        return self._finish_expanded(new, batch_shape)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / (-self.logits).sigmoid()

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter."""
        return self._param.size()

    @lazy_property
    def _gamma(self) -> Gamma:
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return draw_poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        odds = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        ways = (1.0 + value).lgamma() + n.lgamma() - (n + value).lgamma()
        # lgamma is infinite at 0, where nothing is drawn and the value is 0 for certain.
        return odds - where(n + value == 0.0, 0.0, ways)
