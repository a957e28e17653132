"""EfficientNet v1 and v2.  Sources: Tan and Le 2019 and 2021.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network
from rushlight.vision.models.mobilenet import make_divisible
from rushlight.vision.ops.layers import Conv2dNormActivation, SqueezeExcitation, StochasticDepth


@dataclass
class MBConvConfig:
    """One row of the paper's tables; `fused` for those of version 2."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    fused: bool = False


def _wide(width: float, ratio: float) -> int:
    return make_divisible(width * ratio, 8)


class MBConv(nn.Module):
    """Inverted residual with squeeze and excitation."""

    def __init__(
        self, cnf: MBConvConfig, drop: float, norm_layer: Callable[..., nn.Module]
    ) -> None:
        super().__init__()
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        hidden = _wide(cnf.input_channels, cnf.expand_ratio)
        layers: list[nn.Module] = []
        if hidden != cnf.input_channels:
            layers.append(
                Conv2dNormActivation(cnf.input_channels, hidden, kernel_size=1, **options)
            )
        layers.append(
            Conv2dNormActivation(
                hidden, hidden, kernel_size=cnf.kernel, stride=cnf.stride, groups=hidden, **options
            )
        )
        squeeze = max(1, cnf.input_channels // 4)
        layers.append(SqueezeExcitation(hidden, squeeze, activation=partial(nn.SiLU, inplace=True)))
        options["activation_layer"] = None
        layers.append(Conv2dNormActivation(hidden, cnf.out_channels, kernel_size=1, **options))
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        result = self.block(input)
        return self.stochastic_depth(result) + input if self.use_res_connect else result


class FusedMBConv(nn.Module):
    """Inverted residual whose first two convolutions are one."""

    def __init__(
        self, cnf: MBConvConfig, drop: float, norm_layer: Callable[..., nn.Module]
    ) -> None:
        super().__init__()
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        hidden = _wide(cnf.input_channels, cnf.expand_ratio)
        shape: dict[str, Any] = {"kernel_size": cnf.kernel, "stride": cnf.stride}
        if hidden != cnf.input_channels:
            layers = [Conv2dNormActivation(cnf.input_channels, hidden, **shape, **options)]
            options["activation_layer"] = None
            layers.append(Conv2dNormActivation(hidden, cnf.out_channels, kernel_size=1, **options))
        else:
            layers = [
                Conv2dNormActivation(cnf.input_channels, cnf.out_channels, **shape, **options)
            ]
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        result = self.block(input)
        return self.stochastic_depth(result) + input if self.use_res_connect else result


class EfficientNet(nn.Module):
    """Stages of (fused) inverted residuals."""

    def __init__(
        self, inverted_residual_setting: list[MBConvConfig], dropout: float,
        stochastic_depth_prob: float = 0.2, num_classes: int = 1000,
        norm_layer: Callable[..., nn.Module] | None = None, last_channel: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        norm = norm_layer or nn.BatchNorm2d
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.SiLU}
        first = inverted_residual_setting[0].input_channels
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **options)
        ]
        total = sum(row.num_layers for row in inverted_residual_setting)
        number = 0
        for row in inverted_residual_setting:
            stage: list[nn.Module] = []
            for _ in range(row.num_layers):
                block = copy.copy(row)
                if stage:
                    block.input_channels = block.out_channels
                    block.stride = 1
                drop = stochastic_depth_prob * float(number) / total
                stage.append((FusedMBConv if row.fused else MBConv)(block, drop, norm))
                number += 1
            layers.append(nn.Sequential(*stage))
        width = inverted_residual_setting[-1].out_channels
        last = 4 * width if last_channel is None else last_channel
        layers.append(Conv2dNormActivation(width, last, kernel_size=1, **options))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(last, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                init.ones_(module.weight)
                init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.out_features)
                init.uniform_(module.weight, -bound, bound)
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


# Expansion, kernel, stride, width in, width out, layers.
_V1 = (
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2), (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4), (6, 3, 1, 192, 320, 1),
)  # fmt: skip
# The same, with whether it is fused.
_S = (
    (1, 3, 1, 24, 24, 2, True), (4, 3, 2, 24, 48, 4, True), (4, 3, 2, 48, 64, 4, True),
    (4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15),
)  # fmt: skip
_M = (
    (1, 3, 1, 24, 24, 3, True), (4, 3, 2, 24, 48, 5, True), (4, 3, 2, 48, 80, 5, True),
    (4, 3, 2, 80, 160, 7), (6, 3, 1, 160, 176, 14), (6, 3, 2, 176, 304, 18), (6, 3, 1, 304, 512, 5),
)  # fmt: skip
_L = (
    (1, 3, 1, 32, 32, 4, True), (4, 3, 2, 32, 64, 7, True), (4, 3, 2, 64, 96, 7, True),
    (4, 3, 2, 96, 192, 10), (6, 3, 1, 192, 224, 19), (6, 3, 2, 224, 384, 25),
    (6, 3, 1, 384, 640, 7),
)  # fmt: skip


def _v1(
    width_mult: float, depth_mult: float, dropout: float, norm: Any = None, **kwargs: Any
) -> EfficientNet:
    rows = [
        MBConvConfig(e, k, s, _wide(i, width_mult), _wide(o, width_mult), math.ceil(n * depth_mult))
        for e, k, s, i, o, n in _V1
    ]
    kwargs.setdefault("norm_layer", norm)
    return EfficientNet(rows, kwargs.pop("dropout", dropout), **kwargs)


def _v2(rows: Any, drop: float, norm: Any = None, **kwargs: Any) -> EfficientNet:
    kwargs.setdefault("norm_layer", norm)
    kwargs.setdefault("dropout", drop)
    return EfficientNet([MBConvConfig(*row) for row in rows], last_channel=1280, **kwargs)


def _number(i: int, width: float, depth: float, dropout: float, norm: Any = None) -> Any:
    return network(
        f"efficientnet_b{i}", _v1, width_mult=width, depth_mult=depth, dropout=dropout, norm=norm
    )


_SLOW = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
_FINE = partial(nn.BatchNorm2d, eps=1e-03)
efficientnet_b0 = _number(0, 1.0, 1.0, 0.2)
efficientnet_b1 = _number(1, 1.0, 1.1, 0.2)
efficientnet_b2 = _number(2, 1.1, 1.2, 0.3)
efficientnet_b3 = _number(3, 1.2, 1.4, 0.3)
efficientnet_b4 = _number(4, 1.4, 1.8, 0.4)
efficientnet_b5 = _number(5, 1.6, 2.2, 0.4, _SLOW)
efficientnet_b6 = _number(6, 1.8, 2.6, 0.5, _SLOW)
efficientnet_b7 = _number(7, 2.0, 3.1, 0.5, _SLOW)
efficientnet_v2_s = network("efficientnet_v2_s", _v2, rows=_S, drop=0.2, norm=_FINE)
efficientnet_v2_m = network("efficientnet_v2_m", _v2, rows=_M, drop=0.3, norm=_FINE)
efficientnet_v2_l = network("efficientnet_v2_l", _v2, rows=_L, drop=0.4, norm=_FINE)
