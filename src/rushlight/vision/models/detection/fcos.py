"""FCOS: detection without anchors; each place says how far a box's sides are.

Source: Tian et al. 2019.  In: a list of images (C, H, W).  Out: boxes, scores and labels, or
losses in training.  Level 14.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.faster_rcnn import RESNET50, resnet50_pyramid
from rushlight.vision.models.detection.retinanet import PRIOR, draw_small
from rushlight.vision.models.detection.rpn import permute_and_flatten
from rushlight.vision.models.detection.single_shot import PyramidDetector
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.ops.losses import generalized_box_iou_loss, sigmoid_focal_loss

__all__ = [
    "FCOS", "FCOSClassificationHead", "FCOSHead", "FCOSRegressionHead",
    "FCOS_ResNet50_FPN_Weights", "fcos_resnet50_fpn",
]  # fmt: skip
FCOS_ResNet50_FPN_Weights = ENUMS["fcos_resnet50_fpn"]


def _tower(channels: int, num_convs: int, norm_layer: Any) -> nn.Sequential:
    norm = norm_layer or partial(nn.GroupNorm, 32)
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        layers += [nn.Conv2d(channels, channels, 3, 1, 1), norm(channels), nn.ReLU()]
    return nn.Sequential(*layers)


class FCOSClassificationHead(nn.Module):
    """The classes of each place."""

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, num_convs: int = 4,
        prior_probability: float = PRIOR, norm_layer: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_classes = num_classes
        self.num_anchors = num_anchors
        self.conv = _tower(in_channels, num_convs, norm_layer)
        draw_small(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, 1, 1)
        init.normal_(self.cls_logits.weight, std=0.01)
        init.constant_(self.cls_logits.bias, -math.log((1 - prior_probability) / prior_probability))

    def forward(self, x: list[Tensor]) -> Tensor:
        found = []
        for features in x:
            logits = self.cls_logits(self.conv(features))
            n, _, h, w = logits.shape
            found.append(permute_and_flatten(logits, n, self.num_anchors, self.num_classes, h, w))
        return rl.cat(found, 1)


class FCOSRegressionHead(nn.Module):
    """The distances of a box's sides, and how central the place is."""

    def __init__(
        self, in_channels: int, num_anchors: int, num_convs: int = 4, norm_layer: Any = None
    ) -> None:
        super().__init__()
        self.conv = _tower(in_channels, num_convs, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, 1, 1)
        self.bbox_ctrness = nn.Conv2d(in_channels, num_anchors * 1, 3, 1, 1)
        for layer in (self.bbox_reg, self.bbox_ctrness):
            init.normal_(layer.weight, std=0.01)
            init.zeros_(layer.bias)
        draw_small(self.conv)

    def forward(self, x: list[Tensor]) -> tuple[Tensor, Tensor]:
        moves, central = [], []
        for features in x:
            hidden = self.conv(features)
            distances, score = F.relu(self.bbox_reg(hidden)), self.bbox_ctrness(hidden)
            n, wide, h, w = distances.shape
            moves.append(permute_and_flatten(distances, n, wide // 4, 4, h, w))
            central.append(permute_and_flatten(score, n, wide // 4, 1, h, w))
        return rl.cat(moves, 1), rl.cat(central, 1)


class FCOSHead(nn.Module):
    """Classes, boxes and centrality of each place."""

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, num_convs: int | None = 4
    ) -> None:
        super().__init__()
        self.box_coder = det_utils.BoxLinearCoder(normalize_by_size=True)
        count = 4 if num_convs is None else num_convs
        self.classification_head = FCOSClassificationHead(
            in_channels, num_anchors, num_classes, count
        )
        self.regression_head = FCOSRegressionHead(in_channels, num_anchors, count)

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:  # fmt: skip
        """The losses of classes, of boxes and of centrality, over the positives of all images."""
        logits = head_outputs["cls_logits"]
        classes, truths = [], []
        for target, matches in zip(targets, matched_idxs):
            rows = matches.numpy()
            if len(target["labels"]) == 0:
                classes.append(np.full(len(rows), -1, np.int64))
                truths.append(rl.zeros((len(rows), 4), dtype=logits.dtype))
                continue
            wanted = target["labels"].numpy()[rows.clip(min=0)].copy()
            wanted[rows < 0] = -1
            classes.append(wanted)
            truths.append(target["boxes"][rl.from_numpy(rows.clip(min=0))])
        labels, boxes, bases = np.stack(classes), rl.stack(truths), rl.stack(anchors)
        image, place = np.nonzero(labels >= 0)
        answers = np.zeros(tuple(logits.shape), np.float32)
        answers[image, place, labels[image, place]] = 1.0
        count = max(1, len(image))
        class_loss = sigmoid_focal_loss(
            logits, rl.from_numpy(answers).to(logits.dtype), reduction="sum"
        )
        at = rl.from_numpy(image), rl.from_numpy(place)
        found = self.box_coder.decode(head_outputs["bbox_regression"], bases)
        box_loss = generalized_box_iou_loss(found[at], boxes[at], reduction="sum")
        sides = self.box_coder.encode(bases, boxes)[at].numpy()
        across, down = sides[:, [0, 2]], sides[:, [1, 3]]
        central = np.sqrt(across.min(1) / across.max(1) * (down.min(1) / down.max(1)))
        score = head_outputs["bbox_ctrness"].squeeze(2)[at]
        central_loss = F.binary_cross_entropy_with_logits(
            score, rl.from_numpy(central).to(score.dtype), reduction="sum"
        )
        return {
            "classification": class_loss / count, "bbox_regression": box_loss / count,
            "bbox_ctrness": central_loss / count,
        }  # fmt: skip

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        logits = self.classification_head(x)
        moves, central = self.regression_head(x)
        return {"cls_logits": logits, "bbox_regression": moves, "bbox_ctrness": central}


class FCOS(PyramidDetector):
    """A pyramid, and a head that all its maps share.  num_classes: with the background."""

    def __init__(
        self, backbone: Any, num_classes: int, min_size: int = 800, max_size: int = 1333,
        image_mean: Any = None, image_std: Any = None, anchor_generator: Any = None,
        head: Any = None, center_sampling_radius: float = 1.5, score_thresh: float = 0.2,
        nms_thresh: float = 0.6, detections_per_img: int = 100, topk_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        if not hasattr(backbone, "out_channels"):
            raise ValueError(
                "backbone should contain an attribute out_channels specifying the number of output"
                " channels (assumed to be the same for all the levels)"
            )
        if anchor_generator is not None and not isinstance(anchor_generator, AnchorGenerator):
            raise TypeError(
                "anchor_generator should be of type AnchorGenerator or None, instead of"
                f" {type(anchor_generator)}"
            )
        self.backbone = backbone
        self.anchor_generator = anchor_generator or AnchorGenerator(
            ((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5
        )
        count = self.anchor_generator.num_anchors_per_location()[0]
        if count != 1:
            raise ValueError(f"FCOS has one anchor at each place; the generator makes {count}")
        self.head = head or FCOSHead(backbone.out_channels, count, num_classes)
        self.box_coder = det_utils.BoxLinearCoder(normalize_by_size=True)
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or [0.485, 0.456, 0.406],
            image_std or [0.229, 0.224, 0.225], **kwargs,
        )  # fmt: skip
        self.center_sampling_radius = center_sampling_radius
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates

    def _matches_and_loss(
        self, targets: Any, outputs: dict[str, Tensor], anchors: list[Tensor], counts: list[int]
    ) -> dict[str, Tensor]:
        return self.compute_loss(targets, outputs, anchors, counts)

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], anchors: list[Tensor],
        num_anchors_per_level: list[int],
    ) -> dict[str, Tensor]:  # type: ignore[override]  # fmt: skip
        """The losses; a place belongs to the smallest box that it is in and that fits its map."""
        matched = []
        for bases, target in zip(anchors, targets):
            boxes = target["boxes"].detach().numpy()
            places = bases.detach().numpy()
            rows = np.full(len(places), -1, np.int64)
            if len(boxes):
                rows = self._match(places, boxes, num_anchors_per_level)
            matched.append(rl.from_numpy(rows))
        return self.head.compute_loss(targets, head_outputs, anchors, matched)

    def _match(self, anchors: np.ndarray, boxes: np.ndarray, counts: list[int]) -> np.ndarray:
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        at = (anchors[:, :2] + anchors[:, 2:]) / 2
        sizes = anchors[:, 2] - anchors[:, 0]
        away = np.abs(at[:, None, :] - centres[None]).max(2)
        match = away < np.float32(self.center_sampling_radius) * sizes[:, None]
        x, y = at[:, 0, None], at[:, 1, None]
        sides = np.stack([x - boxes[:, 0], y - boxes[:, 1], boxes[:, 2] - x, boxes[:, 3] - y], 2)
        match &= sides.min(2) > 0
        lower, upper = sizes * 4, sizes * 8
        lower[: counts[0]] = 0
        upper[-counts[-1] :] = np.inf
        farthest = sides.max(2)
        match &= (farthest > lower[:, None]) & (farthest < upper[:, None])
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        # The smallest box wins: 1e8 less its area is the greatest.
        worth = match.astype(np.float32) * (np.float32(1e8) - areas[None, :])
        rows = worth.argmax(1)
        rows[worth.max(1) < 1e-5] = -1
        return rows

    def certainty(self, outputs: dict[str, Any], level: int, image: int) -> Tensor:
        central = outputs["bbox_ctrness"][level][image]
        return rl.sqrt(super().certainty(outputs, level, image) * rl.sigmoid(central))

    def moved(self, moves: Tensor, anchors: Tensor) -> Tensor:
        return self.box_coder.decode(moves, anchors)


def _build(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(
        _weights, weights_backbone, trainable_backbone_layers, coarsest=(256, 256)
    )  # fmt: skip
    return FCOS(body, num_classes, **kwargs)


fcos_resnet50_fpn = network("fcos_resnet50_fpn", _build)
