"""Exponential families: entropy and divergences from the log normalizer's derivative.  Level 12.

Source: torch.distributions.ExponentialFamily; the entropy by F. Nielsen and R. Nock 2010.
"""

from __future__ import annotations

from rushlight.autograd.differentiation import grad
from rushlight.distributions.distribution import Distribution
from rushlight.tensor.grad_mode import enable_grad
from rushlight.tensor.tensor import Tensor

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Densities exp(<t(x), theta> - F(theta) + k(x)) with natural parameters theta."""

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        """theta, one tensor for each sufficient statistic."""
        raise NotImplementedError(f"{type(self).__name__} does not say its natural parameters")

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        """F(theta)."""
        raise NotImplementedError(f"{type(self).__name__} does not define its log normalizer")

    @property
    def _mean_carrier_measure(self) -> float | Tensor:
        """The mean of k(x)."""
        raise NotImplementedError(f"{type(self).__name__} does not define its carrier measure")

    def entropy(self) -> Tensor:
        """F(theta) - <theta, grad F(theta)> - E k(x)."""
        result = -self._mean_carrier_measure
        parameters = [p.detach().requires_grad_() for p in self._natural_params]
        with enable_grad():
            normalizer = self._log_normalizer(*parameters)
            slopes = grad(normalizer.sum(), parameters, create_graph=True)
        result = result + normalizer
        batches = len(self._batch_shape)
        for parameter, slope in zip(parameters, slopes, strict=True):
            product = parameter * slope
            if product.dim() > batches:
                product = product.reshape(tuple(self._batch_shape) + (-1,)).sum(-1)
            result = result - product
        return result
