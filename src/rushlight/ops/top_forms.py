"""Losses, norms and dropout under their names in PyTorch's top namespace, as its C++ library spells
them.

They differ from `nn.functional` in their signatures: `reduction` is a number (0: none, 1: mean,
2: sum; none unless given), and norms take PyTorch's choice of library last, which has no meaning
here.  Level 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import bool_
from rushlight.ops import alike, ctc, distance_loss, loss, magnitude, matrix_norm, norm
from rushlight.ops.spelling import PUBLIC
from rushlight.tensor.tensor import Tensor

_REDUCTIONS = ("none", "mean", "sum")


def _top(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function public as one of the top namespace."""
    function.__name__ = function.__qualname__ = function.__name__.removesuffix("_form")
    PUBLIC[function.__name__] = function
    return function


def _reduction(number: int) -> str:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(
            f"reduction: expected an int (0: none, 1: mean, 2: sum), got {type(number).__name__}; "
            "names are what torch.nn.functional takes"
        )
    if not 0 <= number < 3:
        raise RuntimeError(f"reduction: {number} is none of 0 (none), 1 (mean) and 2 (sum)")
    return _REDUCTIONS[number]


# ---- losses --------------------------------------------------------------------------------------


@_top
def ctc_loss_form(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: int = 0, zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.ctc_loss`, one loss a sequence unless reduced.  Source: torch.ctc_loss."""
    return ctc.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction),
        zero_infinity,
    )  # fmt: skip


@_top
def binary_cross_entropy_with_logits_form(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None,
    reduction: int = 0,
) -> Tensor:  # fmt: skip
    """The loss of logits.  Source: torch.binary_cross_entropy_with_logits."""
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


@_top
def kl_div_form(
    input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False
) -> Tensor:
    """The divergence, pointwise unless reduced.  Source: torch.kl_div."""
    if reduction == 1:  # without the warning that "mean" is not the divergence's mean
        return loss.kl_div(input, target, reduction="none", log_target=log_target).mean()
    return loss.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


@_top
def poisson_nll_loss_form(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """The loss of rates.  Source: torch.poisson_nll_loss."""
    return loss.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=_reduction(reduction)
    )


@_top
def cosine_embedding_loss_form(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """The loss of pairs.  Source: torch.cosine_embedding_loss."""
    return distance_loss.cosine_embedding_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


@_top
def hinge_embedding_loss_form(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0
) -> Tensor:
    """The loss of distances.  Source: torch.hinge_embedding_loss."""
    return distance_loss.hinge_embedding_loss(
        input, target, margin, reduction=_reduction(reduction)
    )


@_top
def margin_ranking_loss_form(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """The loss of an order.  Source: torch.margin_ranking_loss."""
    return distance_loss.margin_ranking_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


@_top
def triplet_margin_loss_form(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: int = 0,
) -> Tensor:  # fmt: skip
    """The loss of triples.  Source: torch.triplet_margin_loss."""
    return distance_loss.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )


# ---- norms ---------------------------------------------------------------------------------------


@_top
def batch_norm_form(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, training: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """`nn.functional.batch_norm`, also for eps 0 in training.  Source: torch.batch_norm."""
    return norm.normed_batch(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )


@_top
def instance_norm_form(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, use_input_stats: bool, momentum: float, eps: float,
    cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """`nn.functional.instance_norm`.  Source: torch.instance_norm."""
    return norm.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


@_top
def layer_norm_form(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.layer_norm`.  Source: torch.layer_norm."""
    return norm.layer_norm(input, normalized_shape, weight, bias, eps)


@_top
def group_norm_form(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5, cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.group_norm`.  Source: torch.group_norm."""
    return norm.group_norm(input, num_groups, weight, bias, eps)


@_top
def rms_norm_form(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """`nn.functional.rms_norm`.  Source: torch.rms_norm."""
    return norm.rms_norm(input, normalized_shape, weight, eps)


@_top
def frobenius_norm_form(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """Root of the sum of squares along `dim`, of all elements where it is empty; deprecated.

    Source: torch.frobenius_norm.
    """
    return magnitude.vector_norm(input, 2.0, dim or None, keepdim)


@_top
def nuclear_norm_form(input: Tensor, dim: Any = (-2, -1), keepdim: bool = False) -> Tensor:
    """The sum of singular values; deprecated.  Source: torch.nuclear_norm."""
    return matrix_norm.matrix_norm(input, "nuc", tuple(dim), keepdim)


# ---- dropout -------------------------------------------------------------------------------------


@_top
def native_dropout_form(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Dropout and its mask, true where a value stays.  Source: torch.native_dropout."""
    if train is False:
        return input.clone(), alike.ones_like(input, dtype=bool_)
    mask = alike.empty_like(input, dtype=bool_).bernoulli_(1 - p)
    return input * mask * (0.0 if p == 1 else 1 / (1 - p)), mask
