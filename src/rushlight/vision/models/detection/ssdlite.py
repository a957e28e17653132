"""SSDlite: SSD of depthwise convolutions on MobileNet v3.  Source: Sandler et al. 2018.

In: a list of images (C, H, W).  Out: boxes, scores and labels, or losses in training.  Level 14.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from typing import Any

from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection import _utils as det_utils
from rushlight.vision.models.detection.anchor_utils import DefaultBoxGenerator
from rushlight.vision.models.detection.faster_rcnn import MOBILENET
from rushlight.vision.models.detection.ssd import SSD, SSDScoringHead, fixed_size
from rushlight.vision.models.mobilenet import mobilenet_v3_large
from rushlight.vision.ops.layers import Conv2dNormActivation

__all__ = [
    "SSDLiteClassificationHead", "SSDLiteFeatureExtractorMobileNet", "SSDLiteHead",
    "SSDLiteRegressionHead", "SSDLite320_MobileNet_V3_Large_Weights",
    "ssdlite320_mobilenet_v3_large",
]  # fmt: skip
SSDLite320_MobileNet_V3_Large_Weights = ENUMS["ssdlite320_mobilenet_v3_large"]


def _prediction_block(
    in_channels: int, out_channels: int, kernel_size: int, norm_layer: Any
) -> nn.Sequential:
    return nn.Sequential(
        Conv2dNormActivation(
            in_channels, in_channels, kernel_size=kernel_size, groups=in_channels,
            norm_layer=norm_layer, activation_layer=nn.ReLU6,
        ),
        nn.Conv2d(in_channels, out_channels, 1),
    )  # fmt: skip


def _extra_block(in_channels: int, out_channels: int, norm_layer: Any) -> nn.Sequential:
    inner = out_channels // 2
    options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.ReLU6}
    return nn.Sequential(
        Conv2dNormActivation(in_channels, inner, kernel_size=1, **options),
        Conv2dNormActivation(inner, inner, kernel_size=3, stride=2, groups=inner, **options),
        Conv2dNormActivation(inner, out_channels, kernel_size=1, **options),
    )


def _normal_init(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            init.normal_(layer.weight, mean=0.0, std=0.03)
            if layer.bias is not None:
                init.constant_(layer.bias, 0.0)


def _predictions(
    in_channels: list[int], num_anchors: list[int], columns: int, norm_layer: Any
) -> nn.ModuleList:
    blocks = nn.ModuleList()
    for channels, anchors in zip(in_channels, num_anchors):
        blocks.append(_prediction_block(channels, columns * anchors, 3, norm_layer))
    _normal_init(blocks)
    return blocks


class SSDLiteClassificationHead(SSDScoringHead):
    """The classes of each default box."""

    def __init__(
        self, in_channels: list[int], num_anchors: list[int], num_classes: int, norm_layer: Any
    ) -> None:
        blocks = _predictions(in_channels, num_anchors, num_classes, norm_layer)
        super().__init__(blocks, num_classes)


class SSDLiteRegressionHead(SSDScoringHead):
    """How to move each default box."""

    def __init__(self, in_channels: list[int], num_anchors: list[int], norm_layer: Any) -> None:
        super().__init__(_predictions(in_channels, num_anchors, 4, norm_layer), 4)


class SSDLiteHead(nn.Module):
    """Classes and moves of each default box."""

    def __init__(
        self, in_channels: list[int], num_anchors: list[int], num_classes: int, norm_layer: Any
    ) -> None:
        super().__init__()
        self.classification_head = SSDLiteClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer
        )
        self.regression_head = SSDLiteRegressionHead(in_channels, num_anchors, norm_layer)

    def forward(self, x: list[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSDLiteFeatureExtractorMobileNet(nn.Module):
    """MobileNet's features at two depths, and four more maps."""

    def __init__(
        self, backbone: Any, c4_pos: int, norm_layer: Any, width_mult: float = 1.0,
        min_depth: int = 16,
    ) -> None:  # fmt: skip
        super().__init__()
        if backbone[c4_pos].use_res_connect:
            raise ValueError("backbone[c4_pos].use_res_connect should be False")
        # The first map is taken in the middle of a block, where it is widest.
        self.features = nn.Sequential(
            nn.Sequential(*backbone[:c4_pos], backbone[c4_pos].block[0]),
            nn.Sequential(backbone[c4_pos].block[1:], *backbone[c4_pos + 1 :]),
        )
        deep = [max(min_depth, int(d * width_mult)) for d in (512, 256, 256, 128)]
        widths = [backbone[-1].out_channels, *deep]
        extra = nn.ModuleList([_extra_block(a, b, norm_layer) for a, b in pairwise(widths)])
        _normal_init(extra)
        self.extra = extra

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = []
        for block in [*self.features, *self.extra]:
            x = block(x)
            maps.append(x)
        return OrderedDict((str(i), value) for i, value in enumerate(maps))


def _mobilenet_extractor(
    backbone: Any, trainable_layers: int, norm_layer: Any
) -> SSDLiteFeatureExtractorMobileNet:
    body = backbone.features
    stages = [0, *(i for i, b in enumerate(body) if getattr(b, "_is_cn", False)), len(body) - 1]
    count = len(stages)
    if not 0 <= trainable_layers <= count:
        raise ValueError(
            f"trainable_layers should be in the range [0, {count}], instead got {trainable_layers}"
        )
    frozen = len(body) if trainable_layers == 0 else stages[count - trainable_layers]
    for block in body[:frozen]:
        for parameter in block.parameters():
            parameter.requires_grad_(False)
    return SSDLiteFeatureExtractorMobileNet(body, stages[-2], norm_layer)


def _build(
    num_classes: int = 91, weights_backbone: Any = MOBILENET,
    trainable_backbone_layers: int | None = None, norm_layer: Any = None, _weights: Any = None,
    **kwargs: Any,
) -> Any:  # fmt: skip
    options = fixed_size(kwargs)
    backbone = None if _weights is not None else weights_backbone
    layers = det_utils._validate_trainable_layers(
        _weights is not None or backbone is not None, trainable_backbone_layers, 6, 6
    )
    norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    mobile = mobilenet_v3_large(weights=backbone, norm_layer=norm, reduced_tail=backbone is None)
    if backbone is None:
        _normal_init(mobile)
    body = _mobilenet_extractor(mobile, layers, norm)
    size = (320, 320)
    boxes = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    widths = det_utils.retrieve_out_channels(body, size)
    head = SSDLiteHead(widths, boxes.num_anchors_per_location(), num_classes, norm)
    defaults: dict[str, Any] = {
        "score_thresh": 0.001, "nms_thresh": 0.55, "detections_per_img": 300,
        "topk_candidates": 300, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    return SSD(body, boxes, size, num_classes, head=head, **{**defaults, **options})


ssdlite320_mobilenet_v3_large = network("ssdlite320_mobilenet_v3_large", _build)
