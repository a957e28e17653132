"""RAFT: where each pixel goes, improved step by step.  Source: Teed and Deng 2020.

In: two batches of images (N, 3, H, W) between -1 and 1, sides multiples of 8.  Out: a list of
flows (N, 2, H, W), the last the best.  Level 14.
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.ops.layers import Conv2dNormActivation

Raft_Large_Weights, Raft_Small_Weights = ENUMS["raft_large"], ENUMS["raft_small"]


def _around(in_channels: int, out_channels: int, norm_layer: Any, stride: int) -> nn.Module:
    return Conv2dNormActivation(
        in_channels, out_channels, norm_layer=norm_layer, kernel_size=1, stride=stride, bias=True,
        activation_layer=None,
    )  # fmt: skip


class ResidualBlock(nn.Module):
    """Two convolutions and the way around them."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm_layer: Any, stride: int = 1,
        always_project: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.convnormrelu1 = Conv2dNormActivation(
            in_channels, out_channels, 3, stride, norm_layer=norm_layer, bias=True
        )
        self.convnormrelu2 = Conv2dNormActivation(
            out_channels, out_channels, 3, norm_layer=norm_layer, bias=True
        )
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or always_project:
            self.downsample = _around(in_channels, out_channels, norm_layer, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.downsample(x) + self.convnormrelu2(self.convnormrelu1(x)))


class BottleneckBlock(nn.Module):
    """A narrow convolution between two of 1 × 1, and the way around them."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm_layer: Any, stride: int = 1
    ) -> None:
        super().__init__()
        narrow = out_channels // 4
        options: dict[str, Any] = {"norm_layer": norm_layer, "bias": True}
        self.convnormrelu1 = Conv2dNormActivation(in_channels, narrow, 1, **options)
        self.convnormrelu2 = Conv2dNormActivation(narrow, narrow, 3, stride, **options)
        self.convnormrelu3 = Conv2dNormActivation(narrow, out_channels, 1, **options)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1:
            self.downsample = _around(in_channels, out_channels, norm_layer, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convnormrelu3(self.convnormrelu2(self.convnormrelu1(x)))
        return self.relu(self.downsample(x) + y)


class FeatureEncoder(nn.Module):
    """Features of an eighth of the size."""

    def __init__(
        self, *, block: Any = ResidualBlock, layers: Any = (64, 64, 96, 128, 256),
        strides: Any = (2, 1, 2, 2), norm_layer: Any = nn.BatchNorm2d,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(layers) != 5:
            raise ValueError(f"The expected number of layers is 5, instead got {len(layers)}")
        self.convnormrelu = Conv2dNormActivation(
            3, layers[0], 7, strides[0], norm_layer=norm_layer, bias=True
        )
        for i in (1, 2, 3):
            first = block(layers[i - 1], layers[i], norm_layer=norm_layer, stride=strides[i])
            second = block(layers[i], layers[i], norm_layer=norm_layer, stride=1)
            setattr(self, f"layer{i}", nn.Sequential(first, second))
        self.conv = nn.Conv2d(layers[3], layers[4], kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)):
                if module.weight is not None:
                    init.constant_(module.weight, 1)
                if module.bias is not None:
                    init.constant_(module.bias, 0)
        self.output_dim = layers[-1]
        self.downsample_factor = 2 ** sum(stride == 2 for stride in strides)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(x)))))


class MotionEncoder(nn.Module):
    """Correlations and flow as features."""

    def __init__(
        self, *, in_channels_corr: int, corr_layers: Any = (256, 192), flow_layers: Any = (128, 64),
        out_channels: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(flow_layers) != 2:
            raise ValueError(
                f"The expected number of flow_layers is 2, instead got {len(flow_layers)}"
            )
        if len(corr_layers) not in (1, 2):
            raise ValueError(
                f"The number of corr_layers should be 1 or 2, instead got {len(corr_layers)}"
            )
        self.convcorr1 = Conv2dNormActivation(in_channels_corr, corr_layers[0], 1, norm_layer=None)
        self.convcorr2: nn.Module = nn.Identity()
        if len(corr_layers) == 2:
            self.convcorr2 = Conv2dNormActivation(
                corr_layers[0], corr_layers[1], kernel_size=3, norm_layer=None
            )
        self.convflow1 = Conv2dNormActivation(2, flow_layers[0], kernel_size=7, norm_layer=None)
        self.convflow2 = Conv2dNormActivation(
            flow_layers[0], flow_layers[1], kernel_size=3, norm_layer=None
        )
        # The flow itself is the last two channels.
        self.conv = Conv2dNormActivation(
            corr_layers[-1] + flow_layers[-1], out_channels - 2, kernel_size=3, norm_layer=None
        )
        self.out_channels = out_channels

    def forward(self, flow: Tensor, corr_features: Tensor) -> Tensor:
        corr = self.convcorr2(self.convcorr1(corr_features))
        moved = self.convflow2(self.convflow1(flow))
        return rl.cat([self.conv(rl.cat([corr, moved], dim=1)), flow], dim=1)


class ConvGRU(nn.Module):
    """A gated recurrent unit of convolutions."""

    def __init__(
        self, *, input_size: int, hidden_size: int, kernel_size: Any, padding: Any
    ) -> None:
        super().__init__()
        wide = hidden_size + input_size
        self.convz = nn.Conv2d(wide, hidden_size, kernel_size=kernel_size, padding=padding)
        self.convr = nn.Conv2d(wide, hidden_size, kernel_size=kernel_size, padding=padding)
        self.convq = nn.Conv2d(wide, hidden_size, kernel_size=kernel_size, padding=padding)

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        both = rl.cat([h, x], dim=1)
        z, r = rl.sigmoid(self.convz(both)), rl.sigmoid(self.convr(both))
        q = rl.tanh(self.convq(rl.cat([r * h, x], dim=1)))
        return (1 - z) * h + z * q


class RecurrentBlock(nn.Module):
    """One or two such units in turn."""

    def __init__(
        self, *, input_size: int, hidden_size: int, kernel_size: Any = ((1, 5), (5, 1)),
        padding: Any = ((0, 2), (2, 0)),
    ) -> None:  # fmt: skip
        super().__init__()
        if len(kernel_size) != len(padding) or len(kernel_size) not in (1, 2):
            raise ValueError(
                "kernel_size and padding should have one or two entries each, got"
                f" {kernel_size} and {padding}"
            )
        for i, (kernel, pad) in enumerate(zip(kernel_size, padding)):
            unit = ConvGRU(
                input_size=input_size, hidden_size=hidden_size, kernel_size=kernel, padding=pad
            )
            setattr(self, f"convgru{i + 1}", unit)
        self.hidden_size = hidden_size

    def forward(self, h: Tensor, x: Tensor) -> Tensor:
        for unit in self.children():
            h = unit(h, x)
        return h


class FlowHead(nn.Module):
    """How the flow changes."""

    def __init__(self, *, in_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, hidden_size, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden_size, 2, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.relu(self.conv1(x)))


class UpdateBlock(nn.Module):
    """One step: a new hidden state, and how the flow changes."""

    def __init__(
        self, *, motion_encoder: nn.Module, recurrent_block: Any, flow_head: nn.Module
    ) -> None:
        super().__init__()
        self.motion_encoder = motion_encoder
        self.recurrent_block = recurrent_block
        self.flow_head = flow_head
        self.hidden_state_size = recurrent_block.hidden_size

    def forward(
        self, hidden_state: Tensor, context: Tensor, corr_features: Tensor, flow: Tensor
    ) -> tuple[Tensor, Tensor]:
        motion = self.motion_encoder(flow, corr_features)
        hidden_state = self.recurrent_block(hidden_state, rl.cat([context, motion], dim=1))
        return hidden_state, self.flow_head(hidden_state)


class MaskPredictor(nn.Module):
    """How the flow of each pixel is mixed of its nine coarse neighbours."""

    def __init__(self, *, in_channels: int, hidden_size: int, multiplier: float = 0.25) -> None:
        super().__init__()
        self.convrelu = Conv2dNormActivation(in_channels, hidden_size, 3, norm_layer=None)
        self.conv = nn.Conv2d(hidden_size, 8 * 8 * 9, 1, padding=0)
        self.multiplier = multiplier

    def forward(self, x: Tensor) -> Tensor:
        return self.multiplier * self.conv(self.convrelu(x))


class CorrBlock(nn.Module):
    """How alike each place of one image is to those of the other, at several sizes."""

    def __init__(self, *, num_levels: int = 4, radius: int = 4) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.radius = radius
        self.corr_pyramid: list[Tensor] = []
        self.out_channels = num_levels * (2 * radius + 1) ** 2

    def build_pyramid(self, fmap1: Tensor, fmap2: Tensor) -> None:
        """Keep the correlations of two maps (N, C, h, w).  Raises: ValueError."""
        if fmap1.shape != fmap2.shape:
            raise ValueError(
                "Input feature maps should have the same shape, instead got"
                f" {tuple(fmap1.shape)} (fmap1.shape) != {tuple(fmap2.shape)} (fmap2.shape)"
            )
        n, c, h, w = fmap1.shape
        least = 2 * 2 ** (self.num_levels - 1)
        if min(h, w) < least:
            raise ValueError(
                "Feature maps are too small to be down-sampled by the correlation pyramid. H and W"
                f" of feature maps should be at least {least}; got: {(h, w)}. Remember that input"
                f" images to the model are downsampled by 8, so that means their dimensions should"
                f" be at least 8 * {least} = {8 * least}."
            )
        products = fmap1.flatten(2).transpose(1, 2) @ fmap2.flatten(2)
        volume = (products / math.sqrt(c)).reshape(n * h * w, 1, h, w)
        self.corr_pyramid = [volume]
        for _ in range(self.num_levels - 1):
            volume = F.avg_pool2d(volume, kernel_size=2, stride=2)
            self.corr_pyramid.append(volume)

    def index_pyramid(self, centroids_coords: Tensor) -> Tensor:
        """Correlations around places (N, 2, h, w): (N, out_channels, h, w)."""
        side = 2 * self.radius + 1
        steps = rl.linspace(-self.radius, self.radius, side)
        delta = rl.stack(rl.meshgrid(steps, steps, indexing="ij"), dim=-1)
        n, _, h, w = centroids_coords.shape
        centres = centroids_coords.permute(0, 2, 3, 1).reshape(n * h * w, 1, 1, 2)
        found = []
        for volume in self.corr_pyramid:
            at = centres + delta.reshape(1, side, side, 2)
            found.append(grid_sample(volume, at).reshape(n, h, w, -1))
            centres = centres / 2
        return rl.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()


def grid_sample(img: Tensor, absolute_grid: Tensor) -> Tensor:
    """Values at places (N, h, w, 2) given in pixels, (x, y)."""
    height, width = img.shape[-2:]
    x, y = absolute_grid[..., 0], absolute_grid[..., 1]
    x = 2 * x / (width - 1) - 1
    # One row has no extent: its coordinate stays as it is.
    y = 2 * y / (height - 1) - 1 if height > 1 else y
    return F.grid_sample(img, rl.stack([x, y], dim=-1), mode="bilinear", align_corners=True)


def make_coords_grid(batch_size: int, h: int, w: int) -> Tensor:
    """The place of each pixel, (N, 2, h, w), x first."""
    ys, xs = rl.meshgrid(rl.arange(h), rl.arange(w), indexing="ij")
    return rl.stack([xs, ys]).to(rl.float32).unsqueeze(0).repeat(batch_size, 1, 1, 1)


def upsample_flow(flow: Tensor, up_mask: Tensor | None = None, factor: int = 8) -> Tensor:
    """A flow (N, 2, h, w) of a larger image, mixed as `up_mask` (N, 9 * 64, h, w) says."""
    n, channels, h, w = flow.shape
    if up_mask is None:
        size = (h * factor, w * factor)
        return factor * F.interpolate(flow, size=size, mode="bilinear", align_corners=True)
    shares = rl.softmax(up_mask.reshape(n, 1, 9, factor, factor, h, w), dim=2)
    near = F.unfold(factor * flow, kernel_size=3, padding=1).reshape(n, channels, 9, 1, 1, h, w)
    mixed = rl.sum(shares * near, dim=2).permute(0, 1, 4, 2, 5, 3)
    return mixed.reshape(n, channels, factor * h, factor * w)


class RAFT(nn.Module):
    """Features of both images, their correlations, and steps of a recurrent unit."""

    def __init__(
        self, *, feature_encoder: Any, context_encoder: Any, corr_block: Any, update_block: Any,
        mask_predictor: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.feature_encoder = feature_encoder
        self.context_encoder = context_encoder
        self.corr_block = corr_block
        self.update_block = update_block
        self.mask_predictor = mask_predictor

    def forward(self, image1: Tensor, image2: Tensor, num_flow_updates: int = 12) -> list[Tensor]:
        n, _, h, w = image1.shape
        if (h, w) != tuple(image2.shape[-2:]):
            raise ValueError(
                f"input images should have the same shape, instead got ({h}, {w}) !="
                f" {tuple(image2.shape[-2:])}"
            )
        if h % 8 or w % 8:
            raise ValueError(
                f"input image H and W should be divisible by 8, instead got {h} (h) and {w} (w)"
            )
        first, second = self.feature_encoder(rl.cat([image1, image2], dim=0)).chunk(2, dim=0)
        self.corr_block.build_pyramid(first, second)
        context = self.context_encoder(image1)
        hidden_size = self.update_block.hidden_state_size
        hidden = rl.tanh(context[:, :hidden_size])
        context = F.relu(context[:, hidden_size:])
        start = make_coords_grid(n, h // 8, w // 8)
        at = start
        flows = []
        for _ in range(num_flow_updates):
            # Each step is learned by itself: no gradient to the steps before.
            at = at.detach()
            alike = self.corr_block.index_pyramid(centroids_coords=at)
            hidden, change = self.update_block(hidden, context, alike, at - start)
            at = at + change
            mask = None if self.mask_predictor is None else self.mask_predictor(hidden)
            flows.append(upsample_flow(at - start, mask))
        return flows


def _raft(
    block: Any, encoder_layers: Any, context_layers: Any, context_norm: Any, radius: int,
    corr_layers: Any, flow_layers: Any, motion_channels: int, hidden_size: int, kernels: Any,
    padding: Any, head_size: int, use_mask: bool, **kwargs: Any,
) -> RAFT:  # fmt: skip
    features = kwargs.pop("feature_encoder", None) or FeatureEncoder(
        block=block, layers=encoder_layers, norm_layer=nn.InstanceNorm2d
    )
    context = kwargs.pop("context_encoder", None) or FeatureEncoder(
        block=block, layers=context_layers, norm_layer=context_norm
    )
    correlations = kwargs.pop("corr_block", None) or CorrBlock(num_levels=4, radius=radius)
    update = kwargs.pop("update_block", None)
    if update is None:
        motion = MotionEncoder(
            in_channels_corr=correlations.out_channels, corr_layers=corr_layers,
            flow_layers=flow_layers, out_channels=motion_channels,
        )  # fmt: skip
        recurrent = RecurrentBlock(
            input_size=motion.out_channels + context_layers[-1] - hidden_size,
            hidden_size=hidden_size, kernel_size=kernels, padding=padding,
        )  # fmt: skip
        head = FlowHead(in_channels=hidden_size, hidden_size=head_size)
        update = UpdateBlock(motion_encoder=motion, recurrent_block=recurrent, flow_head=head)
    mask = kwargs.pop("mask_predictor", None)
    if mask is None and use_mask:
        mask = MaskPredictor(in_channels=hidden_size, hidden_size=256, multiplier=0.25)
    return RAFT(
        feature_encoder=features, context_encoder=context, corr_block=correlations,
        update_block=update, mask_predictor=mask, **kwargs,
    )  # fmt: skip


raft_large = network(
    "raft_large", _raft, block=ResidualBlock, encoder_layers=(64, 64, 96, 128, 256),
    context_layers=(64, 64, 96, 128, 256), context_norm=nn.BatchNorm2d, radius=4,
    corr_layers=(256, 192), flow_layers=(128, 64), motion_channels=128, hidden_size=128,
    kernels=((1, 5), (5, 1)), padding=((0, 2), (2, 0)), head_size=256, use_mask=True,
)  # fmt: skip
raft_small = network(
    "raft_small", _raft, block=BottleneckBlock, encoder_layers=(32, 32, 64, 96, 128),
    context_layers=(32, 32, 64, 96, 160), context_norm=None, radius=3, corr_layers=(96,),
    flow_layers=(64, 32), motion_channels=82, hidden_size=96, kernels=(3,), padding=(1,),
    head_size=128, use_mask=False,
)  # fmt: skip
