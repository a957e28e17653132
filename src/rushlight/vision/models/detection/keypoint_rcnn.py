"""Keypoint R-CNN: Faster R-CNN that also finds places of each object.  Source: He et al. 2017.

In: a list of images (C, H, W).  Out: boxes, labels, scores, keypoints (N, K, 3) and their heat.
Level 14.
"""

from __future__ import annotations

from typing import Any

import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection.faster_rcnn import (
    RESNET50,
    FasterRCNN,
    as_trained,
    resnet50_pyramid,
)
from rushlight.vision.ops.feature_pyramid_network import MultiScaleRoIAlign

__all__ = [
    "KeypointRCNN", "KeypointRCNNHeads", "KeypointRCNNPredictor",
    "KeypointRCNN_ResNet50_FPN_Weights", "keypointrcnn_resnet50_fpn",
]  # fmt: skip
KeypointRCNN_ResNet50_FPN_Weights = ENUMS["keypointrcnn_resnet50_fpn"]


class KeypointRCNNHeads(nn.Sequential):
    """Convolutions over a region's features."""

    def __init__(self, in_channels: int, layers: Any) -> None:
        blocks: list[nn.Module] = []
        for wide in layers:
            blocks += [nn.Conv2d(in_channels, wide, 3, stride=1, padding=1), nn.ReLU(inplace=True)]
            in_channels = wide
        super().__init__(*blocks)
        for module in self.children():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                init.constant_(module.bias, 0)


class KeypointRCNNPredictor(nn.Module):
    """A map of heat for each keypoint, of four times the size."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(in_channels, num_keypoints, 4, 2, padding=1)
        init.kaiming_normal_(self.kps_score_lowres.weight, mode="fan_out", nonlinearity="relu")
        init.constant_(self.kps_score_lowres.bias, 0)
        self.up_scale = 2
        self.out_channels = num_keypoints

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            self.kps_score_lowres(x), scale_factor=float(self.up_scale), mode="bilinear",
            align_corners=False, recompute_scale_factor=False,
        )  # fmt: skip


class KeypointRCNN(FasterRCNN):
    """See `FasterRCNN`; targets also have "keypoints" (N, K, 3), float32."""

    def __init__(
        self, backbone: Any, num_classes: int | None = None, min_size: Any = None, *args: Any,
        keypoint_roi_pool: Any = None, keypoint_head: Any = None, keypoint_predictor: Any = None,
        num_keypoints: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if keypoint_roi_pool is not None and not isinstance(keypoint_roi_pool, MultiScaleRoIAlign):
            raise TypeError(
                "keypoint_roi_pool should be of type MultiScaleRoIAlign or None instead of"
                f" {type(keypoint_roi_pool)}"
            )
        if num_keypoints is not None and keypoint_predictor is not None:
            raise ValueError("num_keypoints should be None when keypoint_predictor is specified")
        pool = keypoint_roi_pool or MultiScaleRoIAlign(["0", "1", "2", "3"], 14, 2)
        head = keypoint_head or KeypointRCNNHeads(backbone.out_channels, (512,) * 8)
        predictor = keypoint_predictor or KeypointRCNNPredictor(
            512, 17 if num_keypoints is None else num_keypoints
        )
        sides = (640, 672, 704, 736, 768, 800) if min_size is None else min_size
        super().__init__(backbone, num_classes, sides, *args, **kwargs)
        self.roi_heads.keypoint_roi_pool = pool
        self.roi_heads.keypoint_head = head
        self.roi_heads.keypoint_predictor = predictor


def _build(
    num_classes: int = 2, num_keypoints: int = 17, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(_weights, weights_backbone, trainable_backbone_layers)
    model = KeypointRCNN(body, num_classes, num_keypoints=num_keypoints, **kwargs)
    return as_trained(model, _weights)


keypointrcnn_resnet50_fpn = network("keypointrcnn_resnet50_fpn", _build)
