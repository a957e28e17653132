"""Losses of `nn.functional` on class scores and probabilities.  Level 11.

`reduction` is "mean", "sum" or "none"; `size_average` and `reduce` are the older spelling of it and
give PyTorch's warning.  Regression and ranking losses are in `distance_loss.py`.
"""

from __future__ import annotations

import math
import warnings

from rushlight.base.dtypes import bool_, int64
from rushlight.base.hot import hot
from rushlight.base.shapes import broadcast_shapes, numel
from rushlight.ops.activation import log_softmax, logsigmoid
from rushlight.ops.promotion import (
    all_members,
    check_tensor,
    constant,
    promote,
    result_dtype,
    to_dtype,
    widened,
)
from rushlight.primitives import elementwise as p
from rushlight.primitives import movement as mv
from rushlight.primitives.indexing import gather, take
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.block_call import replayed
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def reduction_of(size_average, reduce, reduction: str) -> str:
    """The reduction meant, with a warning for the older arguments.  Raises: ValueError."""
    if size_average is not None or reduce is not None:
        if reduce is not None and not reduce:
            reduction = "none"
        else:
            reduction = "sum" if size_average is not None and not size_average else "mean"
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(values: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or the values themselves."""
    if reduction == "none":
        return values
    total = reduce_sum(values, tuple(range(values.ndim)), False)
    if reduction == "sum":
        return total
    return named(p.div(total, total._scalar(numel(values._node.shape))), "MeanBackward0")


# ---- class scores --------------------------------------------------------------------------------


@hot
def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index: int = -100, reduce=None,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Negative log likelihood of softmax(input).

    Shapes: input (C), (N, C) or (N, C, d1, …); target holds class indices and lacks the class axis,
    or holds probabilities and has the input's shape.
    Raises: RuntimeError if the shapes do not fit, IndexError for a class out of range.
    Source: torch.nn.functional.cross_entropy.
    """
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    check_tensor("cross_entropy", input)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    return _cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


@replayed
def _cross_entropy(
    input, target, weight, ignore_index: int, reduction: str, label_smoothing: float
) -> Tensor:
    axis = 0 if input.ndim <= 1 else 1
    log_probabilities = log_softmax(input, axis)
    if target._node.dtype.is_floating_point:
        if target._node.shape != input._node.shape:
            raise RuntimeError(
                f"cross_entropy: probabilities need the input's shape {list(input._node.shape)}, "
                f"got {list(target._node.shape)}"
            )
        return _probability_loss(
            log_probabilities, target, weight, reduction, label_smoothing, axis
        )
    plain = nll_loss(log_probabilities, target, weight, None, ignore_index, None, reduction)
    if label_smoothing == 0.0:
        return plain
    smooth = _smoothing_loss(log_probabilities, target, weight, ignore_index, reduction, axis)
    classes = input._node.shape[axis]
    return p.add(
        p.mul(plain, plain._scalar(1 - label_smoothing)),
        p.mul(smooth, smooth._scalar(label_smoothing / classes)),
    )


_REDUCTIONS = ("mean", "sum", "none")


def _along_classes(weight: Tensor, rank: int) -> Tensor:
    """A weight of shape (C,) so that it broadcasts with (N, C, …)."""
    return mv.reshape(weight, (*weight._node.shape, *(1,) * (rank - 2)))


def _check_weight(name: str, weight, classes: int) -> None:
    if weight is not None and weight._node.shape != (classes,):
        raise RuntimeError(
            f"{name}: weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight._node.shape)}"
        )


def _probability_loss(scores, target, weight, reduction, smoothing, axis) -> Tensor:
    classes = scores._node.shape[axis]
    _check_weight("cross_entropy", weight, classes)
    if smoothing:
        target = p.add(
            p.mul(target, target._scalar(1 - smoothing)), target._scalar(smoothing / classes)
        )
    losses = p.mul(scores, to_dtype(target, scores._node.dtype))
    if weight is not None:
        losses = p.mul(losses, _along_classes(weight, scores.ndim))
    summed = p.neg(reduce_sum(losses, (axis,), False))
    if reduction == "none":
        return summed
    total = reduce_sum(summed, tuple(range(summed.ndim)), False)
    if reduction == "sum":
        return total
    # PyTorch's mean divides by the batch, not by the sum of the weights.
    count = numel(scores._node.shape) // max(classes, 1)
    return p.div(total, total._scalar(count))


def _smoothing_loss(scores, target, weight, ignore_index, reduction, axis) -> Tensor:
    """Sum of the negative log probabilities of all classes."""
    losses = p.neg(scores)
    if weight is not None:
        losses = p.mul(losses, _along_classes(weight, scores.ndim))
    summed = reduce_sum(losses, (axis,), False)
    kept = p.ne(target, target._scalar(ignore_index))
    summed = p.where(kept, summed, summed._scalar(0.0))
    if reduction == "none":
        return summed
    total = reduce_sum(summed, tuple(range(summed.ndim)), False)
    if reduction == "sum":
        return total
    if weight is None:
        counted = p.cast(kept, total._node.dtype)
    else:
        seen = take(weight, p.where(kept, target, target._scalar(0)), 0)
        counted = p.where(kept, seen, seen._scalar(0.0))
    return p.div(total, reduce_sum(counted, tuple(range(counted.ndim)), False))


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index: int = -100, reduce=None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Negative of the entries of `input` (log probabilities) that `target` names.

    Shapes: input (C), (N, C) or (N, C, d1, …); target without the class axis.
    Raises: RuntimeError if the shapes do not fit, IndexError for a class out of range.
    Source: torch.nn.functional.nll_loss.
    """
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = reduction_of(size_average, reduce, reduction)
    axis = _nll_axis(input, target)
    shape = input._node.shape
    _check_weight("nll_loss", weight, shape[axis])
    target = to_dtype(target, int64)
    # A classifier's labels seldom hold ignore_index; negative ones can only be it.
    ignored = p.eq(target, target._scalar(ignore_index))
    index = p.where(ignored, target._scalar(0), target)
    index_shape = (*shape[:axis], 1, *shape[axis + 1 :])
    picked = gather(input, mv.reshape(index, index_shape), axis)
    losses = p.neg(mv.reshape(picked, target._node.shape))
    if weight is not None:
        factors = take(to_dtype(weight, input._node.dtype), index, 0)
        losses = p.mul(losses, factors)
    zero = losses._scalar(0.0)
    losses = p.where(ignored, zero, losses)
    label = "NllLossBackward0" if len(shape) <= 2 else "NllLoss2DBackward0"
    if reduction == "none":
        # PyTorch brings other ranks to four axes, and the losses back by a view.
        return named(losses, label if len(shape) in (1, 2, 4) else "ViewBackward0")
    axes = tuple(range(losses.ndim))
    total = reduce_sum(losses, axes, False)
    if reduction == "sum":
        return named(total, label)
    if weight is None:
        counted = p.cast(p.logical_not(ignored), losses._node.dtype)
    else:
        counted = p.where(ignored, zero, factors)
    return named(p.div(total, reduce_sum(counted, axes, False)), label)


def _nll_axis(input, target) -> int:
    check_tensor("nll_loss", input)
    check_tensor("nll_loss", target, "target")
    if target._node.dtype.is_inexact or target._node.dtype is bool_:
        raise RuntimeError(
            f"expected scalar type Long but found {target._node.dtype.name}: nll_loss needs "
            "integer class indices as target"
        )
    shape, labels = input._node.shape, target._node.shape
    if len(shape) == 0:
        raise ValueError(f"Expected 1 or more dimensions (got {len(shape)})")
    axis = 0 if len(shape) == 1 else 1
    if len(shape) > 1 and (not labels or labels[0] != shape[0]):
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size "
            f"({labels[0] if labels else 1})."
        )
    if labels != (*shape[:axis], *shape[axis + 1 :]):
        raise RuntimeError(
            f"Expected target size {[*shape[:axis], *shape[axis + 1 :]]}, got {list(labels)}"
        )
    return axis


# ---- probabilities -------------------------------------------------------------------------------


def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction: str = "mean"
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)), the logarithms cut at -100.

    Its slope is (x - t) / (x (1 - x)), the denominator at least 1e-12: finite at 0 and 1.

    Raises: ValueError if the shapes differ.  Source: torch.nn.functional.binary_cross_entropy.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    check_tensor("binary_cross_entropy", input)
    if target._node.shape != input._node.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    return _binary_cross_entropy(input, target, weight, reduction)


@replayed
def _binary_cross_entropy(input, target, weight, reduction: str) -> Tensor:
    dtype = result_dtype(input, target)
    input, target = widened(input), widened(target)
    one = input._scalar(1.0)
    floor = input._scalar(-100.0)
    still = constant(input)
    at_end = p.lt(p.mul(still, p.sub(one, still)), still._scalar(_LEAST_VARIANCE))
    inner = p.where(at_end, still, input)
    logs = p.maximum(p.log(inner), floor)
    other_logs = p.maximum(p.log1p(p.neg(inner)), floor)
    values = p.sub(
        p.mul(p.sub(target, one), other_logs),
        p.mul(target, logs),
    )
    # At the ends nothing flows back through the logarithms. This is 0, and its slope the bounded
    # one; half the square keeps that slope's own derivative.
    step = p.sub(input, still)
    half_step = p.mul(step, step._scalar(0.5))
    bounded = p.mul(step, p.add(p.sub(still, constant(target)), half_step))
    bounded = p.mul(bounded, bounded._scalar(1 / _LEAST_VARIANCE))
    values = p.add(values, p.where(at_end, bounded, bounded._scalar(0.0)))
    if weight is not None:
        values = p.mul(values, to_dtype(weight, values._node.dtype))
    return named(reduced(to_dtype(values, dtype), reduction), "BinaryCrossEntropyBackward0")


_LEAST_VARIANCE = 1e-12


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction: str = "mean",
    pos_weight=None,
) -> Tensor:  # fmt: skip
    """binary_cross_entropy(sigmoid(input), target) without overflow.

    pos_weight: factor of the positive term, broadcast over the classes.
    Source: torch.nn.functional.binary_cross_entropy_with_logits.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    check_tensor("binary_cross_entropy_with_logits", input)
    if target._node.shape != input._node.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    return _cross_entropy_of_logits(input, target, weight, pos_weight, reduction)


@replayed
def _cross_entropy_of_logits(input, target, weight, pos_weight, reduction: str) -> Tensor:
    target = to_dtype(target, input._node.dtype)
    log_sigmoid = logsigmoid(input)
    # (1 - t) x - w log(sigmoid(x)), with w = 1 + (pos_weight - 1) t.
    linear_part = p.mul(p.sub(target._scalar(1.0), target), input)
    if pos_weight is not None:
        one = target._scalar(1.0)
        factor = p.add(p.mul(p.sub(pos_weight, one), target), one)
        log_sigmoid = p.mul(log_sigmoid, factor)
    values = p.sub(linear_part, log_sigmoid)
    if weight is not None:
        values = p.mul(values, weight)
    return named(reduced(values, reduction), "BinaryCrossEntropyWithLogitsBackward0")


def kl_div(
    input, target, size_average=None, reduce=None, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """target * (log target - input), `input` being log probabilities.

    reduction: also "batchmean", the sum divided by the batch.  Source: torch.nn.functional.kl_div.
    """
    if reduction == "batchmean":
        batch = input._node.shape[0] if input._node.shape else 1
        total = kl_div(input, target, reduction="sum", log_target=log_target)
        return p.div(total, total._scalar(batch))
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. "
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition. 'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=2,
        )
    reduction = reduction_of(size_average, reduce, reduction)
    if log_target:
        values = p.mul(p.exp(target), p.sub(target, input))
    else:
        positive = p.ne(target, target._scalar(0.0))
        safe = p.where(positive, target, target._scalar(1.0))
        entropy = p.where(positive, p.mul(target, p.log(safe)), target._scalar(0.0))
        values = p.sub(entropy, p.mul(target, input))
    return reduced(values, reduction)


def poisson_nll_loss(
    input, target, log_input: bool = True, full: bool = False, size_average=None,
    eps: float = 1e-8, reduce=None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Negative log likelihood of a Poisson distribution.

    full: add Stirling's approximation of log(target!).
    Source: torch.nn.functional.poisson_nll_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    input, target = promote("poisson_nll_loss", input, target, floating=True)
    if log_input:
        values = p.sub(p.exp(input), p.mul(target, input))
    else:
        values = p.sub(input, p.mul(target, p.log(p.add(input, input._scalar(eps)))))
    if full:
        above = p.gt(target, target._scalar(1.0))
        safe = p.where(above, target, target._scalar(1.0))
        stirling = p.add(
            p.sub(p.mul(safe, p.log(safe)), safe),
            p.mul(p.log(p.mul(safe, safe._scalar(2 * math.pi))), safe._scalar(0.5)),
        )
        values = p.add(values, p.where(above, stirling, stirling._scalar(0.0)))
    return reduced(values, reduction)


def gaussian_nll_loss(
    input, target, var, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log likelihood of a normal distribution with the given variances.

    Raises: ValueError if a variance is negative or its shape does not fit.
    Source: torch.nn.functional.gaussian_nll_loss.
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = mv.expand(input._scalar(var), input._node.shape)
    elif bool((all_members(constant(var)) < 0).any()):
        raise ValueError("var has negative entry/entries")
    shape, given = input._node.shape, var._node.shape
    if given != shape:
        if shape[:-1] == given:
            var = mv.reshape(var, (*given, 1))
        elif shape[:-1] != given[:-1] or given[-1:] != (1,):
            broadcast = given and broadcast_shapes(shape, given) == shape
            if not broadcast or len(given) != len(shape):
                raise ValueError("var is of incorrect size")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not valid")
    # The lower bound keeps the value finite; PyTorch's slope passes where it acts.
    floor = var._scalar(eps)
    still = constant(var)
    missing = p.where(p.lt(still, floor), p.sub(floor, still), still._scalar(0.0))
    var = p.add(var, missing)
    difference = p.sub(input, target)
    values = p.add(p.log(var), p.div(p.mul(difference, difference), var))
    values = p.mul(values, values._scalar(0.5))
    if full:
        values = p.add(values, values._scalar(0.5 * math.log(2 * math.pi)))
    return reduced(values, reduction)


def multilabel_soft_margin_loss(
    input, target, weight=None, size_average=None, reduce=None, reduction: str = "mean"
) -> Tensor:
    """Mean over the classes of binary cross entropy with logits.

    Source: torch.nn.functional.multilabel_soft_margin_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if not target._node.dtype.is_inexact:
        target = to_dtype(target, input._node.dtype)
    one = target._scalar(1.0)
    values = p.neg(
        p.add(
            p.mul(target, logsigmoid(input)),
            p.mul(p.sub(one, target), logsigmoid(p.neg(input))),
        )
    )
    if weight is not None:
        values = p.mul(values, weight)
    last = values.ndim - 1
    summed = reduce_sum(values, (last,), False)
    return reduced(p.div(summed, summed._scalar(input._node.shape[last])), reduction)


def soft_margin_loss(
    input, target, size_average=None, reduce=None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target * input)).  Source: torch.nn.functional.soft_margin_loss."""
    reduction = reduction_of(size_average, reduce, reduction)
    broadcast_shapes(input._node.shape, target._node.shape)
    values = p.log1p(p.exp(p.neg(p.mul(target, input))))
    return reduced(values, reduction)
