"""MaxViT: convolutions, attention within windows, attention across them.  Source: Tu et al. 2022.

In: (N, 3, H, W) of the size that the network was built for.  Out: (N, classes).  Level 14.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.ops.layers import (
    Conv2dNormActivation,
    SqueezeExcitation,
    StochasticDepth,
)

MaxVit_T_Weights = ENUMS["maxvit_t"]


class MBConv(nn.Module):
    """Wide in the middle, with squeeze and excitation, and a way around it."""

    def __init__(
        self, in_channels: int, out_channels: int, expansion_ratio: float, squeeze_ratio: float,
        stride: int, activation_layer: Any, norm_layer: Any, p_stochastic_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        around: list[nn.Module] = []
        if stride == 2:
            around.append(nn.AvgPool2d(kernel_size=3, stride=stride, padding=1))
        if stride != 1 or in_channels != out_channels:
            around.append(nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=True))
        self.proj = nn.Sequential(*around) if around else nn.Identity()
        middle, squeezed = int(out_channels * expansion_ratio), int(out_channels * squeeze_ratio)
        self.stochastic_depth = (
            StochasticDepth(p_stochastic_dropout, "row") if p_stochastic_dropout else nn.Identity()
        )
        options = {
            "activation_layer": activation_layer, "norm_layer": norm_layer, "inplace": None,
        }  # fmt: skip
        self.layers = nn.Sequential(
            OrderedDict(
                pre_norm=norm_layer(in_channels),
                conv_a=Conv2dNormActivation(in_channels, middle, 1, 1, 0, **options),
                conv_b=Conv2dNormActivation(middle, middle, 3, stride, 1, groups=middle, **options),
                squeeze_excitation=SqueezeExcitation(middle, squeezed, activation=nn.SiLU),
                conv_c=nn.Conv2d(middle, out_channels, kernel_size=1, bias=True),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x) + self.stochastic_depth(self.layers(x))


class RelativePositionalMultiHeadAttention(nn.Module):
    """Attention among the places of each group (N, groups, places, C), by learned distances."""

    def __init__(self, feat_dim: int, head_dim: int, max_seq_len: int) -> None:
        super().__init__()
        if feat_dim % head_dim != 0:
            raise ValueError(f"feat_dim: {feat_dim} must be divisible by head_dim: {head_dim}")
        self.n_heads = feat_dim // head_dim
        self.head_dim = head_dim
        self.size = int(math.sqrt(max_seq_len))
        self.max_seq_len = max_seq_len
        self.to_qkv = nn.Linear(feat_dim, self.n_heads * head_dim * 3)
        self.scale_factor = feat_dim**-0.5
        self.merge = nn.Linear(head_dim * self.n_heads, feat_dim)
        span = 2 * self.size - 1
        self.relative_position_bias_table = nn.Parameter(rl.empty(span * span, self.n_heads))
        row, column = np.indices((self.size, self.size)).reshape(2, -1)
        down = row[:, None] - row[None, :] + self.size - 1
        across = column[:, None] - column[None, :] + self.size - 1
        self.register_buffer("relative_position_index", rl.from_numpy(down * span + across))
        init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        n, groups, places, width = x.shape
        q, k, v = [
            part.reshape(n, groups, places, self.n_heads, self.head_dim).permute(0, 1, 3, 2, 4)
            for part in self.to_qkv(x).chunk(3, dim=-1)
        ]
        products = q @ (k * self.scale_factor).transpose(-2, -1)
        index = self.relative_position_index.flatten()
        bias = self.relative_position_bias_table[index].reshape(places, places, -1)
        shares = F.softmax(products + bias.permute(2, 0, 1).unsqueeze(0), dim=-1)
        out = (shares @ v).permute(0, 1, 3, 2, 4).reshape(n, groups, places, width)
        return self.merge(out)


class SwapAxes(nn.Module):
    """Two axes in each other's place."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.a = a
        self.b = b

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(self.a, self.b)


class WindowPartition(nn.Module):
    """(N, C, H, W) to (N, windows, places, C)."""

    def forward(self, x: Tensor, p: int) -> Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(n, (h // p) * (w // p), p * p, c)


class WindowDepartition(nn.Module):
    """(N, windows, places, C) to (N, C, H, W)."""

    def forward(self, x: Tensor, p: int, h_partitions: int, w_partitions: int) -> Tensor:
        n, _, _, c = x.shape
        x = x.reshape(n, h_partitions, w_partitions, p, p, c).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(n, c, h_partitions * p, w_partitions * p)


class PartitionAttentionLayer(nn.Module):
    """Attention within windows, or among the same places of all windows ("grid")."""

    def __init__(
        self, in_channels: int, head_dim: int, partition_size: int, partition_type: str,
        grid_size: tuple[int, int], mlp_ratio: int, activation_layer: Any, norm_layer: Any,
        attention_dropout: float, mlp_dropout: float, p_stochastic_dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        if partition_type not in ("grid", "window"):
            raise ValueError("partition_type must be either 'grid' or 'window'")
        self.grid_size = grid_size
        self.n_partitions = grid_size[0] // partition_size
        windows = partition_type == "window"
        self.p = partition_size if windows else self.n_partitions
        self.g = self.n_partitions if windows else partition_size
        self.partition_op = WindowPartition()
        self.departition_op = WindowDepartition()
        self.partition_swap = nn.Identity() if windows else SwapAxes(-2, -3)
        self.departition_swap = nn.Identity() if windows else SwapAxes(-2, -3)
        self.attn_layer = nn.Sequential(
            norm_layer(in_channels),
            RelativePositionalMultiHeadAttention(in_channels, head_dim, partition_size**2),
            nn.Dropout(attention_dropout),
        )
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(in_channels), nn.Linear(in_channels, in_channels * mlp_ratio),
            activation_layer(), nn.Linear(in_channels * mlp_ratio, in_channels),
            nn.Dropout(mlp_dropout),
        )  # fmt: skip
        self.stochastic_dropout = StochasticDepth(p_stochastic_dropout, "row")

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.grid_size[0] // self.p, self.grid_size[1] // self.p
        if self.grid_size[0] % self.p or self.grid_size[1] % self.p:
            raise ValueError(
                "Grid size must be divisible by partition size. Got grid size of"
                f" {self.grid_size} and partition size of {self.p}"
            )
        x = self.partition_swap(self.partition_op(x, self.p))
        x = x + self.stochastic_dropout(self.attn_layer(x))
        x = x + self.stochastic_dropout(self.mlp_layer(x))
        return self.departition_op(self.departition_swap(x), self.p, rows, columns)


class MaxVitLayer(nn.Module):
    """Convolutions, attention within windows, attention across them."""

    def __init__(
        self, in_channels: int, out_channels: int, squeeze_ratio: float, expansion_ratio: float,
        stride: int, norm_layer: Any, activation_layer: Any, head_dim: int, mlp_ratio: int,
        mlp_dropout: float, attention_dropout: float, p_stochastic_dropout: float,
        partition_size: int, grid_size: tuple[int, int],
    ) -> None:  # fmt: skip
        super().__init__()

        def attention(kind: str) -> nn.Module:
            return PartitionAttentionLayer(
                out_channels, head_dim, partition_size, kind, grid_size, mlp_ratio,
                activation_layer, nn.LayerNorm, attention_dropout, mlp_dropout,
                p_stochastic_dropout,
            )  # fmt: skip

        convolution = MBConv(
            in_channels, out_channels, expansion_ratio, squeeze_ratio, stride, activation_layer,
            norm_layer, p_stochastic_dropout,
        )  # fmt: skip
        self.layers = nn.Sequential(
            OrderedDict(
                MBconv=convolution, window_attention=attention("window"),
                grid_attention=attention("grid"),
            )
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class MaxVitBlock(nn.Module):
    """Layers of one width; the first halves the image."""

    def __init__(
        self, in_channels: int, out_channels: int, input_grid_size: tuple[int, int],
        n_layers: int, p_stochastic: list[float], **options: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(p_stochastic) != n_layers:
            raise ValueError(
                f"p_stochastic must have length n_layers={n_layers}, got p_stochastic="
                f"{p_stochastic}."
            )
        self.grid_size = halved(input_grid_size)
        self.layers = nn.ModuleList()
        for i, p in enumerate(p_stochastic):
            self.layers.append(
                MaxVitLayer(
                    in_channels if i == 0 else out_channels, out_channels,
                    stride=2 if i == 0 else 1, grid_size=self.grid_size, p_stochastic_dropout=p,
                    **options,
                )
            )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """The size after a convolution of 3 × 3 with stride 2."""
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1


class MaxVit(nn.Module):
    """Four stages of `MaxVitBlock`."""

    def __init__(
        self, input_size: tuple[int, int], stem_channels: int, partition_size: int,
        block_channels: list[int], block_layers: list[int], head_dim: int,
        stochastic_depth_prob: float, norm_layer: Any = None, activation_layer: Any = nn.GELU,
        squeeze_ratio: float = 0.25, expansion_ratio: float = 4, mlp_ratio: int = 4,
        mlp_dropout: float = 0.0, attention_dropout: float = 0.0, num_classes: int = 1000,
    ) -> None:  # fmt: skip
        super().__init__()
        norm = norm_layer or partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        size = halved(input_size)
        sizes = [size]
        for _ in block_channels:
            sizes.append(halved(sizes[-1]))
        for i, (height, width) in enumerate(sizes[1:]):
            if height % partition_size or width % partition_size:
                raise ValueError(
                    f"Input size {sizes[i + 1]} of block {i} is not divisible by partition size"
                    f" {partition_size}. Consider changing the partition size or the input size.\n"
                    f"Current configuration yields the following block input sizes: {sizes[1:]}."
                )
        self.stem = nn.Sequential(
            Conv2dNormActivation(
                3, stem_channels, 3, stride=2, norm_layer=norm,
                activation_layer=activation_layer, bias=False, inplace=None,
            ),
            Conv2dNormActivation(
                stem_channels, stem_channels, 3, stride=1, norm_layer=None,
                activation_layer=None, bias=True,
            ),
        )  # fmt: skip
        self.partition_size = partition_size
        shares = np.linspace(0, stochastic_depth_prob, sum(block_layers)).tolist()
        self.blocks = nn.ModuleList()
        inputs = [stem_channels, *block_channels[:-1]]
        for before, after, count, grid in zip(inputs, block_channels, block_layers, sizes):
            self.blocks.append(
                MaxVitBlock(
                    before, after, grid, count, shares[:count], squeeze_ratio=squeeze_ratio,
                    expansion_ratio=expansion_ratio, norm_layer=norm,
                    activation_layer=activation_layer, head_dim=head_dim, mlp_ratio=mlp_ratio,
                    mlp_dropout=mlp_dropout, attention_dropout=attention_dropout,
                    partition_size=partition_size,
                )
            )  # fmt: skip
            shares = shares[count:]
        last = block_channels[-1]
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(last), nn.Linear(last, last),
            nn.Tanh(), nn.Linear(last, num_classes, bias=False),
        )  # fmt: skip
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                init.constant_(module.weight, 1)
                init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)


def _maxvit(input_size: tuple[int, int] = (224, 224), **kwargs: Any) -> MaxVit:
    return MaxVit(
        input_size=input_size, stem_channels=64, block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2], head_dim=32, stochastic_depth_prob=0.2, partition_size=7,
        **kwargs,
    )  # fmt: skip


maxvit_t = network("maxvit_t", _maxvit)
