"""RegNet.  Source: Radosavovic et al. 2020.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network
from rushlight.vision.models.mobilenet import make_divisible
from rushlight.vision.ops.layers import Conv2dNormActivation, SqueezeExcitation

Norm = Callable[..., nn.Module]


class BottleneckTransform(nn.Sequential):
    """Convolutions of 1, 3 and 1 with groups, and squeeze and excitation."""

    def __init__(
        self, width_in: int, width_out: int, stride: int, norm_layer: Norm,
        activation_layer: Norm, group_width: int, bottleneck_multiplier: float,
        se_ratio: float | None,
    ) -> None:  # fmt: skip
        width = round(width_out * bottleneck_multiplier)
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": activation_layer}
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["a"] = Conv2dNormActivation(width_in, width, kernel_size=1, stride=1, **options)
        layers["b"] = Conv2dNormActivation(
            width, width, kernel_size=3, stride=stride, groups=width // group_width, **options
        )
        if se_ratio:
            squeeze = round(se_ratio * width_in)
            layers["se"] = SqueezeExcitation(width, squeeze, activation=activation_layer)
        options["activation_layer"] = None
        layers["c"] = Conv2dNormActivation(width, width_out, kernel_size=1, stride=1, **options)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """The transform and the way around it."""

    def __init__(
        self, width_in: int, width_out: int, stride: int, norm_layer: Norm,
        activation_layer: Norm, group_width: int = 1, bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            self.proj = Conv2dNormActivation(
                width_in, width_out, kernel_size=1, stride=stride, norm_layer=norm_layer,
                activation_layer=None,
            )  # fmt: skip
        self.f = BottleneckTransform(
            width_in, width_out, stride, norm_layer, activation_layer, group_width,
            bottleneck_multiplier, se_ratio,
        )  # fmt: skip
        self.activation = activation_layer(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.proj is None else self.proj(x)
        return self.activation(around + self.f(x))


def stages_of(
    depth: int, w_0: int, w_a: float, w_m: float, group_width: int
) -> tuple[list[int], list[int], list[int]]:
    """(widths, depths, group widths) of the stages, by the paper's line of widths."""
    if w_a < 0 or w_0 <= 0 or w_m <= 1 or w_0 % 8 != 0:
        raise ValueError("Invalid RegNet settings")
    widths = []
    for i in range(depth):
        capacity = round(math.log((w_0 + w_a * i) / w_0) / math.log(w_m))
        widths.append(int(round(w_0 * w_m**capacity / 8) * 8))
    distinct = sorted(set(widths))
    depths = [widths.count(width) for width in distinct]
    groups = [min(group_width, width) for width in distinct]
    fitting = [make_divisible(width, group) for width, group in zip(distinct, groups)]
    return fitting, depths, groups


class RegNet(nn.Module):
    """Stages whose widths lie on a quantized line."""

    def __init__(
        self, block_params: dict[str, Any], num_classes: int = 1000, stem_width: int = 32,
        norm_layer: Norm | None = None, activation: Norm | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        norm, activation = norm_layer or nn.BatchNorm2d, activation or nn.ReLU
        self.stem = Conv2dNormActivation(
            3, stem_width, kernel_size=3, stride=2, norm_layer=norm, activation_layer=activation
        )
        params = dict(block_params)
        se_ratio = params.pop("se_ratio", None)
        width = stem_width
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        for i, (output, depth, group) in enumerate(zip(*stages_of(**params))):
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for j in range(depth):
                blocks[f"block{i + 1}-{j}"] = ResBottleneckBlock(
                    width if j == 0 else output, output, 2 if j == 0 else 1, norm, activation,
                    group, 1.0, se_ratio,
                )  # fmt: skip
            stages[f"block{i + 1}"] = nn.Sequential(blocks)
            width = output
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(in_features=width, out_features=num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                init.normal_(module.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))
            elif isinstance(module, nn.BatchNorm2d):
                init.ones_(module.weight)
                init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, mean=0.0, std=0.01)
                init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.trunk_output(self.stem(x)))
        return self.fc(x.flatten(start_dim=1))


_NORM = partial(nn.BatchNorm2d, eps=1e-05, momentum=0.1)


def _regnet(block_params: dict[str, Any], **kwargs: Any) -> RegNet:
    return RegNet(block_params, **{"norm_layer": _NORM, **kwargs})


def _of(name: str, depth: int, w_0: int, w_a: float, w_m: float, group_width: int) -> Any:
    params = {"depth": depth, "w_0": w_0, "w_a": w_a, "w_m": w_m, "group_width": group_width}
    if name.startswith("regnet_y"):
        params["se_ratio"] = 0.25
    return network(name, _regnet, block_params=params)


regnet_y_400mf = _of("regnet_y_400mf", 16, 48, 27.89, 2.09, 8)
regnet_y_800mf = _of("regnet_y_800mf", 14, 56, 38.84, 2.4, 16)
regnet_y_1_6gf = _of("regnet_y_1_6gf", 27, 48, 20.71, 2.65, 24)
regnet_y_3_2gf = _of("regnet_y_3_2gf", 21, 80, 42.63, 2.66, 24)
regnet_y_8gf = _of("regnet_y_8gf", 17, 192, 76.82, 2.19, 56)
regnet_y_16gf = _of("regnet_y_16gf", 18, 200, 106.23, 2.48, 112)
regnet_y_32gf = _of("regnet_y_32gf", 20, 232, 115.89, 2.53, 232)
regnet_y_128gf = _of("regnet_y_128gf", 27, 456, 160.83, 2.52, 264)
regnet_x_400mf = _of("regnet_x_400mf", 22, 24, 24.48, 2.54, 16)
regnet_x_800mf = _of("regnet_x_800mf", 16, 56, 35.73, 2.28, 16)
regnet_x_1_6gf = _of("regnet_x_1_6gf", 18, 80, 34.01, 2.25, 24)
regnet_x_3_2gf = _of("regnet_x_3_2gf", 25, 88, 26.31, 2.25, 48)
regnet_x_8gf = _of("regnet_x_8gf", 23, 80, 49.56, 2.88, 120)
regnet_x_16gf = _of("regnet_x_16gf", 22, 216, 55.59, 2.1, 128)
regnet_x_32gf = _of("regnet_x_32gf", 23, 320, 69.86, 2.0, 168)
