"""Losses of detection: boxes compared pair by pair, and the focal loss.

In: predictions and targets of equal shape.  Out: a loss, reduced as asked.  Level 14.
"""

from __future__ import annotations

import math

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none',"
        " 'mean', 'sum'"
    )


def _overlap(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    x1, y1, x2, y2 = boxes1.unbind(dim=-1)
    u1, v1, u2, v2 = boxes2.unbind(dim=-1)
    left, top = rl.max(x1, u1), rl.max(y1, v1)
    right, bottom = rl.min(x2, u2), rl.min(y2, v2)
    inside = (bottom > top) & (right > left)
    shared = rl.where(inside, (right - left) * (bottom - top), rl.zeros_like(x1))
    return shared, (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared


def _hull(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    start = rl.min(boxes1[..., :2], boxes2[..., :2])
    size = rl.max(boxes1[..., 2:], boxes2[..., 2:]) - start
    return size[..., 0], size[..., 1]


def _floats(x: Tensor) -> Tensor:
    return x if x.dtype in (rl.float32, rl.float64) else x.float()


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - generalized IoU of paired boxes (N, 4).  Source: Rezatofighi et al. 2019.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.generalized_box_iou_loss(boxes, boxes.flip(0))
    tensor([0.4000, 0.4000])
    """
    boxes1, boxes2 = _floats(boxes1), _floats(boxes2)
    shared, union = _overlap(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    area = width * height
    return _reduced(1 - (shared / (union + eps) - (area - union) / (area + eps)), reduction)


def _diou_loss(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    shared, union = _overlap(boxes1, boxes2)
    iou = shared / (union + eps)
    width, height = _hull(boxes1, boxes2)
    diagonal = width**2 + height**2 + eps
    between = (boxes1[..., :2] + boxes1[..., 2:]) / 2 - (boxes2[..., :2] + boxes2[..., 2:]) / 2
    return 1 - iou + (between[..., 0] ** 2 + between[..., 1] ** 2) / diagonal, iou


def distance_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - distance IoU of paired boxes (N, 4).  Source: Zheng et al. 2020.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.distance_box_iou_loss(boxes, boxes.flip(0))
    tensor([0.4244, 0.4244])
    """
    return _reduced(_diou_loss(_floats(boxes1), _floats(boxes2), eps)[0], reduction)


def complete_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - complete IoU of paired boxes (N, 4).  Source: Zheng et al. 2020.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.complete_box_iou_loss(boxes, boxes.flip(0))
    tensor([0.4244, 0.4244])
    """
    boxes1, boxes2 = _floats(boxes1), _floats(boxes2)
    diou_loss, iou = _diou_loss(boxes1, boxes2, eps)
    x1, y1, x2, y2 = boxes1.unbind(dim=-1)
    u1, v1, u2, v2 = boxes2.unbind(dim=-1)
    turn = rl.atan((u2 - u1) / (v2 - v1)) - rl.atan((x2 - x1) / (y2 - y1))
    v = (4 / math.pi**2) * turn.pow(2)
    with rl.no_grad():
        alpha = v / (1 - iou + v + eps)
    return _reduced(diou_loss + alpha * v, reduction)


def sigmoid_focal_loss(
    inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2,
    reduction: str = "none",
) -> Tensor:  # fmt: skip
    """Cross-entropy of logits that counts easy examples less.  Source: Lin et al. 2017.

    Raises: ValueError for an alpha beyond 0 … 1 (-1 leaves it out) and unknown reductions.
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    p = rl.sigmoid(inputs)
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    hit = p * targets + (1 - p) * (1 - targets)
    loss = entropy * ((1 - hit) ** gamma)
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    if reduction == "mean":
        return loss.mean()
    return _reduced(loss, reduction)
