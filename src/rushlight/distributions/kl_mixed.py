"""Divergences between distributions of different families.  Level 12.

Each is minus the entropy of p minus the mean of log q under p.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.continuous_bernoulli import ContinuousBernoulli
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.gumbel import Gumbel
from rushlight.distributions.kl import infinite_where, register_kl, x_log_x
from rushlight.distributions.laplace import Laplace
from rushlight.distributions.normal import Normal
from rushlight.distributions.pareto import Pareto
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import euler_constant
from rushlight.ops.alike import full_like
from rushlight.tensor.tensor import Tensor

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _register_infinite(type_p: type, parameter: str, *types_q: type) -> None:
    """p has values that q has not, whatever the parameters."""

    def infinite(p: Any, q: Any) -> Tensor:
        return full_like(getattr(p, parameter), math.inf)

    for type_q in types_q:
        register_kl(type_p, type_q)(infinite)


_ON_THE_UNIT_INTERVAL = (Beta, ContinuousBernoulli)
_ON_POSITIVE_NUMBERS = (Exponential, Gamma)
_BOUNDED = (*_ON_THE_UNIT_INTERVAL, Pareto, Uniform)

_register_infinite(Beta, "concentration1", Pareto)
_register_infinite(ContinuousBernoulli, "probs", Pareto)
_register_infinite(Exponential, "rate", *_BOUNDED)
_register_infinite(Gamma, "concentration", *_BOUNDED)
_register_infinite(Gumbel, "loc", *_BOUNDED, *_ON_POSITIVE_NUMBERS)
_register_infinite(Laplace, "loc", *_BOUNDED, *_ON_POSITIVE_NUMBERS)
_register_infinite(Normal, "loc", *_BOUNDED, *_ON_POSITIVE_NUMBERS)
_register_infinite(Pareto, "scale", *_ON_THE_UNIT_INTERVAL, Uniform)
_register_infinite(Poisson, "rate", Bernoulli, Binomial)


def _gamma_log_normalizer(q: Any) -> Tensor:
    return q.concentration.lgamma() - q.concentration * q.rate.log()


def _to_normal(p: Any, q: Any, mean: Tensor, second_moment: Tensor) -> Tensor:
    """From p's first two moments."""
    spread = second_moment - 2 * q.loc * mean + q.loc.pow(2)
    return -p.entropy() + _HALF_LOG_TAU + q.scale.log() + 0.5 * spread / q.scale.pow(2)


def _to_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    rest = (-q.probs).log1p() + q._cont_bern_log_norm()
    return -p.entropy() - p.mean * q.logits - rest


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    return _to_continuous_bernoulli(p, q)


@register_kl(Beta, Exponential)
def _beta_exponential(p: Any, q: Any) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Tensor:
    total = p.concentration1 + p.concentration0
    mean_log = p.concentration1.digamma() - total.digamma()
    powers = (q.concentration - 1) * mean_log - q.rate * p.mean
    return -p.entropy() + _gamma_log_normalizer(q) - powers


@register_kl(Beta, Normal)
def _beta_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, p.variance + p.mean.pow(2))


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Tensor:
    result = -p.entropy() + (q.high - q.low).log()
    return infinite_where((q.low > 0) | (q.high < 1), result)


@register_kl(ContinuousBernoulli, Exponential)
def _continuous_bernoulli_exponential(p: Any, q: Any) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(ContinuousBernoulli, Normal)
def _continuous_bernoulli_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, p.variance + p.mean.pow(2))


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Tensor:
    result = -p.entropy() + (q.high - q.low).log()
    return infinite_where((q.low >= 0) | (q.high <= 1), result)  # at equal ends too, as PyTorch


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    c = q.concentration
    return ratio - c * ratio.log() + c.lgamma() + c * euler_constant - (1 + euler_constant)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Tensor:
    product = p.rate * q.scale
    place = q.loc / q.scale
    moment = place.exp() * product / (product + 1)
    return product.log() - 1 - place + moment + product.reciprocal()


@register_kl(Exponential, Normal)
def _exponential_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, 2 * p.variance)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Tensor:
    product = p.rate * q.scale
    place = q.loc / q.scale
    c = p.concentration
    own = (c - 1) * c.digamma() - c.lgamma() - c
    moment = place.exp() * (1 + product.reciprocal()).pow(-c)
    return own + product.log() + c / product + moment - place


@register_kl(Gamma, Normal)
def _gamma_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, p.variance + p.mean.pow(2))


@register_kl(Gumbel, Normal)
def _gumbel_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, p.variance + p.mean.pow(2))


@register_kl(Laplace, Normal)
def _laplace_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, p.variance + p.mean.pow(2))


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Tensor:
    distance = (p.loc - q.loc) / q.scale
    moment = (0.5 * (p.scale / q.scale).pow(2) - distance).exp()
    return -p.entropy() + q.scale.log() + distance + moment


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    distance = p.loc - q.loc
    relative = distance / p.scale
    bell = math.sqrt(2 / math.pi) * p.scale * (-0.5 * relative.pow(2)).exp()
    mean_size = bell + distance * (math.sqrt(0.5) * relative).erf()
    return -(p.scale / q.scale).log() + mean_size / q.scale - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Tensor:
    product = p.scale * q.rate
    mean = p.alpha * product / (p.alpha - 1)
    result = (p.alpha / product).log() - p.alpha.reciprocal() + mean - 1
    return infinite_where(p.alpha <= 1, result)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Tensor:
    mean_log = p.scale.log() + p.alpha.reciprocal()
    mean = p.alpha * p.scale / (p.alpha - 1)
    powers = (1 - q.concentration) * mean_log + q.rate * mean
    result = p.alpha.log() - mean_log + _gamma_log_normalizer(q) + powers - 1
    return infinite_where(p.alpha <= 1, result)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Tensor:
    spread = p.scale / (p.alpha - 1)
    own = (math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log() - p.alpha.reciprocal()
    variance = p.alpha * spread.pow(2) / (p.alpha - 2)
    distance = (p.alpha * spread - q.loc).pow(2)
    result = own + (variance + distance) / (2 * q.scale.pow(2)) - 1
    return infinite_where(p.alpha <= 2, result)


def _mean_log(low: Tensor, high: Tensor) -> Tensor:
    """The mean of log x between `low` and `high`."""
    return (x_log_x(high) - x_log_x(low)) / (high - low) - 1


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    powers = (a - 1) * _mean_log(p.low, p.high) + (b - 1) * _mean_log(1 - p.high, 1 - p.low)
    result = a.lgamma() + b.lgamma() - (a + b).lgamma() - (p.high - p.low).log() - powers
    return infinite_where((p.high > 1) | (p.low < 0), result)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    return infinite_where((p.high >= 1) | (p.low <= 0), _to_continuous_bernoulli(p, q))


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Tensor:
    result = q.rate * (p.high + p.low) / 2 - (q.rate * (p.high - p.low)).log()
    return infinite_where(p.low < 0, result)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Tensor:
    powers = (1 - q.concentration) * _mean_log(p.low, p.high) + q.rate * p.mean
    result = _gamma_log_normalizer(q) + powers - (p.high - p.low).log()
    return infinite_where(p.low < 0, result)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Tensor:
    ratio = q.scale / (p.high - p.low)
    above, below = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return ratio.log() + 0.5 * (above + below) - ratio * ((-above).exp() - (-below).exp())


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Tensor:
    return _to_normal(p, q, p.mean, p.variance + p.mean.pow(2))


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Tensor:
    own = q.alpha.log() + q.alpha * q.scale.log() + (p.high - p.low).log()
    result = (q.alpha + 1) * _mean_log(p.low, p.high) - own
    return infinite_where(p.low < q.scale, result)
