"""Operations on boxes (N, 4).

In: boxes as (x1, y1, x2, y2) unless said otherwise.  Out: tensors; the choice among boxes (nms) is
made by NumPy and has no gradient.  Level 14.
"""

from __future__ import annotations

import numpy as np

import rushlight as rl
from rushlight import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that no better one overlaps by more than the threshold, best first.

    Shapes: boxes (N, 4), scores (N).  Raises: ValueError for other shapes.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.nms(boxes, rl.tensor([0.9, 0.8]), 0.5)
    tensor([0])
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"nms: boxes should be of shape (N, 4); got {tuple(boxes.shape)}")
    if scores.ndim != 1 or scores.shape[0] != boxes.shape[0]:
        raise ValueError(
            f"nms: needs one score for each of {boxes.shape[0]} boxes; got {tuple(scores.shape)}"
        )
    corners = boxes.detach().numpy()
    order = np.argsort(-scores.detach().numpy(), kind="stable")
    return rl.from_numpy(_kept(corners, order, iou_threshold))


def _kept(corners: np.ndarray, order: np.ndarray, threshold: float) -> np.ndarray:
    corners = corners[order]
    x1, y1, x2, y2 = corners.T
    areas = (x2 - x1) * (y2 - y1)
    alive = np.ones(len(order), dtype=bool)
    kept = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        rest = i + 1 + np.flatnonzero(alive[i + 1 :])
        wide = np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest])
        high = np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest])
        shared = np.maximum(wide, 0) * np.maximum(high, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            overlap = shared / (areas[i] + areas[rest] - shared)
        alive[rest[overlap > threshold]] = False
    return order[np.array(kept, dtype=np.int64)].astype(np.int64)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """`nms` for each class of `idxs` by itself, best first.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.batched_nms(boxes, rl.tensor([0.9, 0.8]), rl.tensor([0, 1]), 0.5)
    tensor([0, 1])
    """
    if boxes.numel() == 0:
        return rl.empty((0,), dtype=rl.int64)
    corners, values = boxes.detach().numpy(), scores.detach().numpy()
    classes = idxs.detach().numpy()
    order = np.argsort(-values, kind="stable")
    kept = np.zeros(len(order), dtype=bool)
    for label in np.unique(classes):
        kept[_kept(corners, order[classes[order] == label], iou_threshold)] = True
    chosen = np.flatnonzero(kept)
    return rl.from_numpy(chosen[np.argsort(-values[chosen], kind="stable")].astype(np.int64))


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Indices of the boxes with both sides at least `min_size`.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.remove_small_boxes(boxes, 5.0)
    tensor([], dtype=torch.int64)
    """
    ws, hs = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return rl.where((ws >= min_size) & (hs >= min_size))[0]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut at the borders of an image of (height, width).

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.clip_boxes_to_image(boxes, (3, 3))
    tensor([[0., 0., 3., 3.],
            [1., 0., 3., 3.]])
    """
    height, width = size
    xs = boxes[..., 0::2].clamp(min=0, max=width)
    ys = boxes[..., 1::2].clamp(min=0, max=height)
    return rl.stack((xs, ys), dim=boxes.ndim).reshape(boxes.shape)


_FORMATS = ("xyxy", "xywh", "cxcywh", "xywhr", "cxcywhr", "xyxyxyxy")


def _turned(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes turned by degrees around their first corner or centre, or as four corners."""
    if in_fmt == "xyxyxyxy":
        x1, y1, x2, y2, x3, y3, _, _ = boxes.unbind(-1)
        r = rl.atan2(y1 - y2, x2 - x1)
        w = ((x2 - x1) ** 2 + (y1 - y2) ** 2).sqrt()
        h = ((x3 - x2) ** 2 + (y3 - y2) ** 2).sqrt()
        x, y, degrees = x1, y1, r * 180 / np.pi
    else:
        x, y, w, h, degrees = boxes.unbind(-1)
        r = degrees * np.pi / 180
    cos, sin = rl.cos(r), rl.sin(r)
    if in_fmt == "cxcywhr":
        x, y = x - w / 2 * cos - h / 2 * sin, y - h / 2 * cos + w / 2 * sin
    if out_fmt == "xyxyxyxy":
        x2, y2 = x + w * cos, y - w * sin
        across, down = h * sin, h * cos
        corners = (x, y, x2, y2, x2 + across, y2 + down, x + across, y + down)
        return rl.stack(corners, dim=-1).to(boxes.dtype)
    if out_fmt == "cxcywhr":
        x, y = x + w / 2 * cos + h / 2 * sin, y - w / 2 * sin + h / 2 * cos
    return rl.stack((x, y, w, h, degrees), dim=-1).to(boxes.dtype)


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes in another format: xyxy, xywh, cxcywh, or turned ones: xywhr, cxcywhr, xyxyxyxy.

    Raises: ValueError for unknown formats, NotImplementedError from turned boxes to others or back.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.box_convert(boxes, "xyxy", "cxcywh")
    tensor([[2., 2., 4., 4.],
            [3., 2., 4., 4.]])
    """
    if in_fmt not in _FORMATS or out_fmt not in _FORMATS:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    turned = [fmt in _FORMATS[3:] for fmt in (in_fmt, out_fmt)]
    if turned[0] != turned[1]:
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if turned[0]:
        return _turned(boxes, in_fmt, out_fmt)
    a, b, c, d = boxes.unbind(-1)
    if in_fmt == "xywh":
        a, b, c, d = a, b, a + c, b + d
    elif in_fmt == "cxcywh":
        a, b, c, d = a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d
    if out_fmt == "xywh":
        a, b, c, d = a, b, c - a, d - b
    elif out_fmt == "cxcywh":
        a, b, c, d = (a + c) / 2, (b + d) / 2, c - a, d - b
    return rl.stack((a, b, c, d), dim=-1)


def _wide(x: Tensor) -> Tensor:
    """Halves as float32, small integers as int32, so that areas fit."""
    if x.is_floating_point():
        return x if x.dtype in (rl.float32, rl.float64) else x.float()
    return x if x.dtype in (rl.int32, rl.int64) else x.int()


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """Area of each box (..., 4).

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.box_area(boxes)
    tensor([16., 16.])
    """
    boxes = _wide(boxes)
    if fmt in ("xywh", "cxcywh"):
        return boxes[..., 2] * boxes[..., 3]
    if fmt != "xyxy":
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _intersection_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    start = rl.max(boxes1[..., None, :2], boxes2[..., None, :, :2])
    stop = rl.min(boxes1[..., None, 2:], boxes2[..., None, :, 2:])
    size = _wide(stop - start).clamp(min=0)
    shared = size[..., 0] * size[..., 1]
    union = box_area(boxes1)[..., None] + box_area(boxes2)[..., None, :] - shared
    return shared, union


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Overlap of each of N boxes with each of M: intersection over union, (N, M).

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.box_iou(boxes, boxes)
    tensor([[1.0000, 0.6000],
            [0.6000, 1.0000]])
    """
    if fmt not in _FORMATS[:3]:
        raise ValueError(f"Unsupported Box IoU Calculation for given format {fmt}")
    if fmt != "xyxy":
        boxes1, boxes2 = box_convert(boxes1, fmt, "xyxy"), box_convert(boxes2, fmt, "xyxy")
    shared, union = _intersection_union(boxes1, boxes2)
    return shared / union


def _hull(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    start = rl.min(boxes1[..., None, :2], boxes2[..., None, :, :2])
    stop = rl.max(boxes1[..., None, 2:], boxes2[..., None, :, 2:])
    return _wide(stop - start).clamp(min=0)


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the share of the hull that neither covers.  Source: Rezatofighi et al. 2019.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.generalized_box_iou(boxes, boxes)
    tensor([[1.0000, 0.6000],
            [0.6000, 1.0000]])
    """
    shared, union = _intersection_union(boxes1, boxes2)
    size = _hull(boxes1, boxes2)
    area = size[..., 0] * size[..., 1]
    return shared / union - (area - union) / area


def _distance(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    iou = box_iou(boxes1, boxes2)
    hull = _hull(boxes1, boxes2)
    diagonal = hull[..., 0] ** 2 + hull[..., 1] ** 2 + eps
    centers1 = (boxes1[..., :2] + boxes1[..., 2:]) / 2
    centers2 = (boxes2[..., :2] + boxes2[..., 2:]) / 2
    between = _wide(centers1[..., None, :] - centers2[..., None, :, :])
    squared = between[..., 0] ** 2 + between[..., 1] ** 2
    return iou - squared / diagonal, iou


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """IoU less the distance of the centres.  Source: Zheng et al. 2020.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.distance_box_iou(boxes, boxes)
    tensor([[1.0000, 0.5756],
            [0.5756, 1.0000]])
    """
    return _distance(_wide(boxes1), _wide(boxes2), eps)[0]


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """`distance_box_iou` less the difference of the aspect ratios.  Source: Zheng et al. 2020.

    >>> import rushlight as rl
    >>> from rushlight.vision import ops
    >>> boxes = rl.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    >>> ops.complete_box_iou(boxes, boxes)
    tensor([[1.0000, 0.5756],
            [0.5756, 1.0000]])
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    diou, iou = _distance(boxes1, boxes2, eps)
    w1, h1 = boxes1[..., 2] - boxes1[..., 0], boxes1[..., 3] - boxes1[..., 1]
    w2, h2 = boxes2[..., 2] - boxes2[..., 0], boxes2[..., 3] - boxes2[..., 1]
    turn = rl.atan(w1 / h1)[..., None] - rl.atan(w2 / h2)[..., None, :]
    v = (4 / np.pi**2) * turn.pow(2)
    with rl.no_grad():
        alpha = v / (1 - iou + v + eps)
    return diou - alpha * v


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The box around what is not zero in each mask: (N, H, W) to (N, 4)."""
    if masks.numel() == 0:
        return rl.zeros((0, 4), dtype=rl.float32)
    rows = []
    for mask in masks.detach().numpy():
        y, x = np.where(mask != 0)
        rows.append([x.min(), y.min(), x.max(), y.max()])
    return rl.tensor(np.array(rows, dtype=np.float32))
