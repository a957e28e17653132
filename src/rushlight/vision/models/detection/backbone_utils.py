"""Classifiers as backbones of detectors, with a feature pyramid.

In: images (N, 3, H, W).  Out: a dict of feature maps of one width, finest first.  Level 14.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import Tensor, nn
from rushlight.vision.models import mobilenet, resnet
from rushlight.vision.models._api import get_model_builder
from rushlight.vision.models.features import IntermediateLayerGetter
from rushlight.vision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelMaxPool,
)
from rushlight.vision.ops.layers import FrozenBatchNorm2d

Norm = Callable[..., nn.Module]


class BackboneWithFPN(nn.Module):
    """A network's inner features, and a pyramid of them.

    return_layers: names of the network's children, each with the name of its features.
    """

    def __init__(
        self, backbone: nn.Module, return_layers: dict[str, str], in_channels_list: list[int],
        out_channels: int, extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Norm | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.body = IntermediateLayerGetter(backbone, return_layers=return_layers)
        self.fpn = FeaturePyramidNetwork(
            in_channels_list, out_channels, extra_blocks or LastLevelMaxPool(), norm_layer
        )
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.fpn(self.body(x))


def _resnet_fpn_extractor(
    backbone: Any, trainable_layers: int, returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None, norm_layer: Norm | None = None,
) -> BackboneWithFPN:  # fmt: skip
    """A pyramid on a ResNet; only the last `trainable_layers` of its five parts learn."""
    if not 0 <= trainable_layers <= 5:
        raise ValueError(f"Trainable layers should be in the range [0,5], got {trainable_layers}")
    learning = ["layer4", "layer3", "layer2", "layer1", "conv1"][:trainable_layers]
    if trainable_layers == 5:
        learning.append("bn1")
    for name, parameter in backbone.named_parameters():
        if not name.startswith(tuple(learning)):
            parameter.requires_grad_(False)
    returned = returned_layers or [1, 2, 3, 4]
    if min(returned) <= 0 or max(returned) >= 5:
        raise ValueError(f"Each returned layer should be in the range [1,4]. Got {returned_layers}")
    layers = {f"layer{k}": str(i) for i, k in enumerate(returned)}
    first = backbone.inplanes // 8
    widths = [first * 2 ** (k - 1) for k in returned]
    return BackboneWithFPN(backbone, layers, widths, 256, extra_blocks, norm_layer)


def _mobilenet_extractor(
    backbone: Any, fpn: bool, trainable_layers: int, returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None, norm_layer: Norm | None = None,
) -> nn.Module:  # fmt: skip
    """A pyramid on a MobileNet, or its last features alone."""
    body = backbone.features
    stages = [0, *(i for i, b in enumerate(body) if getattr(b, "_is_cn", False)), len(body) - 1]
    count = len(stages)
    if not 0 <= trainable_layers <= count:
        raise ValueError(
            f"Trainable layers should be in the range [0,{count}], got {trainable_layers} "
        )
    frozen = len(body) if trainable_layers == 0 else stages[count - trainable_layers]
    for block in body[:frozen]:
        for parameter in block.parameters():
            parameter.requires_grad_(False)
    if not fpn:
        narrow = nn.Sequential(body, nn.Conv2d(body[-1].out_channels, 256, 1))
        narrow.out_channels = 256
        return narrow
    returned = returned_layers or [count - 2, count - 1]
    if min(returned) < 0 or max(returned) >= count:
        raise ValueError(
            f"Each returned layer should be in the range [0,{count - 1}], got {returned_layers} "
        )
    layers = {f"{stages[k]}": str(i) for i, k in enumerate(returned)}
    widths = [body[stages[k]].out_channels for k in returned]
    return BackboneWithFPN(body, layers, widths, 256, extra_blocks, norm_layer)


def resnet_fpn_backbone(
    *, backbone_name: str, weights: Any = None, norm_layer: Norm = FrozenBatchNorm2d,
    trainable_layers: int = 3, returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
) -> BackboneWithFPN:  # fmt: skip
    """A pyramid on the ResNet of that name."""
    body = get_model_builder(backbone_name)(weights=weights, norm_layer=norm_layer)
    assert isinstance(body, resnet.ResNet)
    return _resnet_fpn_extractor(body, trainable_layers, returned_layers, extra_blocks)


def mobilenet_backbone(
    *, backbone_name: str, fpn: bool, weights: Any = None, norm_layer: Norm = FrozenBatchNorm2d,
    trainable_layers: int = 2, returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
) -> nn.Module:  # fmt: skip
    """The MobileNet of that name, with a pyramid if asked."""
    body = get_model_builder(backbone_name)(weights=weights, norm_layer=norm_layer)
    assert isinstance(body, (mobilenet.MobileNetV2, mobilenet.MobileNetV3))
    return _mobilenet_extractor(body, fpn, trainable_layers, returned_layers, extra_blocks)
