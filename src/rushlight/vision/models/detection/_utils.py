"""torchvision's name for what detectors share: samplers, coders of boxes, matchers.

In: boxes, labels, qualities of matches.  Out: what to learn from.  Choices are made by NumPy
where they carry no gradient; random ones use PyTorch's stream.  Level 14.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.vision.ops.layers import FrozenBatchNorm2d
from rushlight.vision.ops.losses import complete_box_iou_loss as _ciou
from rushlight.vision.ops.losses import distance_box_iou_loss as _diou
from rushlight.vision.ops.losses import generalized_box_iou_loss as _giou


class BalancedPositiveNegativeSampler:
    """Picks examples at random so that a share of them is positive.

    Labels of 1 and more are positive, 0 negative, others never picked.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def __call__(self, matched_idxs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Two masks for each image: the positives picked, the negatives picked."""
        positives: list[Tensor] = []
        negatives: list[Tensor] = []
        for labels in (m.detach().numpy() for m in matched_idxs):
            positive, negative = np.flatnonzero(labels >= 1), np.flatnonzero(labels == 0)
            wanted = int(self.batch_size_per_image * self.positive_fraction)
            taken = min(len(positive), wanted)
            left = min(len(negative), self.batch_size_per_image - taken)
            for rows, count, masks in ((positive, taken, positives), (negative, left, negatives)):
                mask = np.zeros(len(labels), np.uint8)
                mask[rows[rl.randperm(len(rows))[:count].numpy()]] = 1
                masks.append(rl.from_numpy(mask))
        return positives, negatives


def _centres(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return width, height, boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height


def encode_boxes(reference_boxes: Tensor, proposals: Tensor, weights: Tensor) -> Tensor:
    """How far each proposal (N, 4) is from its box, in its own size: (N, 4)."""
    wx, wy, ww, wh = weights.unbind(0)
    width, height, x, y = _centres(proposals)
    target_width, target_height, target_x, target_y = _centres(reference_boxes)
    moves = [
        wx * (target_x - x) / width, wy * (target_y - y) / height,
        ww * rl.log(target_width / width), wh * rl.log(target_height / height),
    ]  # fmt: skip
    return rl.stack(moves, 1)


class BoxCoder:
    """Boxes as moves from others, and back.

    weights: of the moves of x, y, width and height.
    bbox_xform_clip: the greatest logarithm of a change of size.
    """

    def __init__(
        self, weights: tuple[float, float, float, float],
        bbox_xform_clip: float = math.log(1000.0 / 16),
    ) -> None:  # fmt: skip
        self.weights = weights
        self.bbox_xform_clip = bbox_xform_clip

    def encode(self, reference_boxes: list[Tensor], proposals: list[Tensor]) -> tuple[Tensor, ...]:
        """For each image, the moves from its proposals to its boxes."""
        counts = [len(b) for b in reference_boxes]
        moves = self.encode_single(rl.cat(reference_boxes), rl.cat(proposals))
        return moves.split(counts, 0)

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """The moves from proposals (N, 4) to boxes (N, 4)."""
        weights = rl.tensor(self.weights, dtype=reference_boxes.dtype)
        return encode_boxes(reference_boxes, proposals, weights)

    def decode(self, rel_codes: Tensor, boxes: list[Tensor]) -> Tensor:
        """Moves (N, 4 K) of the boxes of all images: (N, K, 4)."""
        together = rl.cat(boxes)
        count = together.shape[0]
        if count > 0:
            rel_codes = rel_codes.reshape(count, -1)
        found = self.decode_single(rel_codes, together)
        return found.reshape(count, -1, 4) if count > 0 else found.reshape(0, 0, 4)

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Moves (N, 4 K) from boxes (N, 4): (N, 4 K)."""
        width, height, x, y = (part[:, None] for part in _centres(boxes.to(rel_codes.dtype)))
        wx, wy, ww, wh = self.weights
        dx, dy = rel_codes[:, 0::4] / wx, rel_codes[:, 1::4] / wy
        dw = rl.clamp(rel_codes[:, 2::4] / ww, max=self.bbox_xform_clip)
        dh = rl.clamp(rel_codes[:, 3::4] / wh, max=self.bbox_xform_clip)
        centre_x, centre_y = dx * width + x, dy * height + y
        half_width, half_height = rl.exp(dw) * width * 0.5, rl.exp(dh) * height * 0.5
        corners = [
            centre_x - half_width, centre_y - half_height, centre_x + half_width,
            centre_y + half_height,
        ]  # fmt: skip
        return rl.stack(corners, 2).flatten(1)


class BoxLinearCoder:
    """Boxes as the distances of their sides from a box's centre, and back."""

    def __init__(self, normalize_by_size: bool = True) -> None:
        self.normalize_by_size = normalize_by_size

    def encode(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Distances (..., 4), left, top, right, bottom, from the centres of `reference_boxes`."""
        x = 0.5 * (reference_boxes[..., 0] + reference_boxes[..., 2])
        y = 0.5 * (reference_boxes[..., 1] + reference_boxes[..., 3])
        sides = [
            x - proposals[..., 0], y - proposals[..., 1], proposals[..., 2] - x,
            proposals[..., 3] - y,
        ]  # fmt: skip
        distances = rl.stack(sides, -1)
        return distances / self._size(reference_boxes) if self.normalize_by_size else distances

    def decode(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) whose sides lie that far from the centres of `boxes`."""
        boxes = boxes.to(rel_codes.dtype)
        x = 0.5 * (boxes[..., 0] + boxes[..., 2])
        y = 0.5 * (boxes[..., 1] + boxes[..., 3])
        if self.normalize_by_size:
            rel_codes = rel_codes * self._size(boxes)
        left, top, right, bottom = rel_codes.unbind(-1)
        return rl.stack([x - left, y - top, x + right, y + bottom], -1)

    @staticmethod
    def _size(boxes: Tensor) -> Tensor:
        width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
        return rl.stack([width, height, width, height], -1)


class Matcher:
    """Gives each prediction the truth that it overlaps most.

    -1 where the overlap is below `low_threshold`, -2 where it is between both thresholds.
    allow_low_quality_matches: the best predictions of each truth are its own at any overlap.
    """

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(
        self, high_threshold: float, low_threshold: float, allow_low_quality_matches: bool = False
    ) -> None:
        if low_threshold > high_threshold:
            raise ValueError("low_threshold should be <= high_threshold")
        self.high_threshold = high_threshold
        self.low_threshold = low_threshold
        self.allow_low_quality_matches = allow_low_quality_matches

    def __call__(self, match_quality_matrix: Tensor) -> Tensor:
        """Qualities (truths, predictions): a truth for each prediction, int64."""
        quality = match_quality_matrix.detach().numpy()
        if quality.size == 0:
            missing = "ground-truth" if quality.shape[0] == 0 else "proposal"
            raise ValueError(f"No {missing} boxes available for one of the images during training")
        best = quality.argmax(0)
        values = quality.max(0)
        matches = np.where(
            values < self.low_threshold, self.BELOW_LOW_THRESHOLD,
            np.where(values < self.high_threshold, self.BETWEEN_THRESHOLDS, best),
        )  # fmt: skip
        self._also(quality, best, matches)
        return rl.from_numpy(matches.astype(np.int64))

    def _also(self, quality: np.ndarray, best: np.ndarray, matches: np.ndarray) -> None:
        if self.allow_low_quality_matches:
            wanted = np.nonzero(quality == quality.max(1, keepdims=True))[1]
            matches[wanted] = best[wanted]


class SSDMatcher(Matcher):
    """As `Matcher` with one threshold; the best prediction of each truth is its own."""

    def __init__(self, threshold: float) -> None:
        super().__init__(threshold, threshold, allow_low_quality_matches=False)

    def _also(self, quality: np.ndarray, best: np.ndarray, matches: np.ndarray) -> None:
        matches[quality.argmax(1)] = np.arange(len(quality))


def overwrite_eps(model: nn.Module, eps: float) -> None:
    """Another epsilon for each frozen normalization: the first weights were trained with 0."""
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = eps


def retrieve_out_channels(model: nn.Module, size: tuple[int, int]) -> list[int]:
    """The channels of each feature map that a backbone makes of images of (width, height)."""
    training = model.training
    model.eval()
    with rl.no_grad():
        features = model(rl.zeros((1, 3, size[1], size[0])))
    model.train(training)
    maps = [features] if isinstance(features, Tensor) else features.values()
    return [m.shape[1] for m in maps]


def _validate_trainable_layers(
    is_trained: bool, trainable_backbone_layers: int | None, max_value: int, default_value: int
) -> int:
    """How many layers learn.  Raises: ValueError beyond 0 … max_value."""
    if not is_trained:
        if trainable_backbone_layers is not None:
            warnings.warn(
                "Changing trainable_backbone_layers has no effect if neither pretrained nor"
                f" pretrained_backbone have been set to True, falling back to"
                f" trainable_backbone_layers={max_value} so that all layers are trainable",
                UserWarning,
                stacklevel=2,
            )
        return max_value
    layers = default_value if trainable_backbone_layers is None else trainable_backbone_layers
    if not 0 <= layers <= max_value:
        raise ValueError(
            f"Trainable backbone layers should be in the range [0,{max_value}], got {layers} "
        )
    return layers


def _box_loss(
    type: str, box_coder: BoxCoder, anchors_per_image: Tensor, matched_gt_boxes_per_image: Tensor,
    bbox_regression_per_image: Tensor, cnf: dict[str, float] | None = None,
) -> Tensor:  # fmt: skip
    """The sum of one loss of boxes: l1, smooth_l1, ciou, diou or giou."""
    if type not in ("l1", "smooth_l1", "ciou", "diou", "giou"):
        raise ValueError(f"Unsupported loss: {type}")
    options = cnf or {}
    if type in ("l1", "smooth_l1"):
        target = box_coder.encode_single(matched_gt_boxes_per_image, anchors_per_image)
        if type == "l1":
            return F.l1_loss(bbox_regression_per_image, target, reduction="sum")
        beta = options.get("beta", 1.0)
        return F.smooth_l1_loss(bbox_regression_per_image, target, reduction="sum", beta=beta)
    boxes = box_coder.decode_single(bbox_regression_per_image, anchors_per_image)
    losses: dict[str, Callable[..., Tensor]] = {"ciou": _ciou, "diou": _diou, "giou": _giou}
    eps = options.get("eps", 1e-7)
    return losses[type](boxes, matched_gt_boxes_per_image, reduction="sum", eps=eps)


def _topk_min(input: Tensor, orig_kval: int, axis: int) -> int:
    """The smaller of a count and an axis' size."""
    return min(orig_kval, input.shape[axis])


def checked_targets(targets: Any, batch: int | None = None) -> None:
    """What training needs of its targets.  Raises: ValueError, TypeError with what was wrong."""
    if targets is None:
        raise ValueError("targets should not be none when in training mode")
    for target in targets:
        boxes = target["boxes"]
        if not isinstance(boxes, Tensor):
            raise TypeError(f"Expected target boxes to be of type Tensor, got {type(boxes)}.")
        if boxes.ndim != 2 or boxes.shape[-1] != 4:
            raise ValueError(
                f"Expected target boxes to be a tensor of shape [N, 4], got {tuple(boxes.shape)}."
            )


def checked_boxes(targets: Any) -> None:
    """Raises: ValueError for a box without width or height."""
    for number, target in enumerate(targets):
        boxes = target["boxes"].detach().numpy()
        wrong = np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(1))
        if len(wrong):
            raise ValueError(
                "All bounding boxes should have positive height and width."
                f" Found invalid box {boxes[wrong[0]].tolist()} for target at index {number}."
            )
