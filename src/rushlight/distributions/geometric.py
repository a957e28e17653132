"""Geometric distribution.  Level 12.  Source: torch.distributions.Geometric."""

from __future__ import annotations

from typing import Any

from rushlight.base.limits import finfo
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.odds import BinaryOdds, choose
from rushlight.distributions.utils import broadcast_all, is_number
from rushlight.ops.alike import zeros_like
from rushlight.ops.comparison import where
from rushlight.ops.creation import empty
from rushlight.ops.loss import binary_cross_entropy_with_logits
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Size, Tensor

__all__ = ["Geometric"]


class Geometric(BinaryOdds, Distribution):
    """Number of failures before the first success of probability `probs`."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name = choose(probs, logits)
        given = logits if probs is None else probs
        (parameter,) = broadcast_all(given)
        setattr(self, name, parameter)
        shape = Size() if is_number(given) else parameter.size()
        super().__init__(shape, validate_args=validate_args)
        if self._validate_args and probs is not None:
            if not (self.probs > 0).all():
                raise ValueError(
                    f"Expected parameter probs ({type(parameter).__name__} of shape "
                    f"{tuple(parameter.shape)}) of distribution {self!r} to be positive but found "
                    f"invalid values:\n{parameter}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._expanded(Geometric, batch_shape, _instance, ("probs", "logits"))
        return self._finish_expanded(new, batch_shape)

    @property
    def mean(self) -> Tensor:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Tensor:
        return zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        tiny = finfo(self.probs.dtype).tiny
        with no_grad():
            uniform = empty(shape, dtype=self.probs.dtype).uniform_(tiny, 1)
            return (uniform.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        never = (probs == 1) & (value == 0)
        probs = where(never, 0.0, probs)  # 0 * log(0) counts as 0
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / (
            self.probs
        )
