"""RetinaNet: each place of each map says a class and a box.  Source: Lin et al. 2017.

In: a list of images (C, H, W).  Out: boxes, scores and labels, or losses in training.  Level 14.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.faster_rcnn import RESNET50, as_trained, resnet50_pyramid
from rushlight.vision.models.detection.rpn import permute_and_flatten
from rushlight.vision.models.detection.single_shot import PyramidDetector
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.ops.layers import Conv2dNormActivation
from rushlight.vision.ops.losses import sigmoid_focal_loss

__all__ = [
    "RetinaNet", "RetinaNetClassificationHead", "RetinaNetHead", "RetinaNetRegressionHead",
    "RetinaNet_ResNet50_FPN_V2_Weights", "RetinaNet_ResNet50_FPN_Weights",
    "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2",
]  # fmt: skip
RetinaNet_ResNet50_FPN_Weights = ENUMS["retinanet_resnet50_fpn"]
RetinaNet_ResNet50_FPN_V2_Weights = ENUMS["retinanet_resnet50_fpn_v2"]
# The share of places that hold an object before anything is learned.
PRIOR = 0.01


def _default_anchorgen() -> AnchorGenerator:
    sizes = tuple(
        (x, int(x * 2 ** (1.0 / 3)), int(x * 2 ** (2.0 / 3))) for x in (32, 64, 128, 256, 512)
    )
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def _tower(channels: int, norm_layer: Any) -> nn.Sequential:
    return nn.Sequential(
        *(Conv2dNormActivation(channels, channels, norm_layer=norm_layer) for _ in range(4))
    )


def draw_small(module: nn.Module) -> None:
    """Weights close to zero for each convolution, no bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                init.constant_(layer.bias, 0)


class _Head(nn.Module):
    _version = 2

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any
    ) -> None:
        version = (local_metadata or {}).get("version", None)
        if version is None or version < 2:
            # Older files have no block around each convolution.
            for i in range(4):
                for kind in ("weight", "bias"):
                    old, new = f"{prefix}conv.{2 * i}.{kind}", f"{prefix}conv.{i}.0.{kind}"
                    if old in state_dict:
                        state_dict[new] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class RetinaNetClassificationHead(_Head):
    """The classes of each anchor."""

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int,
        prior_probability: float = PRIOR, norm_layer: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = _tower(in_channels, norm_layer)
        draw_small(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, 1, 1)
        init.normal_(self.cls_logits.weight, std=0.01)
        init.constant_(self.cls_logits.bias, -math.log((1 - prior_probability) / prior_probability))
        self.num_classes = num_classes
        self.num_anchors = num_anchors
        self.BETWEEN_THRESHOLDS = det_utils.Matcher.BETWEEN_THRESHOLDS

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], matched_idxs: list[Tensor]
    ) -> Tensor:
        """The focal loss over each image's positives."""
        losses = []
        logits = head_outputs["cls_logits"]
        for target, part, matches in zip(targets, logits, matched_idxs):
            rows = matches.numpy()
            positive = np.flatnonzero(rows >= 0)
            wanted = np.zeros(tuple(part.shape), np.float32)
            wanted[positive, target["labels"].numpy()[rows[positive]]] = 1.0
            valid = np.flatnonzero(rows != self.BETWEEN_THRESHOLDS)
            chosen, answers = part[rl.from_numpy(valid)], rl.from_numpy(wanted[valid])
            loss = sigmoid_focal_loss(chosen, answers.to(part.dtype), reduction="sum")
            losses.append(loss / max(1, len(positive)))
        return rl.stack(losses).sum() / len(targets)

    def forward(self, x: list[Tensor]) -> Tensor:
        found = []
        for features in x:
            logits = self.cls_logits(self.conv(features))
            n, _, h, w = logits.shape
            found.append(permute_and_flatten(logits, n, self.num_anchors, self.num_classes, h, w))
        return rl.cat(found, 1)


class RetinaNetRegressionHead(_Head):
    """How to move each anchor."""

    def __init__(self, in_channels: int, num_anchors: int, norm_layer: Any = None) -> None:
        super().__init__()
        self.conv = _tower(in_channels, norm_layer)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, 1, 1)
        init.normal_(self.bbox_reg.weight, std=0.01)
        init.zeros_(self.bbox_reg.bias)
        draw_small(self.conv)
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self._loss_type = "l1"

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> Tensor:  # fmt: skip
        """The loss of the boxes of each image's positives."""
        losses = []
        moves = head_outputs["bbox_regression"]
        for target, part, boxes, matches in zip(targets, moves, anchors, matched_idxs):
            rows = matches.numpy()
            positive = np.flatnonzero(rows >= 0)
            chosen = rl.from_numpy(positive)
            truth = target["boxes"][rl.from_numpy(rows[positive])]
            loss = det_utils._box_loss(
                self._loss_type, self.box_coder, boxes[chosen], truth, part[chosen]
            )
            losses.append(loss / max(1, len(positive)))
        return rl.stack(losses).sum() / max(1, len(targets))

    def forward(self, x: list[Tensor]) -> Tensor:
        found = []
        for features in x:
            moves = self.bbox_reg(self.conv(features))
            n, wide, h, w = moves.shape
            found.append(permute_and_flatten(moves, n, wide // 4, 4, h, w))
        return rl.cat(found, 1)


class RetinaNetHead(nn.Module):
    """Classes and moves of each anchor."""

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, norm_layer: Any = None
    ) -> None:
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer=norm_layer
        )
        self.regression_head = RetinaNetRegressionHead(
            in_channels, num_anchors, norm_layer=norm_layer
        )

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:  # fmt: skip
        """The losses of classes and of boxes."""
        return {
            "classification": self.classification_head.compute_loss(
                targets, head_outputs, matched_idxs
            ),
            "bbox_regression": self.regression_head.compute_loss(
                targets, head_outputs, anchors, matched_idxs
            ),
        }

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "cls_logits": self.classification_head(x),
            "bbox_regression": self.regression_head(x),
        }


class RetinaNet(PyramidDetector):
    """A pyramid, and a head that all its maps share.  num_classes: with the background."""

    def __init__(
        self, backbone: Any, num_classes: int, min_size: Any = 800, max_size: int = 1333,
        image_mean: Any = None, image_std: Any = None, anchor_generator: Any = None,
        head: Any = None, proposal_matcher: Any = None, score_thresh: float = 0.05,
        nms_thresh: float = 0.5, detections_per_img: int = 300, fg_iou_thresh: float = 0.5,
        bg_iou_thresh: float = 0.4, topk_candidates: int = 1000, **kwargs: Any,
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
        self.anchor_generator = anchor_generator or _default_anchorgen()
        count = self.anchor_generator.num_anchors_per_location()[0]
        self.head = head or RetinaNetHead(backbone.out_channels, count, num_classes)
        self.proposal_matcher = proposal_matcher or det_utils.Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.box_coder = det_utils.BoxCoder(weights=(1.0, 1.0, 1.0, 1.0))
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or [0.485, 0.456, 0.406],
            image_std or [0.229, 0.224, 0.225], **kwargs,
        )  # fmt: skip
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates

    def compute_loss(
        self, targets: Any, head_outputs: dict[str, Tensor], anchors: list[Tensor]
    ) -> dict[str, Tensor]:  # type: ignore[override]
        """The losses of classes and of boxes."""
        matched = self.matched_by_overlap(targets, anchors)
        return self.head.compute_loss(targets, head_outputs, anchors, matched)


def _first(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(
        _weights, weights_backbone, trainable_backbone_layers, coarsest=(256, 256)
    )  # fmt: skip
    return as_trained(RetinaNet(body, num_classes, **kwargs), _weights)


def _second(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(
        _weights, weights_backbone, trainable_backbone_layers, False, coarsest=(2048, 256)
    )  # fmt: skip
    anchors = _default_anchorgen()
    head = RetinaNetHead(
        body.out_channels, anchors.num_anchors_per_location()[0], num_classes,
        norm_layer=partial(nn.GroupNorm, 32),
    )  # fmt: skip
    head.regression_head._loss_type = "giou"
    return RetinaNet(body, num_classes, anchor_generator=anchors, head=head, **kwargs)


retinanet_resnet50_fpn = network("retinanet_resnet50_fpn", _first)
retinanet_resnet50_fpn_v2 = network("retinanet_resnet50_fpn_v2", _second)
