"""ShuffleNet v2.  Source: Ma et al. 2018.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.vision.models._api import network


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels of the groups taken in turn."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, groups, channels // groups, height, width)
    return x.transpose(1, 2).reshape(batch, channels, height, width)


class InvertedResidual(nn.Module):
    """Half of the channels goes through, half goes around."""

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        self.stride = stride
        half = oup // 2
        if stride == 1 and inp != half << 1:
            raise ValueError(
                f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values."
            )
        if stride > 1:
            self.branch1 = nn.Sequential(
                _depthwise(inp, stride), nn.BatchNorm2d(inp),
                nn.Conv2d(inp, half, 1, 1, 0, bias=False), nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            )  # fmt: skip
        else:
            self.branch1 = nn.Sequential()
        self.branch2 = nn.Sequential(
            nn.Conv2d(inp if stride > 1 else half, half, 1, 1, 0, bias=False),
            nn.BatchNorm2d(half), nn.ReLU(inplace=True), _depthwise(half, stride),
            nn.BatchNorm2d(half), nn.Conv2d(half, half, 1, 1, 0, bias=False),
            nn.BatchNorm2d(half), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            around, through = x.chunk(2, dim=1)
            return channel_shuffle(rl.cat((around, self.branch2(through)), 1), 2)
        return channel_shuffle(rl.cat((self.branch1(x), self.branch2(x)), 1), 2)


def _depthwise(width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, stride, 1, bias=False, groups=width)


class ShuffleNetV2(nn.Module):
    """Three stages of shuffled residuals."""

    def __init__(
        self, stages_repeats: list[int], stages_out_channels: list[int], num_classes: int = 1000
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        first, *middle, last = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        width = first
        stages = []
        for repeats, output in zip(stages_repeats, middle):
            blocks = [InvertedResidual(width, output, 2)]
            blocks += [InvertedResidual(output, output, 1) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(*blocks))
            width = output
        self.stage2, self.stage3, self.stage4 = stages
        self.conv5 = nn.Sequential(
            nn.Conv2d(width, last, 1, 1, 0, bias=False), nn.BatchNorm2d(last),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.fc = nn.Linear(last, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage2(self.maxpool(self.conv1(x)))
        x = self.conv5(self.stage4(self.stage3(x)))
        return self.fc(x.mean([2, 3]))


def _of(name: str, widths: list[int]) -> Any:
    return network(name, ShuffleNetV2, stages_repeats=[4, 8, 4], stages_out_channels=widths)


shufflenet_v2_x0_5 = _of("shufflenet_v2_x0_5", [24, 48, 96, 192, 1024])
shufflenet_v2_x1_0 = _of("shufflenet_v2_x1_0", [24, 116, 232, 464, 1024])
shufflenet_v2_x1_5 = _of("shufflenet_v2_x1_5", [24, 176, 352, 704, 1024])
shufflenet_v2_x2_0 = _of("shufflenet_v2_x2_0", [24, 244, 488, 976, 2048])
