"""DenseNet.  Source: Huang et al. 2017.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network

_OLD_NAME = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\..*)$")


class _DenseLayer(nn.Module):
    def __init__(
        self, channels: int, growth_rate: int, bn_size: int, drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, bn_size * growth_rate, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(
            bn_size * growth_rate, growth_rate, kernel_size=3, padding=1, bias=False
        )
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def forward(self, input: list[Tensor]) -> Tensor:
        narrow = self.conv1(self.relu1(self.norm1(rl.cat(input, 1))))
        new = self.conv2(self.relu2(self.norm2(narrow)))
        return (
            F.dropout(new, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else new
        )


class _DenseBlock(nn.ModuleDict):
    def __init__(
        self, num_layers: int, channels: int, bn_size: int, growth_rate: int, drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        for i in range(num_layers):
            width = channels + i * growth_rate
            layer = _DenseLayer(width, growth_rate, bn_size, drop_rate, memory_efficient)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return rl.cat(features, 1)


class _Transition(nn.Sequential):
    def __init__(self, channels: int, output: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, output, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Blocks whose layers see all earlier ones."""

    def __init__(
        self, growth_rate: int = 32, block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64, bn_size: int = 4, drop_rate: float = 0,
        num_classes: int = 1000, memory_efficient: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = nn.Sequential(
            OrderedDict([
                ("conv0", nn.Conv2d(3, num_init_features, 7, stride=2, padding=3, bias=False)),
                ("norm0", nn.BatchNorm2d(num_init_features)),
                ("relu0", nn.ReLU(inplace=True)),
                ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
            ])
        )  # fmt: skip
        width = num_init_features
        for i, num_layers in enumerate(block_config):
            block = _DenseBlock(
                num_layers, width, bn_size, growth_rate, drop_rate, memory_efficient
            )
            self.features.add_module(f"denseblock{i + 1}", block)
            width += num_layers * growth_rate
            if i != len(block_config) - 1:
                self.features.add_module(f"transition{i + 1}", _Transition(width, width // 2))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                init.constant_(module.weight, 1)
                init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                init.constant_(module.bias, 0)

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        # Older files write `norm.1.weight` where newer ones write `norm1.weight`.
        renamed = {_OLD_NAME.sub(r"\1\2", key): value for key, value in state_dict.items()}
        return super().load_state_dict(renamed, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.features(x), inplace=True)
        return self.classifier(rl.flatten(F.adaptive_avg_pool2d(out, (1, 1)), 1))


def _of(name: str, growth: int, blocks: tuple[int, ...], width: int) -> Any:
    return network(name, DenseNet, growth_rate=growth, block_config=blocks, num_init_features=width)


densenet121 = _of("densenet121", 32, (6, 12, 24, 16), 64)
densenet161 = _of("densenet161", 48, (6, 12, 36, 24), 96)
densenet169 = _of("densenet169", 32, (6, 12, 32, 32), 64)
densenet201 = _of("densenet201", 32, (6, 12, 48, 32), 64)
