"""Residual networks for videos: R3D, MC3 and R(2+1)D.  Source: Tran et al. 2018.

In: (N, 3, T, H, W).  Out: (N, classes).  Level 14.
"""

from __future__ import annotations

from typing import Any

from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network

R3D_18_Weights, MC3_18_Weights = ENUMS["r3d_18"], ENUMS["mc3_18"]
R2Plus1D_18_Weights = ENUMS["r2plus1d_18"]


class Conv3DSimple(nn.Conv3d):
    """A convolution of 3 × 3 × 3."""

    def __init__(
        self, in_planes: int, out_planes: int, midplanes: int | None = None, stride: int = 1,
        padding: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(in_planes, out_planes, (3, 3, 3), stride, padding, bias=False)

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """The stride of time and of both axes of the image."""
        return stride, stride, stride


class Conv2Plus1D(nn.Sequential):
    """A convolution over the image, then one over time."""

    def __init__(
        self, in_planes: int, out_planes: int, midplanes: int, stride: int = 1, padding: int = 1
    ) -> None:
        super().__init__(
            nn.Conv3d(
                in_planes, midplanes, (1, 3, 3), (1, stride, stride), (0, padding, padding),
                bias=False,
            ),
            nn.BatchNorm3d(midplanes), nn.ReLU(inplace=True),
            nn.Conv3d(
                midplanes, out_planes, (3, 1, 1), (stride, 1, 1), (padding, 0, 0), bias=False
            ),
        )  # fmt: skip

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """The stride of time and of both axes of the image."""
        return stride, stride, stride


class Conv3DNoTemporal(nn.Conv3d):
    """A convolution over each image by itself."""

    def __init__(
        self, in_planes: int, out_planes: int, midplanes: int | None = None, stride: int = 1,
        padding: int = 1,
    ) -> None:  # fmt: skip
        super().__init__(
            in_planes, out_planes, (1, 3, 3), (1, stride, stride), (0, padding, padding),
            bias=False,
        )  # fmt: skip

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        """The stride of time and of both axes of the image."""
        return 1, stride, stride


def _between(inplanes: int, planes: int) -> int:
    """As many channels between two convolutions as give them the parameters of one of 3 × 3 × 3."""
    return (inplanes * planes * 27) // (inplanes * 9 + 3 * planes)


class BasicBlock(nn.Module):
    """Two convolutions and the way around them."""

    expansion = 1

    def __init__(
        self, inplanes: int, planes: int, conv_builder: Any, stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:  # fmt: skip
        middle = _between(inplanes, planes)
        super().__init__()
        self.conv1 = nn.Sequential(
            conv_builder(inplanes, planes, middle, stride), nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.conv2 = nn.Sequential(conv_builder(planes, planes, middle), nn.BatchNorm3d(planes))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """A convolution between two of 1 × 1 × 1, and the way around them."""

    expansion = 4

    def __init__(
        self, inplanes: int, planes: int, conv_builder: Any, stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        middle, wide = _between(inplanes, planes), planes * self.expansion
        self.conv1 = nn.Sequential(
            nn.Conv3d(inplanes, planes, kernel_size=1, bias=False), nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.conv2 = nn.Sequential(
            conv_builder(planes, planes, middle, stride), nn.BatchNorm3d(planes),
            nn.ReLU(inplace=True),
        )  # fmt: skip
        self.conv3 = nn.Sequential(
            nn.Conv3d(planes, wide, kernel_size=1, bias=False), nn.BatchNorm3d(wide)
        )
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv3(self.conv2(self.conv1(x)))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class BasicStem(nn.Sequential):
    """A convolution of 3 × 7 × 7."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
        )  # fmt: skip


class R2Plus1dStem(nn.Sequential):
    """A convolution over the image, then one over time."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False), nn.BatchNorm3d(45),
            nn.ReLU(inplace=True),
            nn.Conv3d(45, 64, (3, 1, 1), (1, 1, 1), (1, 0, 0), bias=False), nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
        )  # fmt: skip


class VideoResNet(nn.Module):
    """Four stages of residual blocks, each with a kind of convolution."""

    def __init__(
        self, block: Any, conv_makers: Any, layers: list[int], stem: Any, num_classes: int = 400,
        zero_init_residual: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inplanes = 64
        self.stem = stem()
        for i, planes in enumerate((64, 128, 256, 512)):
            stage = self._make_layer(block, conv_makers[i], planes, layers[i], 1 if i == 0 else 2)
            setattr(self, f"layer{i + 1}", stage)
        self.avgpool = nn.AdaptiveAvgPool3d((1, 1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    init.constant_(module.bias, 0)
            elif isinstance(module, nn.BatchNorm3d):
                init.constant_(module.weight, 1)
                init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                init.normal_(module.weight, 0, 0.01)
                init.constant_(module.bias, 0)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, Bottleneck):
                    init.constant_(module.conv3[1].weight, 0)

    def _make_layer(
        self, block: Any, conv_builder: Any, planes: int, blocks: int, stride: int
    ) -> nn.Sequential:
        wide, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != wide:
            steps = conv_builder.get_downsample_stride(stride)
            downsample = nn.Sequential(
                nn.Conv3d(self.inplanes, wide, kernel_size=1, stride=steps, bias=False),
                nn.BatchNorm3d(wide),
            )
        stage = [block(self.inplanes, planes, conv_builder, stride, downsample)]
        self.inplanes = wide
        stage += [block(self.inplanes, planes, conv_builder) for _ in range(1, blocks)]
        return nn.Sequential(*stage)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(self.avgpool(x).flatten(1))


def _of(name: str, makers: list[Any], stem: Any) -> Any:
    fixed: dict[str, Any] = {"block": BasicBlock, "layers": [2, 2, 2, 2]}
    return network(name, VideoResNet, conv_makers=makers, stem=stem, **fixed)


r3d_18 = _of("r3d_18", [Conv3DSimple] * 4, BasicStem)
mc3_18 = _of("mc3_18", [Conv3DSimple, *[Conv3DNoTemporal] * 3], BasicStem)
r2plus1d_18 = _of("r2plus1d_18", [Conv2Plus1D] * 4, R2Plus1dStem)
