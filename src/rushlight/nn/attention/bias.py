"""Causal masks that are not square: PyTorch's `torch.nn.attention.bias`.  Level 12."""

from __future__ import annotations

import enum
from typing import Any

from rushlight.base.dtypes import bool_
from rushlight.ops.creation import ones
from rushlight.ops.ranges import tril
from rushlight.tensor.tensor import Tensor, become

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Which corner the diagonal of a causal mask ends in."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """A boolean causal mask that knows its kind; shape (seq_len_q, seq_len_kv)."""

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> Any:
        offset = seq_len_kv - seq_len_q if variant is CausalVariant.LOWER_RIGHT else 0
        mask = tril(ones(seq_len_q, seq_len_kv, dtype=bool_), offset)
        made: Any = object.__new__(cls)
        become(made, mask)
        made.variant, made.seq_len_q, made.seq_len_kv = variant, seq_len_q, seq_len_kv
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """All is done by `__new__`."""

    def __repr__(self) -> str:
        return self.as_subclass(Tensor).__repr__()


def _checked(size: tuple[int, ...]) -> tuple[int, int]:
    if len(size) != 2:
        raise AssertionError("causal bias only supports 2D tensors")
    return size[0], size[1]


def causal_upper_left(*size: int) -> CausalBias:
    """A causal mask whose diagonal starts in the upper left corner."""
    return CausalBias(CausalVariant.UPPER_LEFT, *_checked(size))


def causal_lower_right(*size: int) -> CausalBias:
    """A causal mask whose diagonal ends in the lower right corner."""
    return CausalBias(CausalVariant.LOWER_RIGHT, *_checked(size))
