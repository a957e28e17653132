"""Faster R-CNN.  Sources: Ren et al. 2015; Li et al. 2021 (version 2).

In: a list of images (C, H, W).  Out: boxes, labels and scores, or losses in training.  Level 14.
"""

from __future__ import annotations

from typing import Any

import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection import backbone_utils
from rushlight.vision.models.detection._utils import _validate_trainable_layers, overwrite_eps
from rushlight.vision.models.detection.anchor_utils import AnchorGenerator
from rushlight.vision.models.detection.generalized_rcnn import GeneralizedRCNN
from rushlight.vision.models.detection.roi_heads import RoIHeads
from rushlight.vision.models.detection.rpn import RegionProposalNetwork, RPNHead
from rushlight.vision.models.detection.transform import GeneralizedRCNNTransform
from rushlight.vision.models.mobilenet import mobilenet_v3_large
from rushlight.vision.models.resnet import resnet50
from rushlight.vision.ops.feature_pyramid_network import LastLevelP6P7, MultiScaleRoIAlign
from rushlight.vision.ops.layers import Conv2dNormActivation, FrozenBatchNorm2d

__all__ = [
    "FastRCNNConvFCHead", "FastRCNNPredictor", "FasterRCNN",
    "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights", "FasterRCNN_MobileNet_V3_Large_FPN_Weights",
    "FasterRCNN_ResNet50_FPN_V2_Weights", "FasterRCNN_ResNet50_FPN_Weights", "TwoMLPHead",
    "fasterrcnn_mobilenet_v3_large_320_fpn", "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2",
]  # fmt: skip
FasterRCNN_ResNet50_FPN_Weights = ENUMS["fasterrcnn_resnet50_fpn"]
FasterRCNN_ResNet50_FPN_V2_Weights = ENUMS["fasterrcnn_resnet50_fpn_v2"]
FasterRCNN_MobileNet_V3_Large_FPN_Weights = ENUMS["fasterrcnn_mobilenet_v3_large_fpn"]
FasterRCNN_MobileNet_V3_Large_320_FPN_Weights = ENUMS["fasterrcnn_mobilenet_v3_large_320_fpn"]
RESNET50: Any = ENUMS["resnet50"]["IMAGENET1K_V1"]
MOBILENET: Any = ENUMS["mobilenet_v3_large"]["IMAGENET1K_V1"]


def default_anchors() -> AnchorGenerator:
    """One size and three shapes for each of five maps."""
    return AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)


class TwoMLPHead(nn.Module):
    """Two linear layers over a region's features."""

    def __init__(self, in_channels: int, representation_size: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.fc7(F.relu(self.fc6(x.flatten(1)))))


class FastRCNNConvFCHead(nn.Sequential):
    """Convolutions and linear layers over a region's features (C, H, W)."""

    def __init__(
        self, input_size: tuple[int, int, int], conv_layers: list[int], fc_layers: list[int],
        norm_layer: Any = None,
    ) -> None:  # fmt: skip
        channels, height, width = input_size
        blocks: list[nn.Module] = []
        for wide in conv_layers:
            blocks.append(Conv2dNormActivation(channels, wide, norm_layer=norm_layer))
            channels = wide
        blocks.append(nn.Flatten())
        size = channels * height * width
        for wide in fc_layers:
            blocks += [nn.Linear(size, wide), nn.ReLU(inplace=True)]
            size = wide
        super().__init__(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    init.zeros_(module.bias)


class FastRCNNPredictor(nn.Module):
    """Classes and boxes of a region's features (N, C)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim == 4 and tuple(x.shape[2:]) != (1, 1):
            raise ValueError(
                "x has the wrong shape, expecting the last two dimensions to be [1,1] instead of"
                f" {list(x.shape[2:])}"
            )
        flat = x.flatten(1)
        return self.cls_score(flat), self.bbox_pred(flat)


class FasterRCNN(GeneralizedRCNN):
    """Proposals, then a class and a box for each.

    num_classes: with the background; None where `box_predictor` is given.
    """

    def __init__(
        self, backbone: Any, num_classes: int | None = None, min_size: Any = 800,
        max_size: int = 1333, image_mean: Any = None, image_std: Any = None,
        rpn_anchor_generator: Any = None, rpn_head: Any = None,
        rpn_pre_nms_top_n_train: int = 2000, rpn_pre_nms_top_n_test: int = 1000,
        rpn_post_nms_top_n_train: int = 2000, rpn_post_nms_top_n_test: int = 1000,
        rpn_nms_thresh: float = 0.7, rpn_fg_iou_thresh: float = 0.7,
        rpn_bg_iou_thresh: float = 0.3, rpn_batch_size_per_image: int = 256,
        rpn_positive_fraction: float = 0.5, rpn_score_thresh: float = 0.0,
        box_roi_pool: Any = None, box_head: Any = None, box_predictor: Any = None,
        box_score_thresh: float = 0.05, box_nms_thresh: float = 0.5,
        box_detections_per_img: int = 100, box_fg_iou_thresh: float = 0.5,
        box_bg_iou_thresh: float = 0.5, box_batch_size_per_image: int = 512,
        box_positive_fraction: float = 0.25, bbox_reg_weights: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if not hasattr(backbone, "out_channels"):
            raise ValueError(
                "backbone should contain an attribute out_channels specifying the number of output"
                " channels (assumed to be the same for all the levels)"
            )
        for name, part, kind in (
            ("rpn_anchor_generator", rpn_anchor_generator, AnchorGenerator),
            ("box_roi_pool", box_roi_pool, MultiScaleRoIAlign),
        ):
            if part is not None and not isinstance(part, kind):
                raise TypeError(f"{name} should be of type {kind.__name__} or None: {type(part)}")
        if num_classes is not None and box_predictor is not None:
            raise ValueError("num_classes should be None when box_predictor is specified")
        if num_classes is None and box_predictor is None:
            raise ValueError("num_classes should not be None when box_predictor is not specified")
        wide = backbone.out_channels
        anchors = rpn_anchor_generator or default_anchors()
        rpn = RegionProposalNetwork(
            anchors, rpn_head or RPNHead(wide, anchors.num_anchors_per_location()[0]),
            rpn_fg_iou_thresh, rpn_bg_iou_thresh, rpn_batch_size_per_image, rpn_positive_fraction,
            {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
            {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test},
            rpn_nms_thresh, score_thresh=rpn_score_thresh,
        )  # fmt: skip
        pool = box_roi_pool or MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)
        heads = RoIHeads(
            pool, box_head or TwoMLPHead(wide * pool.output_size[0] ** 2, 1024),
            box_predictor or FastRCNNPredictor(1024, num_classes or 0), box_fg_iou_thresh,
            box_bg_iou_thresh, box_batch_size_per_image, box_positive_fraction, bbox_reg_weights,
            box_score_thresh, box_nms_thresh, box_detections_per_img,
        )  # fmt: skip
        transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or [0.485, 0.456, 0.406],
            image_std or [0.229, 0.224, 0.225], **kwargs,
        )  # fmt: skip
        super().__init__(backbone, rpn, heads, transform)


def resnet50_pyramid(
    weights: Any, backbone: Any, trainable: int | None, frozen_norm: bool = True,
    coarsest: tuple[int, int] | None = None, **options: Any,
) -> Any:  # fmt: skip
    """ResNet-50 with a pyramid; the file of a whole detector needs no classifier's file first."""
    backbone = None if weights is not None else backbone
    trained = weights is not None or backbone is not None
    layers = _validate_trainable_layers(trained, trainable, 5, 3)
    norm = FrozenBatchNorm2d if trained and frozen_norm else nn.BatchNorm2d
    if frozen_norm:
        body = resnet50(weights=backbone, norm_layer=norm)
    else:
        body = resnet50(weights=backbone)
    if coarsest is not None:
        # Two more levels by convolution, from and to so many channels.
        options |= {"returned_layers": [2, 3, 4], "extra_blocks": LastLevelP6P7(*coarsest)}
    return backbone_utils._resnet_fpn_extractor(body, layers, **options)


def as_trained(model: nn.Module, weights: Any) -> nn.Module:
    """The first weights of a detector were trained with an epsilon of 0."""
    if weights is not None and weights.name.startswith("COCO"):
        overwrite_eps(model, 0.0)
    return model


def second_version_heads(backbone: Any) -> dict[str, Any]:
    """The anchors and heads of the second versions, which have more convolutions."""
    anchors = default_anchors()
    wide = backbone.out_channels
    return {
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(wide, anchors.num_anchors_per_location()[0], conv_depth=2),
        "box_head": FastRCNNConvFCHead(
            (wide, 7, 7), [256] * 4, [1024], norm_layer=nn.BatchNorm2d
        ),
    }  # fmt: skip


def _first(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(_weights, weights_backbone, trainable_backbone_layers)
    return as_trained(FasterRCNN(body, num_classes=num_classes, **kwargs), _weights)


def _second(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(
        _weights, weights_backbone, trainable_backbone_layers, False, norm_layer=nn.BatchNorm2d
    )
    return FasterRCNN(body, num_classes=num_classes, **second_version_heads(body), **kwargs)


def _mobile(
    defaults: dict[str, Any], num_classes: int = 91, weights_backbone: Any = MOBILENET,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    backbone = None if _weights is not None else weights_backbone
    trained = _weights is not None or backbone is not None
    layers = _validate_trainable_layers(trained, trainable_backbone_layers, 6, 3)
    norm = FrozenBatchNorm2d if trained else nn.BatchNorm2d
    body = mobilenet_v3_large(weights=backbone, norm_layer=norm)
    pyramid = backbone_utils._mobilenet_extractor(body, True, layers)
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    options = {**defaults, **kwargs}
    return FasterRCNN(pyramid, num_classes, rpn_anchor_generator=anchors, **options)


fasterrcnn_resnet50_fpn = network("fasterrcnn_resnet50_fpn", _first)
fasterrcnn_resnet50_fpn_v2 = network("fasterrcnn_resnet50_fpn_v2", _second)
fasterrcnn_mobilenet_v3_large_fpn = network(
    "fasterrcnn_mobilenet_v3_large_fpn", _mobile, defaults={"rpn_score_thresh": 0.05}
)
fasterrcnn_mobilenet_v3_large_320_fpn = network(
    "fasterrcnn_mobilenet_v3_large_320_fpn", _mobile,
    defaults={
        "min_size": 320, "max_size": 640, "rpn_pre_nms_top_n_test": 150,
        "rpn_post_nms_top_n_test": 150, "rpn_score_thresh": 0.05,
    },
)  # fmt: skip
