"""The parameters `probs` and `logits`, of which one is given and the other follows.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.distributions.utils import lazy_property, logits_to_probs, probs_to_logits
from rushlight.tensor.tensor import Tensor


def choose(probs: Any, logits: Any) -> str:
    """The name of the one that was given.  Raises: ValueError unless exactly one was."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return "logits" if probs is None else "probs"


class BinaryOdds:
    """Mixin: `probs` and `logits` of a success; a class sets one of them in its instance."""

    @lazy_property
    def logits(self) -> Tensor:
        """log of the odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probability of a success."""
        return logits_to_probs(self.logits, is_binary=True)


class CategoryOdds:
    """Mixin: `probs` and `logits` of categories along the last axis."""

    @lazy_property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities of the categories."""
        return logits_to_probs(self.logits)
