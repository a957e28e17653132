"""Losses of `nn.functional` on distances and on orders: regression, margins, triplets.

Level 11.
"""

from __future__ import annotations

import warnings

import numpy as np

from rushlight.base.dtypes import bool_, int64
from rushlight.base.shapes import broadcast_shapes
from rushlight.ops.arithmetic import add, mul, sub
from rushlight.ops.creation import value_of
from rushlight.ops.distances import power_norm
from rushlight.ops.loss import reduced, reduction_of
from rushlight.ops.members import read
from rushlight.ops.promotion import check_tensor, promote
from rushlight.primitives import elementwise as p
from rushlight.primitives import movement as mv
from rushlight.primitives.indexing import gather, scatter, take
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.block_call import replayed
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _pair(name: str, input, target) -> tuple[Tensor, Tensor]:
    """Two operands of one dtype; a warning where they broadcast, as PyTorch gives."""
    check_tensor(name, input)
    check_tensor(name, target, "target")
    if input._node.shape != target._node.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
        broadcast_shapes(input._node.shape, target._node.shape)
    return promote(name, input, target)


def _weighted(values: Tensor, weight, reduction: str) -> Tensor:
    """The reduction with weights: the mean divides by the sum of the weights."""
    if weight is None:
        return reduced(values, reduction)
    if weight._node.shape != values._node.shape:
        raise ValueError("Inputs and weights must have the same size.")
    values = p.mul(values, weight)
    if reduction != "mean":
        return reduced(values, reduction)
    axes = tuple(range(values.ndim))
    return p.div(reduce_sum(values, axes, False), reduce_sum(weight, axes, False))


def mse_loss(
    input, target, size_average=None, reduce=None, reduction="mean", weight=None
) -> Tensor:
    """(input - target) squared.  Source: torch.nn.functional.mse_loss."""
    reduction = reduction_of(size_average, reduce, reduction)
    return _squared_error(*_pair("mse_loss", input, target), weight, reduction)


@replayed
def _squared_error(x, y, weight, reduction: str) -> Tensor:
    difference = p.sub(x, y)
    found = _weighted(p.mul(difference, difference), weight, reduction)
    return found if weight is not None else named(found, "MseLossBackward0")


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None) -> Tensor:
    """|input - target|.  Source: torch.nn.functional.l1_loss."""
    reduction = reduction_of(size_average, reduce, reduction)
    x, y = _pair("l1_loss", input, target)
    return _weighted(p.absolute(p.sub(x, y)), weight, reduction)


def smooth_l1_loss(
    input, target, size_average=None, reduce=None, reduction="mean", beta: float = 1.0
) -> Tensor:
    """Squared error below `beta`, absolute above.  Raises: ValueError for a negative beta.

    Source: torch.nn.functional.smooth_l1_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    x, y = _pair("smooth_l1_loss", input, target)
    size = p.absolute(p.sub(x, y))
    if beta == 0:
        return reduced(size, reduction)
    far = p.ge(size, size._scalar(beta))
    square = _square_unless(far, size, 0.5 / beta)
    values = p.where(far, p.sub(size, size._scalar(0.5 * beta)), square)
    return named(reduced(values, reduction), "SmoothL1LossBackward0")


def _square_unless(far: Tensor, size: Tensor, factor: float) -> Tensor:
    """factor * size², 0 where `far`: 0 times the slope of an infinite error would be NaN."""
    inner = p.where(far, size._scalar(0.0), size)
    return p.mul(p.mul(inner, inner), inner._scalar(factor))


def huber_loss(input, target, reduction="mean", delta: float = 1.0, weight=None) -> Tensor:
    """Squared error up to `delta`, then linear with slope delta.

    Source: torch.nn.functional.huber_loss.
    """
    reduction = reduction_of(None, None, reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    x, y = _pair("huber_loss", input, target)
    size = p.absolute(p.sub(x, y))
    far = p.gt(size, size._scalar(delta))
    square = _square_unless(far, size, 0.5)
    line = p.mul(p.sub(size, size._scalar(0.5 * delta)), size._scalar(delta))
    found = _weighted(p.where(far, line, square), weight, reduction)
    return found if weight is not None else named(found, "HuberLossBackward0")


# ---- margins -------------------------------------------------------------------------------------


def margin_ranking_loss(
    input1, input2, target, margin: float = 0, size_average=None, reduce=None, reduction="mean"
) -> Tensor:
    """max(0, -target * (input1 - input2) + margin).

    Source: torch.nn.functional.margin_ranking_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    values = add(mul(p.neg(target), sub(input1, input2)), margin)
    return reduced(_hinge(values), reduction)


def _hinge(x: Tensor) -> Tensor:
    """max(x, 0) with slope 1 at 0: PyTorch's clamp_min, where relu's slope is 0."""
    return p.where(p.lt(x, x._scalar(0)), x._scalar(0), x)


def hinge_embedding_loss(
    input, target, margin: float = 1.0, size_average=None, reduce=None, reduction="mean"
) -> Tensor:
    """input where target is 1, max(0, margin - input) where it is -1.

    Source: torch.nn.functional.hinge_embedding_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    zero = input._scalar(0)
    x, y = promote("hinge_embedding_loss", input, target)
    apart = p.where(p.ne(y, y._scalar(1)), _hinge(p.sub(x._scalar(margin), x)), zero)
    close = p.where(p.ne(y, y._scalar(-1)), x, zero)
    return reduced(p.add(apart, close), reduction)


_EPSILON = 1e-12


def cosine_embedding_loss(
    input1, input2, target, margin: float = 0, size_average=None, reduce=None, reduction="mean"
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1.

    Shapes: (N, D), (N, D), (N); or (D), (D), ().
    Source: torch.nn.functional.cosine_embedding_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    _check_cosine(input1, input2, target)
    axis = target.ndim
    input1, input2 = promote("cosine_embedding_loss", input1, input2, floating=True)
    dot = reduce_sum(p.mul(input1, input2), (axis,), False)
    first = p.add(reduce_sum(p.mul(input1, input1), (axis,), False), dot._scalar(_EPSILON))
    second = p.add(reduce_sum(p.mul(input2, input2), (axis,), False), dot._scalar(_EPSILON))
    cosine = p.div(dot, p.sqrt(p.mul(first, second)))
    zero = cosine._scalar(0.0)
    close = p.where(p.eq(target, target._scalar(1)), p.sub(cosine._scalar(1.0), cosine), zero)
    beyond = _hinge(p.sub(cosine, cosine._scalar(margin)))
    apart = p.where(p.eq(target, target._scalar(-1)), beyond, zero)
    return reduced(p.add(close, apart), reduction)


def _check_cosine(input1, input2, target) -> None:
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if not (input1.ndim == input2.ndim == target.ndim + 1):
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
            f"inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )


def multi_margin_loss(
    input, target, p: float = 1, margin: float = 1.0, weight=None, size_average=None,  # noqa: A002
    reduce=None, reduction="mean",
) -> Tensor:  # fmt: skip
    """Mean over the other classes of max(0, margin - x[target] + x[j]) ** p.

    Shapes: (N, C) and (N), or (C) and ().  Source: torch.nn.functional.multi_margin_loss.
    """
    return _multi_margin(
        input, target, p, margin, weight, reduction_of(size_average, reduce, reduction)
    )


def _multi_margin(input, target, power, margin, weight, reduction) -> Tensor:
    if power not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if input.ndim > 2 or 0 in input._node.shape[-1:]:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input._node.shape)}"
        )
    classes = input._node.shape[-1] if input.ndim else 1
    rows = input._node.shape[0] if input.ndim == 2 else 1
    if target.ndim > 1 or (target._node.shape or (1,)) != (rows,):
        raise RuntimeError(
            f"inconsistent target size, expected {rows} but got {list(target._node.shape)}"
        )
    if weight is not None and weight._node.shape != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight._node.shape)}"
        )
    x = mv.reshape(input, (rows, classes))
    index = mv.reshape(target, (rows, 1))
    chosen = gather(x, index, 1)
    values = p.relu(p.add(p.sub(x, chosen), x._scalar(margin)))
    if power == 2:
        values = p.mul(values, values)
    if weight is not None:
        values = p.mul(values, mv.reshape(take(weight, index, 0), (rows, 1)))
    zeros = mv.expand(values._scalar(0.0), (rows, 1))
    values = scatter(values, index, zeros, 1, "set")
    summed = reduce_sum(values, (1,), False)
    losses = p.div(summed, summed._scalar(classes))
    if reduction == "none":
        return losses if input.ndim == 2 else mv.reshape(losses, target._node.shape)
    return reduced(losses, reduction)


def multilabel_margin_loss(
    input, target, size_average=None, reduce=None, reduction="mean"
) -> Tensor:
    """Sum over target classes i and other classes j of max(0, 1 - x[i] + x[j]) / C.

    Shapes: (N, C) or (C) for both; a row of targets ends at its first -1.
    Source: torch.nn.functional.multilabel_margin_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    shape = input._node.shape
    if len(shape) > 2 or 0 in shape[-1:]:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(shape)}"
        )
    if target._node.shape != shape and not (len(shape) == 0 and target._node.shape == (1,)):
        raise RuntimeError(
            f"inconsistent target size: {list(target._node.shape)} for input of size: {list(shape)}"
        )
    rows = shape[0] if len(shape) == 2 else 1
    classes = shape[-1] if shape else 1

    def pairs_of(target: Tensor) -> tuple[Tensor, Tensor]:
        """The labels, and which pairs of a label and another class count."""
        labels = value_of(target).reshape(rows, classes)
        listed = np.cumprod(labels >= 0, axis=1).astype(bool)
        if labels.size and labels.max() >= classes:
            position = tuple(int(i) for i in np.argwhere(labels >= classes)[0])
            raise RuntimeError(
                f"multilabel_margin_loss: Target {labels[position]} at position {list(position)} "
                f"is out of bounds: the input has {classes} classes, 0 to {classes - 1}"
            )
        is_target = np.zeros((rows, classes), bool)
        for row in range(rows):
            is_target[row, labels[row][listed[row]]] = True
        index = tensor_from_numpy(np.where(listed, labels, 0).astype(np.int64), int64)
        return index, _mask(listed[:, :, None] & ~is_target[:, None, :])

    x = mv.reshape(input, (rows, classes))
    index, counted = read(pairs_of, target)
    chosen = mv.reshape(gather(x, index, 1), (rows, classes, 1))
    pairs = p.relu(p.add(p.sub(mv.reshape(x, (rows, 1, classes)), chosen), x._scalar(1.0)))
    summed = reduce_sum(p.where(counted, pairs, pairs._scalar(0.0)), (1, 2), False)
    losses = p.div(summed, summed._scalar(classes))
    if reduction == "none":
        return losses if len(shape) == 2 else mv.reshape(losses, ())
    return reduced(losses, reduction)


def _mask(array: np.ndarray) -> Tensor:
    return tensor_from_numpy(np.ascontiguousarray(array), bool_)


# ---- triplets ------------------------------------------------------------------------------------


def _distance(x, y, power: float, eps: float) -> Tensor:
    """The p-norm of x - y + eps along the last axis, as pairwise_distance."""
    difference = add(sub(x, y), eps)
    return power_norm(difference, float(power), difference.ndim - 1, False)


def triplet_margin_loss(
    anchor, positive, negative, margin: float = 1.0, p: float = 2, eps: float = 1e-6,  # noqa: A002
    swap: bool = False, size_average=None, reduce=None, reduction="mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin).

    swap: use d(positive, negative) where it is smaller.
    Source: torch.nn.functional.triplet_margin_loss.
    """
    reduction = reduction_of(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )

    def distance(x, y):
        return _distance(x, y, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction) -> Tensor:
    near = distance(anchor, positive)
    far = distance(anchor, negative)
    if swap:
        far = p.minimum(far, distance(positive, negative))
    return reduced(_hinge(p.add(p.sub(near, far), near._scalar(margin))), reduction)


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin: float = 1.0, swap: bool = False,
    reduction="mean",
) -> Tensor:  # fmt: skip
    """triplet_margin_loss with any distance.

    Source: torch.nn.functional.triplet_margin_with_distance_loss.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    ranks = (anchor.ndim, positive.ndim, negative.ndim)
    if len(set(ranks)) != 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {ranks[0]}D, positive {ranks[1]}D, and negative "
            f"{ranks[2]}D inputs"
        )

    def default(x, y):
        return _distance(x, y, 2.0, 1e-6)

    return _triplet(
        anchor, positive, negative, distance_function or default, margin, swap, reduction
    )
