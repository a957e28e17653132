"""VGG.  Source: Simonyan and Zisserman 2015.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network

# Widths of the convolutions; 0 halves the image.
_A = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
_B = (64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
_D = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
_E = (64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4, 0)
_WIDTHS = {"vgg11": _A, "vgg13": _B, "vgg16": _D, "vgg19": _E}


class VGG(nn.Module):
    """Convolutions of 3 × 3 and three linear layers."""

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    if module.bias is not None:
                        init.constant_(module.bias, 0)
                elif isinstance(module, nn.BatchNorm2d):
                    init.constant_(module.weight, 1)
                    init.constant_(module.bias, 0)
                elif isinstance(module, nn.Linear):
                    init.normal_(module.weight, 0, 0.01)
                    init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))


def make_layers(widths: tuple[int, ...], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions."""
    layers: list[nn.Module] = []
    channels = 3
    for width in widths:
        if width == 0:
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _vgg(kind: str, batch_norm: bool, _weights: Any = None, **kwargs: Any) -> VGG:
    if _weights is not None:
        kwargs["init_weights"] = False
    return VGG(make_layers(_WIDTHS[kind], batch_norm), **kwargs)


vgg11 = network("vgg11", _vgg, kind="vgg11", batch_norm=False)
vgg11_bn = network("vgg11_bn", _vgg, kind="vgg11", batch_norm=True)
vgg13 = network("vgg13", _vgg, kind="vgg13", batch_norm=False)
vgg13_bn = network("vgg13_bn", _vgg, kind="vgg13", batch_norm=True)
vgg16 = network("vgg16", _vgg, kind="vgg16", batch_norm=False)
vgg16_bn = network("vgg16_bn", _vgg, kind="vgg16", batch_norm=True)
vgg19 = network("vgg19", _vgg, kind="vgg19", batch_norm=False)
vgg19_bn = network("vgg19_bn", _vgg, kind="vgg19", batch_norm=True)
VGG11_Weights, VGG16_Weights = ENUMS["vgg11"], ENUMS["vgg16"]
