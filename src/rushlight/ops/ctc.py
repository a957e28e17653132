"""Connectionist temporal classification (Graves et al. 2006).  Level 11.

The forward variables of all sequences of the batch run over time together, in logarithms; the
alignment may stay on a label, go on to the next, or skip a blank between different labels.  Lengths
and labels that only say which places exist are read at the call.  Autograd does the backward pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import bool_, int64
from rushlight.ops.creation import filled, value_of
from rushlight.ops.loss import reduced
from rushlight.ops.members import read
from rushlight.ops.promotion import check_tensor, constant, widened
from rushlight.primitives import elementwise as e
from rushlight.primitives import movement as p
from rushlight.primitives.indexing import gather
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

# Stands for the logarithm of 0: adding to it or taking logarithms of sums keeps it finite, so that
# gradients through impossible alignments are 0 and not NaN.  Everything below half of it is 0.
LOG_ZERO = -1e30


def _lengths(name: str, lengths: Any, batch: int) -> np.ndarray:
    found = value_of(lengths) if isinstance(lengths, Tensor) else np.asarray(lengths)
    found = found.astype(np.int64).reshape(-1)
    if found.size != batch:
        raise RuntimeError(f"{name} must be of size batch_size {batch}, got {found.size}")
    if found.size and found.min() < 0:
        raise RuntimeError(f"Expected {name} to be non-negative, got {found.min()}")
    return found


def _label_rows(targets: Tensor, lengths: np.ndarray, batch: int) -> np.ndarray:
    """The labels of each sequence, padded with zeros.  Shapes: -> (N, longest)."""
    labels = value_of(targets).astype(np.int64)
    longest = int(lengths.max(initial=0))
    rows = np.zeros((batch, longest), np.int64)
    if labels.ndim == 1:
        if labels.size < lengths.sum():
            raise RuntimeError(
                f"Expected targets of {lengths.sum()} labels (the sum of target_lengths), got "
                f"{labels.size}"
            )
        starts = np.concatenate(([0], np.cumsum(lengths)))
        for i, length in enumerate(lengths):
            rows[i, :length] = labels[starts[i] : starts[i] + length]
        return rows
    if labels.shape[0] != batch or labels.shape[1] < longest:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size "
            f"{list(labels.shape)} for targets"
        )
    for i, length in enumerate(lengths):
        rows[i, :length] = labels[i, :length]
    return rows


def _log_sum_of_three(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """log(exp(a) + exp(b) + exp(c)); the largest one is subtracted first."""
    top = constant(e.maximum(e.maximum(a, b), c))
    total = e.add(e.add(e.exp(e.sub(a, top)), e.exp(e.sub(b, top))), e.exp(e.sub(c, top)))
    return e.add(top, e.log(total))


def _shifted(alpha: Tensor, by: int, unreachable: Tensor) -> Tensor:
    """alpha[:, s - by], unreachable where there is no such place.  Shapes: (N, L)."""
    batch, places = alpha.shape
    kept = p.strided_read(alpha, alpha._scalar(0, int64), (batch, places - by), (places, 1))
    edge = p.strided_read(unreachable, alpha._scalar(0, int64), (batch, by), (places, 1))
    return p.concatenate([edge, kept], 1)


def _alignment(labels: np.ndarray, blank: int) -> tuple[Tensor, Tensor]:
    """The labels with blanks around each, and where the blank before one may be skipped.

    Shapes: (N, S) -> (N, 2 S + 1), both.
    """
    extended = np.full((len(labels), 2 * labels.shape[1] + 1), blank, np.int64)
    extended[:, 1::2] = labels
    may_skip = np.zeros(extended.shape, bool)
    may_skip[:, 2:] = (extended[:, 2:] != blank) & (extended[:, 2:] != extended[:, :-2])
    return tensor_from_numpy(extended, int64), tensor_from_numpy(may_skip, bool_)


def _losses(
    scores: Tensor, extended: Tensor, skips: Tensor, steps: np.ndarray, lengths: np.ndarray
) -> Tensor:
    """Minus the log-probability of each target; see `_alignment`.  Shapes: (T, N, C) -> (N,)."""
    times, batch, _ = scores.shape
    places = extended.shape[1]
    index = p.expand(p.reshape(extended, (1, batch, places)), (times, batch, places))
    emitted = gather(scores, index, 2)  # (T, N, L)
    running = np.arange(times)[:, None] < steps[None, :]
    unreachable = filled((batch, places), LOG_ZERO, scores.dtype)
    start = np.full((batch, places), LOG_ZERO, scores.dtype.numpy)
    start[:, 0] = 0.0
    alpha = tensor_from_numpy(start, scores.dtype)
    for time in range(times):
        now = p.strided_read(
            emitted, emitted._scalar(time * batch * places, int64), (batch, places), (places, 1)
        )
        stay_or_next = (alpha, _shifted(alpha, 1, unreachable))
        skip = unreachable
        if places > 2:
            skip = e.where(skips, _shifted(alpha, 2, unreachable), unreachable)
        new = e.add(_log_sum_of_three(*stay_or_next, skip), now)
        ended = np.broadcast_to(~running[time][:, None], (batch, places))
        alpha = e.where(tensor_from_numpy(ended.copy(), bool_), alpha, new)
    # The end: the last blank or the last label; without labels only the blank.
    last = np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], 1)
    ends = gather(alpha, tensor_from_numpy(last, int64), 1)  # (N, 2)
    no_label = np.stack([np.zeros(batch, bool), lengths == 0], 1)
    ends = e.where(tensor_from_numpy(no_label, bool_), _like(ends, LOG_ZERO), ends)
    top = constant(e.maximum(_column(ends, 0), _column(ends, 1)))
    total = reduce_sum(e.exp(e.sub(ends, p.reshape(top, (batch, 1)))), (1,), False)
    return e.neg(e.add(top, e.log(total)))


def _like(x: Tensor, value: float) -> Tensor:
    return filled(tuple(x.shape), value, x.dtype)


def _column(x: Tensor, column: int) -> Tensor:
    rows, width = x.shape
    return p.strided_read(x, x._scalar(column, int64), (rows,), (width,))


def _normalization_term(scores: Tensor, steps: np.ndarray) -> Tensor:
    """0 for each sequence, with the gradient exp(scores) at the times that count.

    PyTorch's gradient holds the part that comes from the normalization of the log-probabilities;
    behind a log_softmax it makes no difference.  Shapes: (T, N, C) -> (N,).
    """
    times, batch, classes = scores.shape
    counts = np.arange(times)[:, None, None] < steps[None, :, None]
    mask = tensor_from_numpy(np.broadcast_to(counts, (times, batch, classes)).copy(), bool_)
    chances = e.where(mask, e.exp(scores), _like(scores, 0.0))
    return reduce_sum(e.sub(chances, constant(chances)), (0, 2), False)


def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Minus the log-probability that the network's outputs spell the targets.

    Shapes: log_probs (T, N, C), targets (N, S) or the concatenated labels; without a batch (T, C)
    and (S).  reduction "mean" divides each loss by its target's length, then averages.
    Raises: RuntimeError for lengths, labels or a blank that do not fit.
    Source: torch.nn.functional.ctc_loss.
    """
    check_tensor("ctc_loss", log_probs, "log_probs")
    check_tensor("ctc_loss", targets, "targets")
    if not log_probs.dtype.is_floating_point:
        raise RuntimeError(f"ctc_loss: log_probs must be floating point, got {log_probs.dtype}")
    batched = log_probs.ndim == 3
    scores = log_probs if batched else p.reshape(log_probs, _with_batch(log_probs))
    times, batch, classes = scores.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range [0, {classes}), got {blank}")
    steps = _lengths("input_lengths", input_lengths, batch)
    lengths = _lengths("target_lengths", target_lengths, batch)
    if steps.size and steps.max() > times:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {times}, but got value {steps.max()}"
        )
    if not batched and targets.ndim != 1:
        raise RuntimeError(f"ctc_loss: unbatched targets must be 1D, got {list(targets.shape)}")

    def alignment_of(targets: Tensor) -> tuple[Tensor, Tensor]:
        labels = _label_rows(targets, lengths, batch)
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise RuntimeError(f"ctc_loss: labels must be in [0, {classes})")
        return _alignment(labels, blank)

    wide = widened(scores)
    extended, skips = read(alignment_of, targets)
    losses = _losses(wide, extended, skips, steps, lengths)
    losses = e.add(losses, _normalization_term(wide, steps))
    impossible = e.gt(losses, losses._scalar(-LOG_ZERO / 2))
    instead = _like(losses, 0.0 if zero_infinity else float("inf"))
    losses = e.cast(e.where(impossible, instead, losses), log_probs.dtype)
    if reduction == "mean":
        divisor = np.maximum(lengths, 1).astype(losses.dtype.numpy)
        losses = e.div(losses, tensor_from_numpy(divisor, losses.dtype))
    if not batched:
        losses = p.reshape(losses, ())
    return reduced(losses, reduction)


def _with_batch(log_probs: Tensor) -> tuple[int, int, int]:
    if log_probs.ndim != 2:
        raise RuntimeError(
            f"ctc_loss: log_probs must be (T, N, C) or (T, C), got {list(log_probs.shape)}"
        )
    return (log_probs.shape[0], 1, log_probs.shape[1])
