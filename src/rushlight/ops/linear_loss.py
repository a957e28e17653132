"""Cross entropy of a linear layer's result.  Level 11.

In: inputs (N, in_features), a weight (classes, *sizes, in_features) and targets.  The logits are a
value of the tape like any other: whether memory is ever spent on them is the compiler's business.
"""

from __future__ import annotations

from typing import Any

from rushlight.ops.loss import cross_entropy
from rushlight.ops.matmul import linear
from rushlight.tensor.tensor import Tensor

# PyTorch's default, which no class index can have.
NO_INDEX = -100


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy(linear(input, linear_weight, linear_bias), target).

    Shapes: (N, in), (C, *sizes, in), (N, *sizes) -> () or (N, *sizes).
    options: how PyTorch cuts the logits into chunks; no value depends on them.
    Source: torch.nn.functional.linear_cross_entropy.
    """
    sizes = tuple(linear_weight.shape[:-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), bias)
    if len(sizes) > 1:
        logits = logits.reshape(*logits.shape[:-1], *sizes)  # (N, C, *sizes)
    return cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=NO_INDEX if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
