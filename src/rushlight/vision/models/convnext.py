"""ConvNeXt.  Source: Liu et al. 2022.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

from functools import partial
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network
from rushlight.vision.ops.layers import Conv2dNormActivation, Permute, StochasticDepth


class LayerNorm2d(nn.LayerNorm):
    """Normalization of the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """A depthwise convolution and two linear layers, scaled."""

    def __init__(
        self, dim: int, layer_scale: float, stochastic_depth_prob: float, norm_layer: Any = None
    ) -> None:
        super().__init__()
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]), norm(dim),
            nn.Linear(in_features=dim, out_features=4 * dim, bias=True), nn.GELU(),
            nn.Linear(in_features=4 * dim, out_features=dim, bias=True), Permute([0, 3, 1, 2]),
        )  # fmt: skip
        self.layer_scale = nn.Parameter(rl.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Tensor) -> Tensor:
        return self.stochastic_depth(self.layer_scale * self.block(input)) + input


class ConvNeXt(nn.Module):
    """Stages of blocks; each row of the setting: width, next width (0: last), blocks."""

    def __init__(
        self, block_setting: list[tuple[int, int, int]], stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6, num_classes: int = 1000, block: Any = None,
        norm_layer: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        block = block or CNBlock
        norm = norm_layer or partial(LayerNorm2d, eps=1e-6)
        first = block_setting[0][0]
        layers: list[nn.Module] = [
            Conv2dNormActivation(
                3, first, kernel_size=4, stride=4, padding=0, norm_layer=norm,
                activation_layer=None, bias=True,
            )
        ]  # fmt: skip
        total = sum(row[2] for row in block_setting)
        number = 0
        for width, output, count in block_setting:
            stage = []
            for _ in range(count):
                drop = stochastic_depth_prob * number / (total - 1.0)
                stage.append(block(width, layer_scale, drop))
                number += 1
            layers.append(nn.Sequential(*stage))
            if output:
                layers.append(
                    nn.Sequential(norm(width), nn.Conv2d(width, output, kernel_size=2, stride=2))
                )
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1][1] or block_setting[-1][0]
        self.classifier = nn.Sequential(norm(last), nn.Flatten(1), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))


def _convnext(widths: tuple[int, ...], depth: int, drop: float, **kwargs: Any) -> ConvNeXt:
    a, b, c, d = widths
    kwargs.setdefault("stochastic_depth_prob", drop)
    return ConvNeXt([(a, b, 3), (b, c, 3), (c, d, depth), (d, 0, 3)], **kwargs)


def _of(name: str, widths: tuple[int, ...], depth: int, drop: float) -> Any:
    return network(name, _convnext, widths=widths, depth=depth, drop=drop)


convnext_tiny = _of("convnext_tiny", (96, 192, 384, 768), 9, 0.1)
convnext_small = _of("convnext_small", (96, 192, 384, 768), 27, 0.4)
convnext_base = _of("convnext_base", (128, 256, 512, 1024), 27, 0.5)
convnext_large = _of("convnext_large", (192, 384, 768, 1536), 27, 0.5)
