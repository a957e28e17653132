"""Swin transformers for videos.  Source: Liu et al. 2022 (Video Swin).

In: (N, 3, T, H, W).  Features are (N, T, H, W, C) inside.  Level 14.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.models.swin_transformer import (
    PatchMerging,
    SwinTransformerBlock,
    draw_linear,
    stages,
)

Swin3D_T_Weights, Swin3D_S_Weights = ENUMS["swin3d_t"], ENUMS["swin3d_s"]
Swin3D_B_Weights = ENUMS["swin3d_b"]


def _windows(x: Tensor, size: list[int]) -> Tensor:
    """(N, T, H, W, C) to (N windows, places, C)."""
    n, t, h, w, c = x.shape
    x = x.reshape(n, t // size[0], size[0], h // size[1], size[1], w // size[2], size[2], c)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(-1, size[0] * size[1] * size[2], c)


def _shift_mask(shape: list[int], size: list[int], shift: list[int], like: Tensor) -> Tensor:
    """(windows, places, places): -100 between places that were not neighbours before the shift."""
    region = np.zeros(shape, np.int64)
    for axis, (length, window, moved) in enumerate(zip(shape, size, shift)):
        part = np.zeros(length, np.int64)
        if moved:
            part[length - window : length - moved] = 1
            part[length - moved :] = 2
        region = region * 3 + part.reshape([-1 if i == axis else 1 for i in range(3)])
    regions = _windows(rl.from_numpy(region).reshape(1, *shape, 1), size).squeeze(-1)
    apart = regions.unsqueeze(1) != regions.unsqueeze(2)
    return rl.where(apart, -100.0, 0.0).to(like.dtype)


class ShiftedWindowAttention3d(nn.Module):
    """Attention within windows of a video, shifted against those of the block before."""

    def __init__(
        self, dim: int, window_size: list[int], shift_size: list[int], num_heads: int,
        qkv_bias: bool = True, proj_bias: bool = True, attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(window_size) != 3 or len(shift_size) != 3:
            raise ValueError("window_size and shift_size must be of length 2")
        self.window_size = window_size
        self.shift_size = shift_size
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        spans = [2 * side - 1 for side in window_size]
        self.relative_position_bias_table = nn.Parameter(
            rl.zeros(spans[0] * spans[1] * spans[2], num_heads)
        )
        init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        places = np.indices(window_size).reshape(3, -1)
        index = np.zeros((places.shape[1],) * 2, np.int64)
        for row, side, span in zip(places, window_size, spans):
            index = index * span + (row[:, None] - row[None, :] + side - 1)
        self.register_buffer("relative_position_index", rl.from_numpy(index))

    def _bias(self, places: int) -> Tensor:
        # A window cut short by a small video takes the first places' rows of the table.
        index = self.relative_position_index[:places, :places].flatten()
        bias = self.relative_position_bias_table[index].reshape(places, places, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def forward(self, x: Tensor) -> Tensor:
        n, *shape, channels = x.shape
        size = [min(side, window) for side, window in zip(shape, self.window_size)]
        shift = [
            0 if side <= window else moved
            for side, window, moved in zip(shape, self.window_size, self.shift_size)
        ]
        after = [-side % window for side, window in zip(shape, size)]
        x = F.pad(x, (0, 0, 0, after[2], 0, after[1], 0, after[0]))
        padded = list(x.shape[1:4])
        if sum(shift) > 0:
            x = rl.roll(x, shifts=[-s for s in shift], dims=(1, 2, 3))
        count = [side // window for side, window in zip(padded, size)]
        x = _windows(x, size)
        places = x.shape[1]
        qkv = self.qkv(x).reshape(x.shape[0], places, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        attention = (q * (channels // self.num_heads) ** -0.5) @ k.transpose(-2, -1)
        attention = attention + self._bias(places)
        if sum(shift) > 0:
            mask = _shift_mask(padded, size, shift, x)
            attention = attention.reshape(n, -1, self.num_heads, places, places)
            attention = attention + mask.unsqueeze(1).unsqueeze(0)
            attention = attention.reshape(-1, self.num_heads, places, places)
        attention = F.dropout(
            F.softmax(attention, dim=-1), self.attention_dropout, training=self.training
        )
        x = (attention @ v).transpose(1, 2).reshape(x.shape[0], places, channels)
        x = F.dropout(self.proj(x), self.dropout, training=self.training)
        x = x.reshape(n, *count, *size, channels).permute(0, 1, 4, 2, 5, 3, 6, 7)
        x = x.reshape(n, *padded, channels)
        if sum(shift) > 0:
            x = rl.roll(x, shifts=shift, dims=(1, 2, 3))
        return x[:, : shape[0], : shape[1], : shape[2]].contiguous()


class PatchEmbed3d(nn.Module):
    """A video (N, 3, T, H, W) as patches (N, t, h, w, C)."""

    def __init__(
        self, patch_size: list[int], in_channels: int = 3, embed_dim: int = 96,
        norm_layer: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tuple_patch_size = (patch_size[0], patch_size[1], patch_size[2])
        self.proj = nn.Conv3d(
            in_channels, embed_dim, kernel_size=self.tuple_patch_size,
            stride=self.tuple_patch_size,
        )  # fmt: skip
        self.norm = norm_layer(embed_dim) if norm_layer is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        after = [-side % patch for side, patch in zip(x.shape[2:], self.tuple_patch_size)]
        x = F.pad(x, (0, after[2], 0, after[1], 0, after[0]))
        return self.norm(self.proj(x).permute(0, 2, 3, 4, 1))


class SwinTransformer3d(nn.Module):
    """Stages of blocks; each halves the image and doubles the width."""

    def __init__(
        self, patch_size: list[int], embed_dim: int, depths: list[int], num_heads: list[int],
        window_size: list[int], mlp_ratio: float = 4.0, dropout: float = 0.0,
        attention_dropout: float = 0.0, stochastic_depth_prob: float = 0.1,
        num_classes: int = 400, norm_layer: Any = None, block: Any = None,
        downsample_layer: Any = PatchMerging, patch_embed: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_classes = num_classes
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-5)
        make = block or partial(SwinTransformerBlock, attn_layer=ShiftedWindowAttention3d)
        embed = patch_embed or PatchEmbed3d
        self.patch_embed = embed(patch_size=patch_size, embed_dim=embed_dim, norm_layer=norm)
        self.pos_drop = nn.Dropout(p=dropout)
        layers = stages(
            partial(
                make, window_size=window_size, mlp_ratio=mlp_ratio, dropout=dropout,
                attention_dropout=attention_dropout, norm_layer=norm,
            ),
            lambda width: downsample_layer(width, norm), embed_dim, depths, num_heads, window_size,
            stochastic_depth_prob,
        )  # fmt: skip
        self.features = nn.Sequential(*layers)
        self.num_features = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm(self.num_features)
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.head = nn.Linear(self.num_features, num_classes)
        draw_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.features(self.pos_drop(self.patch_embed(x))))
        return self.head(self.avgpool(x.permute(0, 4, 1, 2, 3)).flatten(1))


def _swin(**kwargs: Any) -> SwinTransformer3d:
    return SwinTransformer3d(patch_size=[2, 4, 4], window_size=[8, 7, 7], **kwargs)


def _of(name: str, width: int, depths: list[int], heads: list[int]) -> Any:
    return network(name, _swin, embed_dim=width, depths=depths, num_heads=heads)


swin3d_t = _of("swin3d_t", 96, [2, 2, 6, 2], [3, 6, 12, 24])
swin3d_s = _of("swin3d_s", 96, [2, 2, 18, 2], [3, 6, 12, 24])
swin3d_b = _of("swin3d_b", 128, [2, 2, 18, 2], [4, 8, 16, 32])
