"""Segmentation: FCN, DeepLabV3 and LRASPP on a classifier's features.

Sources: Long et al. 2015; Chen et al. 2017; Howard et al. 2019.
In: (N, 3, H, W).  Out: a dict whose "out" is (N, classes, H, W).  Level 14.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.features import IntermediateLayerGetter
from rushlight.vision.models.mobilenet import mobilenet_v3_large
from rushlight.vision.models.resnet import resnet50, resnet101

__all__ = [
    "DeepLabV3", "FCN", "LRASPP", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet101",
    "deeplabv3_resnet50", "fcn_resnet101", "fcn_resnet50", "lraspp_mobilenet_v3_large",
]  # fmt: skip
FCN_ResNet50_Weights, FCN_ResNet101_Weights = ENUMS["fcn_resnet50"], ENUMS["fcn_resnet101"]
DeepLabV3_ResNet50_Weights = ENUMS["deeplabv3_resnet50"]
DeepLabV3_ResNet101_Weights = ENUMS["deeplabv3_resnet101"]
DeepLabV3_MobileNet_V3_Large_Weights = ENUMS["deeplabv3_mobilenet_v3_large"]
LRASPP_MobileNet_V3_Large_Weights = ENUMS["lraspp_mobilenet_v3_large"]


class _SimpleSegmentationModel(nn.Module):
    def __init__(
        self, backbone: nn.Module, classifier: nn.Module, aux_classifier: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        size = x.shape[-2:]
        features = self.backbone(x)
        result: dict[str, Tensor] = OrderedDict()
        for name, head, key in (
            ("out", self.classifier, "out"),
            ("aux", self.aux_classifier, "aux"),
        ):
            if head is not None:
                logits = head(features[key])
                result[name] = F.interpolate(
                    logits, size=size, mode="bilinear", align_corners=False
                )
        return result


class FCN(_SimpleSegmentationModel):
    """A fully convolutional network."""


class DeepLabV3(_SimpleSegmentationModel):
    """Atrous convolutions of several rates."""


class FCNHead(nn.Sequential):
    """Two convolutions that classify each place."""

    def __init__(self, in_channels: int, channels: int) -> None:
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False), nn.BatchNorm2d(inner),
            nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(inner, channels, 1),
        )  # fmt: skip


class ASPPConv(nn.Sequential):
    """An atrous convolution."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=False
            ),
            nn.BatchNorm2d(out_channels), nn.ReLU(),
        )  # fmt: skip


class ASPPPooling(nn.Sequential):
    """What the whole image says, at each place."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        for module in self:
            x = module(x)
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class ASPP(nn.Module):
    """Atrous convolutions of several rates side by side."""

    def __init__(
        self, in_channels: int, atrous_rates: Sequence[int], out_channels: int = 256
    ) -> None:
        super().__init__()
        modules: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            )
        ]  # fmt: skip
        modules += [ASPPConv(in_channels, out_channels, rate) for rate in atrous_rates]
        modules.append(ASPPPooling(in_channels, out_channels))
        self.convs = nn.ModuleList(modules)
        self.project = nn.Sequential(
            nn.Conv2d(len(self.convs) * out_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels), nn.ReLU(), nn.Dropout(0.5),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.project(rl.cat([conv(x) for conv in self.convs], dim=1))


class DeepLabHead(nn.Sequential):
    """ASPP, then two convolutions that classify each place."""

    def __init__(
        self, in_channels: int, num_classes: int, atrous_rates: Sequence[int] = (12, 24, 36)
    ) -> None:
        super().__init__(
            ASPP(in_channels, atrous_rates), nn.Conv2d(256, 256, 3, padding=1, bias=False),
            nn.BatchNorm2d(256), nn.ReLU(), nn.Conv2d(256, num_classes, 1),
        )  # fmt: skip


class LRASPPHead(nn.Module):
    """Fine features classified with the help of coarse ones."""

    def __init__(
        self, low_channels: int, high_channels: int, num_classes: int, inter_channels: int
    ) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )  # fmt: skip
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, input: dict[str, Tensor]) -> Tensor:
        low, high = input["low"], input["high"]
        x = self.cbr(high) * self.scale(high)
        x = F.interpolate(x, size=low.shape[-2:], mode="bilinear", align_corners=False)
        return self.low_classifier(low) + self.high_classifier(x)


class LRASPP(nn.Module):
    """Lite reduced ASPP."""

    def __init__(
        self, backbone: nn.Module, low_channels: int, high_channels: int, num_classes: int,
        inter_channels: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone = backbone
        self.classifier = LRASPPHead(low_channels, high_channels, num_classes, inter_channels)

    def forward(self, input: Tensor) -> dict[str, Tensor]:
        out = self.classifier(self.backbone(input))
        out = F.interpolate(out, size=input.shape[-2:], mode="bilinear", align_corners=False)
        result: dict[str, Tensor] = OrderedDict()
        result["out"] = out
        return result


def _on_resnet(
    kind: Any, head: Any, backbone: Any, num_classes: int = 21, aux_loss: bool | None = None,
    weights_backbone: Any = None, _weights: Any = None,
) -> Any:  # fmt: skip
    aux_loss = _weights is not None if aux_loss is None else aux_loss
    trained = None if _weights is not None else weights_backbone
    body = backbone(weights=trained, replace_stride_with_dilation=[False, True, True])
    layers = {"layer4": "out"} | ({"layer3": "aux"} if aux_loss else {})
    features = IntermediateLayerGetter(body, return_layers=layers)
    auxiliary = FCNHead(1024, num_classes) if aux_loss else None
    return kind(features, head(2048, num_classes), auxiliary)


def _stages(features: Any) -> list[int]:
    inner = [i for i, block in enumerate(features) if getattr(block, "_is_cn", False)]
    return [0, *inner, len(features) - 1]


def _deeplab_mobilenet(
    num_classes: int = 21, aux_loss: bool | None = None, weights_backbone: Any = None,
    _weights: Any = None,
) -> DeepLabV3:  # fmt: skip
    aux_loss = _weights is not None if aux_loss is None else aux_loss
    trained = None if _weights is not None else weights_backbone
    body = mobilenet_v3_large(weights=trained, dilated=True).features
    stages = _stages(body)
    out, aux = stages[-1], stages[-4]
    layers = {str(out): "out"} | ({str(aux): "aux"} if aux_loss else {})
    auxiliary = FCNHead(body[aux].out_channels, num_classes) if aux_loss else None
    head = DeepLabHead(body[out].out_channels, num_classes)
    return DeepLabV3(IntermediateLayerGetter(body, return_layers=layers), head, auxiliary)


def _lraspp(num_classes: int = 21, weights_backbone: Any = None, _weights: Any = None) -> LRASPP:
    trained = None if _weights is not None else weights_backbone
    body = mobilenet_v3_large(weights=trained, dilated=True).features
    stages = _stages(body)
    low, high = stages[-4], stages[-1]
    channels = body[low].out_channels, body[high].out_channels
    layers = {str(low): "low", str(high): "high"}
    return LRASPP(IntermediateLayerGetter(body, return_layers=layers), *channels, num_classes)


def _of(name: str, kind: Any, head: Any, backbone: Any) -> Any:
    return network(name, _on_resnet, kind=kind, head=head, backbone=backbone)


fcn_resnet50 = _of("fcn_resnet50", FCN, FCNHead, resnet50)
fcn_resnet101 = _of("fcn_resnet101", FCN, FCNHead, resnet101)
deeplabv3_resnet50 = _of("deeplabv3_resnet50", DeepLabV3, DeepLabHead, resnet50)
deeplabv3_resnet101 = _of("deeplabv3_resnet101", DeepLabV3, DeepLabHead, resnet101)
deeplabv3_mobilenet_v3_large = network("deeplabv3_mobilenet_v3_large", _deeplab_mobilenet)
lraspp_mobilenet_v3_large = network("lraspp_mobilenet_v3_large", _lraspp)
