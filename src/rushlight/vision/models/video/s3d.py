"""S3D: Inception for videos, convolutions split into image and time.  Source: Xie et al. 2018.

In: (N, 3, T, H, W), at least 14 frames of 224 × 224.  Out: (N, classes).  Level 14.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.ops.layers import Conv3dNormActivation

S3D_Weights = ENUMS["s3d"]


class TemporalSeparableConv(nn.Sequential):
    """A convolution over the image, then one over time."""

    def __init__(
        self, in_planes: int, out_planes: int, kernel_size: int, stride: int, padding: int,
        norm_layer: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            Conv3dNormActivation(
                in_planes, out_planes, kernel_size=(1, kernel_size, kernel_size),
                stride=(1, stride, stride), padding=(0, padding, padding), bias=False,
                norm_layer=norm_layer,
            ),
            Conv3dNormActivation(
                out_planes, out_planes, kernel_size=(kernel_size, 1, 1), stride=(stride, 1, 1),
                padding=(padding, 0, 0), bias=False, norm_layer=norm_layer,
            ),
        )  # fmt: skip


class SepInceptionBlock3D(nn.Module):
    """Four ways side by side."""

    def __init__(
        self, in_planes: int, b0_out: int, b1_mid: int, b1_out: int, b2_mid: int, b2_out: int,
        b3_out: int, norm_layer: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        point = partial(Conv3dNormActivation, kernel_size=1, stride=1, norm_layer=norm_layer)
        wide = partial(
            TemporalSeparableConv, kernel_size=3, stride=1, padding=1, norm_layer=norm_layer
        )
        self.branch0 = point(in_planes, b0_out)
        self.branch1 = nn.Sequential(point(in_planes, b1_mid), wide(b1_mid, b1_out))
        self.branch2 = nn.Sequential(point(in_planes, b2_mid), wide(b2_mid, b2_out))
        self.branch3 = nn.Sequential(
            nn.MaxPool3d(kernel_size=(3, 3, 3), stride=1, padding=1), point(in_planes, b3_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        ways = (self.branch0, self.branch1, self.branch2, self.branch3)
        return rl.cat([way(x) for way in ways], 1)


class S3D(nn.Module):
    """Inception blocks over videos."""

    def __init__(
        self, num_classes: int = 400, dropout: float = 0.2, norm_layer: Any = None
    ) -> None:
        super().__init__()
        norm = norm_layer or partial(nn.BatchNorm3d, eps=0.001, momentum=0.001)

        def halve_image() -> nn.Module:
            return nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

        mixed: Any = partial(SepInceptionBlock3D, norm_layer=norm)

        self.features = nn.Sequential(
            TemporalSeparableConv(3, 64, 7, 2, 3, norm), halve_image(),
            Conv3dNormActivation(64, 64, kernel_size=1, stride=1, norm_layer=norm),
            TemporalSeparableConv(64, 192, 3, 1, 1, norm), halve_image(),
            mixed(192, 64, 96, 128, 16, 32, 32), mixed(256, 128, 128, 192, 32, 96, 64),
            nn.MaxPool3d(kernel_size=(3, 3, 3), stride=(2, 2, 2), padding=(1, 1, 1)),
            mixed(480, 192, 96, 208, 16, 48, 64), mixed(512, 160, 112, 224, 24, 64, 64),
            mixed(512, 128, 128, 256, 24, 64, 64), mixed(512, 112, 144, 288, 32, 64, 64),
            mixed(528, 256, 160, 320, 32, 128, 128),
            nn.MaxPool3d(kernel_size=(2, 2, 2), stride=(2, 2, 2)),
            mixed(832, 256, 160, 320, 32, 128, 128), mixed(832, 384, 192, 384, 48, 128, 128),
        )  # fmt: skip
        self.avgpool = nn.AvgPool3d(kernel_size=(2, 7, 7), stride=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Conv3d(1024, num_classes, kernel_size=1, stride=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x))).mean(dim=(2, 3, 4))


s3d = network("s3d", S3D)
