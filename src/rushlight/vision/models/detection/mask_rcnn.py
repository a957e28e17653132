"""Mask R-CNN: Faster R-CNN that also finds each object's pixels.  Source: He et al. 2017.

In: a list of images (C, H, W).  Out: boxes, labels, scores and masks (N, 1, H, W).  Level 14.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight import nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.detection.faster_rcnn import (
    RESNET50,
    FasterRCNN,
    as_trained,
    resnet50_pyramid,
    second_version_heads,
)
from rushlight.vision.ops.feature_pyramid_network import MultiScaleRoIAlign
from rushlight.vision.ops.layers import Conv2dNormActivation

__all__ = [
    "MaskRCNN", "MaskRCNNHeads", "MaskRCNNPredictor", "MaskRCNN_ResNet50_FPN_V2_Weights",
    "MaskRCNN_ResNet50_FPN_Weights", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2",
]  # fmt: skip
MaskRCNN_ResNet50_FPN_Weights = ENUMS["maskrcnn_resnet50_fpn"]
MaskRCNN_ResNet50_FPN_V2_Weights = ENUMS["maskrcnn_resnet50_fpn_v2"]


class MaskRCNNHeads(nn.Sequential):
    """Convolutions over a region's features."""

    _version = 2

    def __init__(
        self, in_channels: int, layers: Any, dilation: int, norm_layer: Any = None
    ) -> None:
        blocks: list[nn.Module] = []
        for wide in layers:
            blocks.append(
                Conv2dNormActivation(
                    in_channels, wide, kernel_size=3, stride=1, padding=dilation,
                    dilation=dilation, norm_layer=norm_layer,
                )
            )  # fmt: skip
            in_channels = wide
        super().__init__(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    init.zeros_(module.bias)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any
    ) -> None:
        version = (local_metadata or {}).get("version", None)
        if version is None or version < 2:
            # Older files name the layers, and have no block around each.
            for i in range(len(self)):
                for kind in ("weight", "bias"):
                    old, new = f"{prefix}mask_fcn{i + 1}.{kind}", f"{prefix}{i}.0.{kind}"
                    if old in state_dict:
                        state_dict[new] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class MaskRCNNPredictor(nn.Sequential):
    """A mask for each class, of twice the size."""

    def __init__(self, in_channels: int, dim_reduced: int, num_classes: int) -> None:
        super().__init__(
            OrderedDict(
                [
                    ("conv5_mask", nn.ConvTranspose2d(in_channels, dim_reduced, 2, 2, 0)),
                    ("relu", nn.ReLU(inplace=True)),
                    ("mask_fcn_logits", nn.Conv2d(dim_reduced, num_classes, 1, 1, 0)),
                ]
            )
        )
        for name, parameter in self.named_parameters():
            if "weight" in name:
                init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")


class MaskRCNN(FasterRCNN):
    """See `FasterRCNN`; targets also have "masks" (N, H, W)."""

    def __init__(
        self, backbone: Any, num_classes: int | None = None, *args: Any, mask_roi_pool: Any = None,
        mask_head: Any = None, mask_predictor: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if mask_roi_pool is not None and not isinstance(mask_roi_pool, MultiScaleRoIAlign):
            raise TypeError(
                "mask_roi_pool should be of type MultiScaleRoIAlign or None instead of"
                f" {type(mask_roi_pool)}"
            )
        if num_classes is not None and mask_predictor is not None:
            raise ValueError("num_classes should be None when mask_predictor is specified")
        pool = mask_roi_pool or MultiScaleRoIAlign(["0", "1", "2", "3"], 14, 2)
        head = mask_head or MaskRCNNHeads(backbone.out_channels, (256,) * 4, 1)
        predictor = mask_predictor or MaskRCNNPredictor(256, 256, num_classes or 0)
        super().__init__(backbone, num_classes, *args, **kwargs)
        self.roi_heads.mask_roi_pool = pool
        self.roi_heads.mask_head = head
        self.roi_heads.mask_predictor = predictor


def _first(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(_weights, weights_backbone, trainable_backbone_layers)
    return as_trained(MaskRCNN(body, num_classes=num_classes, **kwargs), _weights)


def _second(
    num_classes: int = 91, weights_backbone: Any = RESNET50,
    trainable_backbone_layers: int | None = None, _weights: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    body = resnet50_pyramid(
        _weights, weights_backbone, trainable_backbone_layers, False, norm_layer=nn.BatchNorm2d
    )
    heads = second_version_heads(body)
    mask_head = MaskRCNNHeads(body.out_channels, [256] * 4, 1, norm_layer=nn.BatchNorm2d)
    return MaskRCNN(body, num_classes=num_classes, mask_head=mask_head, **heads, **kwargs)


maskrcnn_resnet50_fpn = network("maskrcnn_resnet50_fpn", _first)
maskrcnn_resnet50_fpn_v2 = network("maskrcnn_resnet50_fpn_v2", _second)
