"""Gamma and Dirichlet numbers that carry gradients for their shapes.  Level 12.

Source: torch._standard_gamma, torch._sample_dirichlet, torch._dirichlet_grad.
"""

from __future__ import annotations

from typing import Any

from rushlight.autograd.function import Function
from rushlight.ops.gamma_numbers import (
    dirichlet_draw,
    dirichlet_gradient,
    gamma_draw,
    gamma_gradient,
)
from rushlight.tensor.tensor import Tensor


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, generator: Any) -> Tensor:
        sample = gamma_draw(alpha, generator)
        ctx.save_for_backward(alpha, sample)
        return sample

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * gamma_gradient(*ctx.saved_tensors), None


class _Dirichlet(Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, generator: Any) -> Tensor:
        sample = dirichlet_draw(alpha, generator)
        ctx.save_for_backward(alpha, sample)
        return sample

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        alpha, sample = ctx.saved_tensors
        total = alpha.sum(-1, True).expand_as(alpha)
        slopes = dirichlet_gradient(sample, alpha, total)
        # Each part grows at its own shape's cost to all others, in proportion.
        return slopes * (gradient - (sample * gradient).sum(-1, True)), None


def _standard_gamma(alpha: Tensor, generator: Any = None) -> Tensor:
    """Gamma numbers of rate 1 with the shapes `alpha`.  Dtypes: float32, float64."""
    return _StandardGamma.apply(alpha, generator)


def _sample_dirichlet(alpha: Tensor, generator: Any = None) -> Tensor:
    """Dirichlet numbers for the rows of `alpha`.  Dtypes: float32, float64."""
    return _Dirichlet.apply(alpha, generator)


def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """d x / d alpha for one part of a Dirichlet number; itself not differentiable."""
    return dirichlet_gradient(x, alpha, total)


def _standard_gamma_grad(alpha: Tensor, output: Tensor) -> Tensor:
    """d output / d alpha for a gamma number; itself not differentiable."""
    return gamma_gradient(alpha, output)
