"""Cholesky factors of random correlation matrices.  Level 12.

Source: torch.distributions.LKJCholesky; D. Lewandowski, D. Kurowicka and H. Joe 2009, the onion
method.
"""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.limits import finfo
from rushlight.distributions import constraints
from rushlight.distributions.beta import Beta
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import broadcast_all
from rushlight.ops.creation import zeros
from rushlight.ops.joining import cat
from rushlight.ops.random import randn
from rushlight.ops.ranges import arange
from rushlight.ops.special import mvlgamma
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Density of the correlation matrix proportional to its determinant**(concentration - 1)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Tensor | float = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        batch_shape = self.concentration.size()
        # The squared length of each row but its last element; the first row has none.
        marginal = self.concentration + 0.5 * (self.dim - 2)
        place = arange(self.dim - 1, dtype=self.concentration.dtype)
        place = cat([zeros((1,), dtype=place.dtype), place])
        self._beta = Beta(place + 0.5, marginal.unsqueeze(-1) - 0.5 * place)
        super().__init__(batch_shape, (dim, dim), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._expanded(LKJCholesky, batch_shape, _instance, ("concentration",))
        new.dim = self.dim
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return self._finish_expanded(new, batch_shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            lengths = self._beta.sample(sample_shape).unsqueeze(-1)
            directions = randn(
                self._extended_shape(sample_shape), dtype=self.concentration.dtype
            ).tril(-1)
            directions = directions / directions.norm(dim=-1, keepdim=True)
            directions[..., 0, :] = 0.0  # the first row has no direction
            rows = lengths.sqrt() * directions
            rest = (1 - rows.pow(2).sum(-1)).clamp(min=finfo(rows.dtype).tiny).sqrt()
            return rows + rest.diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = arange(2, self.dim + 1)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        density = (order * diagonal.log()).sum(-1)
        # The integral over all factors.
        size = self.dim - 1
        alpha = self.concentration + 0.5 * size
        denominator = alpha.lgamma() * size
        numerator = mvlgamma(alpha - 0.5, size)
        return density - (0.5 * size * math.log(math.pi) + numerator - denominator)
