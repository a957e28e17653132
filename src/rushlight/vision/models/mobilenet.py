"""Networks for phones: MobileNet v2 and v3, MnasNet, ShuffleNet v2.

Sources: Sandler et al. 2018; Howard et al. 2019; Tan et al. 2019; Ma et al. 2018.
In: (N, 3, H, W).  Level 14.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.ops.layers import Conv2dNormActivation
from rushlight.vision.ops.layers import SqueezeExcitation as SElayer

MobileNet_V2_Weights = ENUMS["mobilenet_v2"]


def make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """The nearest multiple, but never less than nine tenths of the number."""
    least = divisor if min_value is None else min_value
    found = max(least, int(v + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * v else found


_make_divisible = make_divisible


def _draw_weights(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, 0, 0.01)
            init.zeros_(module.bias)


# ---- MobileNet v2 ------------------------------------------------------------------------------


class InvertedResidual(nn.Module):
    """Wide in the middle, narrow at both ends."""

    def __init__(
        self, inp: int, oup: int, stride: int, expand_ratio: int,
        norm_layer: Callable[..., nn.Module] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stride = stride
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, **options))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, **options),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


_V2_STAGES = [
    [1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2],
    [6, 320, 1, 1],
]  # fmt: skip


class MobileNetV2(nn.Module):
    """Inverted residuals; `width_mult` scales all widths."""

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0,
        inverted_residual_setting: list[list[int]] | None = None, round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        block = block or InvertedResidual
        norm = norm_layer or nn.BatchNorm2d
        stages = inverted_residual_setting or _V2_STAGES
        if len(stages) == 0 or len(stages[0]) != 4:
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, got"
                f" {inverted_residual_setting}"
            )
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2, **options)]
        for expansion, width, count, stride in stages:
            output = make_divisible(width * width_mult, round_nearest)
            for i in range(count):
                step = stride if i == 0 else 1
                features.append(
                    block(channels, output, step, expand_ratio=expansion, norm_layer=norm)
                )
                channels = output
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **options))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        _draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(rl.flatten(x, 1))


mobilenet_v2 = network("mobilenet_v2", MobileNetV2)

# ---- MobileNet v3 ------------------------------------------------------------------------------


class InvertedResidualConfig:
    """One row of the paper's tables."""

    def __init__(
        self, input_channels: int, kernel: int, expanded_channels: int, out_channels: int,
        use_se: bool, activation: str, stride: int, dilation: int, width_mult: float,
    ) -> None:  # fmt: skip
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """The width, scaled."""
        return make_divisible(channels * width_mult, 8)


_HARD_SE = partial(SElayer, scale_activation=nn.Hardsigmoid)


class InvertedResidualV3(nn.Module):
    """Inverted residual with squeeze and excitation, by its row."""

    def __init__(
        self, cnf: InvertedResidualConfig, norm_layer: Callable[..., nn.Module],
        se_layer: Callable[..., nn.Module] = _HARD_SE,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        activation = nn.Hardswish if cnf.use_hs else nn.ReLU
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": activation}
        layers: list[nn.Module] = []
        hidden = cnf.expanded_channels
        if hidden != cnf.input_channels:
            layers.append(
                Conv2dNormActivation(cnf.input_channels, hidden, kernel_size=1, **options)
            )
        stride = 1 if cnf.dilation > 1 else cnf.stride
        layers.append(
            Conv2dNormActivation(
                hidden, hidden, kernel_size=cnf.kernel, stride=stride, dilation=cnf.dilation,
                groups=hidden, **options,
            )
        )  # fmt: skip
        if cnf.use_se:
            layers.append(se_layer(hidden, make_divisible(hidden // 4, 8)))
        options["activation_layer"] = None
        layers.append(Conv2dNormActivation(hidden, cnf.out_channels, kernel_size=1, **options))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        return input + self.block(input) if self.use_res_connect else self.block(input)


class MobileNetV3(nn.Module):
    """Blocks by a table found by search."""

    def __init__(
        self, inverted_residual_setting: list[InvertedResidualConfig], last_channel: int,
        num_classes: int = 1000, block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None, dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        if not inverted_residual_setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        block = block or InvertedResidualV3
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        first = inverted_residual_setting[0].input_channels
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **options)
        ]
        layers += [block(row, norm) for row in inverted_residual_setting]
        width = inverted_residual_setting[-1].out_channels
        layers.append(Conv2dNormActivation(width, 6 * width, kernel_size=1, **options))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * width, last_channel), nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True), nn.Linear(last_channel, num_classes),
        )  # fmt: skip
        _draw_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


_LARGE = """16 3 16 16 - RE 1 | 16 3 64 24 - RE 2 | 24 3 72 24 - RE 1 | 24 5 72 40 se RE 2
| 40 5 120 40 se RE 1 | 40 5 120 40 se RE 1 | 40 3 240 80 - HS 2 | 80 3 200 80 - HS 1
| 80 3 184 80 - HS 1 | 80 3 184 80 - HS 1 | 80 3 480 112 se HS 1 | 112 3 672 112 se HS 1
| 112 5 672 160* se HS 2* | 160* 5 960* 160* se HS 1* | 160* 5 960* 160* se HS 1*"""
_SMALL = """16 3 16 16 se RE 2 | 16 3 72 24 - RE 2 | 24 3 88 24 - RE 1 | 24 5 96 40 se HS 2
| 40 5 240 40 se HS 1 | 40 5 240 40 se HS 1 | 40 5 120 48 se HS 1 | 48 5 144 48 se HS 1
| 48 5 288 96* se HS 2* | 96* 5 576* 96* se HS 1* | 96* 5 576* 96* se HS 1*"""


def _v3(
    table: str, last: int, width_mult: float = 1.0, reduced_tail: bool = False,
    dilated: bool = False, **kwargs: Any,
) -> MobileNetV3:  # fmt: skip
    # A star marks what the last stage halves (widths) or dilates (strides) on request.
    divider = 2 if reduced_tail else 1
    rows = []
    for line in table.replace("\n", " ").split("|"):
        words = line.split()
        sizes: list[Any] = [
            int(word.rstrip("*")) // (divider if word.endswith("*") else 1)
            for word in (words[0], words[1], words[2], words[3])
        ]
        dilation = 2 if dilated and words[6].endswith("*") else 1
        rows.append(
            InvertedResidualConfig(
                sizes[0],
                sizes[1],
                sizes[2],
                sizes[3],
                words[4] == "se",
                words[5],
                int(words[6][0]),
                dilation,
                width_mult,
            )
        )
    channels = InvertedResidualConfig.adjust_channels(last // divider, width_mult)
    return MobileNetV3(rows, channels, **kwargs)


mobilenet_v3_large = network("mobilenet_v3_large", _v3, table=_LARGE, last=1280)
mobilenet_v3_small = network("mobilenet_v3_small", _v3, table=_SMALL, last=1024)
