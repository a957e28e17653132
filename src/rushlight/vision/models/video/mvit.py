"""Multiscale vision transformers.  Sources: Fan et al. 2021; Li et al. 2022 (version 2).

In: (N, 3, T, H, W) of the size that the network was built for.  Out: (N, classes).  Tokens are
(N, 1 + T H W, C) inside; attention may pool them.  Level 14.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import ENUMS, network
from rushlight.vision.ops.layers import MLP, StochasticDepth

MViT_V1_B_Weights, MViT_V2_S_Weights = ENUMS["mvit_v1_b"], ENUMS["mvit_v2_s"]
Grid = tuple[int, int, int]


@dataclass
class MSBlockConfig:
    """One block: heads, widths, and how attention pools queries and keys."""

    num_heads: int
    input_channels: int
    output_channels: int
    kernel_q: list[int]
    kernel_kv: list[int]
    stride_q: list[int]
    stride_kv: list[int]


class Pool(nn.Module):
    """Pools all tokens but the first, as a video."""

    def __init__(self, pool: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.pool = pool
        self.norm_act = None if norm is None else nn.Sequential(norm)

    def forward(self, x: Tensor, thw: Grid) -> tuple[Tensor, Grid]:
        plain = x.ndim == 3
        if plain:
            x = x.unsqueeze(1)
        n, heads, _, channels = x.shape
        first, rest = x[:, :, :1], x[:, :, 1:]
        video = rest.transpose(2, 3).reshape(n * heads, channels, *thw)
        video = self.pool(video)
        after = (video.shape[2], video.shape[3], video.shape[4])
        rest = video.reshape(n, heads, channels, -1).transpose(2, 3)
        x = rl.cat((first, rest), dim=2)
        if self.norm_act is not None:
            x = self.norm_act(x)
        return (x.squeeze(1) if plain else x), after


def _resized(table: Tensor, length: int) -> Tensor:
    """A table (L, C) of positions for another length."""
    if table.shape[0] == length:
        return table
    return F.interpolate(table.t().unsqueeze(0), size=length, mode="linear").squeeze(0).t()


def _distances(queries: int, keys: int) -> Tensor:
    """Row of the table for each pair; the coarser side takes larger steps."""
    ratio_q, ratio_k = max(keys / queries, 1.0), max(queries / keys, 1.0)
    rows = rl.arange(queries)[:, None] * ratio_q
    columns = (rl.arange(keys)[None, :] + (1.0 - keys)) * ratio_k
    return (rows - columns).to(rl.int64)


class MultiscaleAttention(nn.Module):
    """Attention whose queries, keys and values are pooled first."""

    def __init__(
        self, input_size: list[int], embed_dim: int, output_dim: int, num_heads: int,
        kernel_q: list[int], kernel_kv: list[int], stride_q: list[int], stride_kv: list[int],
        residual_pool: bool, residual_with_cls_embed: bool, rel_pos_embed: bool,
        dropout: float = 0.0, norm_layer: Any = nn.LayerNorm,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed_dim = embed_dim
        self.output_dim = output_dim
        self.num_heads = num_heads
        self.head_dim = output_dim // num_heads
        self.scaler = 1.0 / math.sqrt(self.head_dim)
        self.residual_pool = residual_pool
        self.residual_with_cls_embed = residual_with_cls_embed
        self.qkv = nn.Linear(embed_dim, 3 * output_dim)
        layers: list[nn.Module] = [nn.Linear(output_dim, output_dim)]
        if dropout > 0.0:
            layers.append(nn.Dropout(dropout, inplace=True))
        self.project = nn.Sequential(*layers)
        self.pool_q = self._pool(kernel_q, stride_q, norm_layer)
        self.pool_k = self._pool(kernel_kv, stride_kv, norm_layer)
        self.pool_v = self._pool(kernel_kv, stride_kv, norm_layer)
        self.rel_pos_h: nn.Parameter | None = None
        self.rel_pos_w: nn.Parameter | None = None
        self.rel_pos_t: nn.Parameter | None = None
        if rel_pos_embed:
            side = max(input_size[1:])
            sides = [side // s[1] if s else side for s in (stride_q, stride_kv)]
            spatial, temporal = 2 * max(sides) - 1, 2 * input_size[0] - 1
            self.rel_pos_h = nn.Parameter(rl.zeros(spatial, self.head_dim))
            self.rel_pos_w = nn.Parameter(rl.zeros(spatial, self.head_dim))
            self.rel_pos_t = nn.Parameter(rl.zeros(temporal, self.head_dim))
            for table in (self.rel_pos_h, self.rel_pos_w, self.rel_pos_t):
                init.trunc_normal_(table, std=0.02)

    def _pool(self, kernel: list[int], stride: list[int], norm_layer: Any) -> Pool | None:
        if math.prod(kernel) <= 1 and math.prod(stride) <= 1:
            return None
        conv = nn.Conv3d(
            self.head_dim, self.head_dim, tuple(kernel), stride=tuple(stride),
            padding=tuple(k // 2 for k in kernel), groups=self.head_dim, bias=False,
        )  # fmt: skip
        return Pool(conv, norm_layer(self.head_dim))

    def _positions(self, q: Tensor, q_thw: Grid, k_thw: Grid) -> Tensor:
        """What the distances of all pairs of places add, (N, heads, queries, keys)."""
        assert self.rel_pos_h is not None and self.rel_pos_w is not None
        assert self.rel_pos_t is not None
        n, heads, _, channels = q.shape
        grid = q[:, :, 1:].reshape(n, heads, *q_thw, channels)
        parts = []
        tables = (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w)
        for table, queries, keys, axis in zip(tables, q_thw, k_thw, "thw"):
            rows = _resized(table, 2 * max(queries, keys) - 1)[_distances(queries, keys)]
            parts.append(rl.einsum(f"bythwc,{axis}kc->bythwk", grid, rows))
        t, h, w = parts
        total = h[..., None, :, None] + w[..., None, None, :] + t[..., :, None, None]
        return total.reshape(n, heads, math.prod(q_thw), math.prod(k_thw))

    def forward(self, x: Tensor, thw: Grid) -> tuple[Tensor, Grid]:
        n, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(n, tokens, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.transpose(1, 3).unbind(2)
        k_thw = thw
        if self.pool_k is not None:
            k, k_thw = self.pool_k(k, thw)
        if self.pool_v is not None:
            v = self.pool_v(v, thw)[0]
        if self.pool_q is not None:
            q, thw = self.pool_q(q, thw)
        attention = (self.scaler * q) @ k.transpose(2, 3)
        if self.rel_pos_h is not None:
            # The first token has no place.
            attention = attention + F.pad(self._positions(q, thw, k_thw), (1, 0, 1, 0))
        x = attention.softmax(dim=-1) @ v
        if self.residual_pool:
            if self.residual_with_cls_embed:
                x = x + q
            else:
                x = rl.cat((x[:, :, :1], x[:, :, 1:] + q[:, :, 1:]), dim=2)
        x = x.transpose(1, 2).reshape(n, -1, self.output_dim)
        return self.project(x), thw


class MultiscaleBlock(nn.Module):
    """Pooling attention and two linear layers, each with a way around it."""

    def __init__(
        self, input_size: list[int], cnf: MSBlockConfig, residual_pool: bool,
        residual_with_cls_embed: bool, rel_pos_embed: bool, proj_after_attn: bool,
        dropout: float = 0.0, stochastic_depth_prob: float = 0.0, norm_layer: Any = nn.LayerNorm,
    ) -> None:  # fmt: skip
        super().__init__()
        self.proj_after_attn = proj_after_attn
        self.pool_skip: Pool | None = None
        if math.prod(cnf.stride_q) > 1:
            kernel = [s + 1 if s > 1 else s for s in cnf.stride_q]
            self.pool_skip = Pool(
                nn.MaxPool3d(kernel, stride=cnf.stride_q, padding=[k // 2 for k in kernel]), None
            )
        width = cnf.output_channels if proj_after_attn else cnf.input_channels
        self.norm1 = norm_layer(cnf.input_channels)
        self.norm2 = norm_layer(width)
        self.attn = MultiscaleAttention(
            input_size, cnf.input_channels, width, cnf.num_heads, kernel_q=cnf.kernel_q,
            kernel_kv=cnf.kernel_kv, stride_q=cnf.stride_q, stride_kv=cnf.stride_kv,
            rel_pos_embed=rel_pos_embed, residual_pool=residual_pool,
            residual_with_cls_embed=residual_with_cls_embed, dropout=dropout,
            norm_layer=norm_layer,
        )  # fmt: skip
        self.mlp = MLP(
            width, [4 * width, cnf.output_channels], activation_layer=nn.GELU, dropout=dropout,
            inplace=None,
        )  # fmt: skip
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.project: nn.Module | None = None
        if cnf.input_channels != cnf.output_channels:
            self.project = nn.Linear(cnf.input_channels, cnf.output_channels)

    def forward(self, x: Tensor, thw: Grid) -> tuple[Tensor, Grid]:
        normal = self.norm1(x)
        attended, after = self.attn(normal, thw)
        if self.project is not None and self.proj_after_attn:
            x = self.project(normal)
        around = x if self.pool_skip is None else self.pool_skip(x, thw)[0]
        x = around + self.stochastic_depth(attended)
        normal = self.norm2(x)
        if self.project is not None and not self.proj_after_attn:
            x = self.project(normal)
        return x + self.stochastic_depth(self.mlp(normal)), after


class PositionalEncoding(nn.Module):
    """A first token, and where (unless attention knows) and when each other one is."""

    def __init__(
        self, embed_size: int, spatial_size: tuple[int, int], temporal_size: int,
        rel_pos_embed: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.spatial_size = spatial_size
        self.temporal_size = temporal_size
        self.class_token = nn.Parameter(rl.zeros(embed_size))
        self.spatial_pos: nn.Parameter | None = None
        self.temporal_pos: nn.Parameter | None = None
        self.class_pos: nn.Parameter | None = None
        if not rel_pos_embed:
            places = spatial_size[0] * spatial_size[1]
            self.spatial_pos = nn.Parameter(rl.zeros(places, embed_size))
            self.temporal_pos = nn.Parameter(rl.zeros(temporal_size, embed_size))
            self.class_pos = nn.Parameter(rl.zeros(embed_size))

    def forward(self, x: Tensor) -> Tensor:
        first = self.class_token.expand(x.shape[0], -1).unsqueeze(1)
        x = rl.cat((first, x), dim=1)
        if self.spatial_pos is None or self.temporal_pos is None or self.class_pos is None:
            return x
        places = self.temporal_pos[:, None, :] + self.spatial_pos[None, :, :]
        places = places.reshape(-1, x.shape[-1])
        return x + rl.cat((self.class_pos.unsqueeze(0), places), dim=0).unsqueeze(0)


class MViT(nn.Module):
    """Blocks that pool the video step by step."""

    def __init__(
        self, spatial_size: tuple[int, int], temporal_size: int,
        block_setting: Sequence[MSBlockConfig], residual_pool: bool,
        residual_with_cls_embed: bool, rel_pos_embed: bool, proj_after_attn: bool,
        dropout: float = 0.5, attention_dropout: float = 0.0, stochastic_depth_prob: float = 0.0,
        num_classes: int = 400, block: Any = None, norm_layer: Any = None,
        patch_embed_kernel: Grid = (3, 7, 7), patch_embed_stride: Grid = (2, 4, 4),
        patch_embed_padding: Grid = (1, 3, 3),
    ) -> None:  # fmt: skip
        super().__init__()
        if not block_setting:
            raise ValueError("The configuration parameter can't be empty.")
        make = block or MultiscaleBlock
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        width = block_setting[0].input_channels
        self.conv_proj = nn.Conv3d(
            3, width, kernel_size=patch_embed_kernel, stride=patch_embed_stride,
            padding=patch_embed_padding,
        )  # fmt: skip
        sides = (temporal_size, *spatial_size)
        size = [side // step for side, step in zip(sides, patch_embed_stride)]
        self.pos_encoding = PositionalEncoding(width, (size[1], size[2]), size[0], rel_pos_embed)
        self.blocks = nn.ModuleList()
        for i, cnf in enumerate(block_setting):
            self.blocks.append(
                make(
                    input_size=size, cnf=cnf, residual_pool=residual_pool,
                    residual_with_cls_embed=residual_with_cls_embed, rel_pos_embed=rel_pos_embed,
                    proj_after_attn=proj_after_attn, dropout=attention_dropout,
                    stochastic_depth_prob=stochastic_depth_prob * i / (len(block_setting) - 1.0),
                    norm_layer=norm,
                )
            )  # fmt: skip
            if cnf.stride_q:
                size = [side // step for side, step in zip(size, cnf.stride_q)]
        last = block_setting[-1].output_channels
        self.norm = norm(last)
        self.head = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    init.constant_(module.bias, 0.0)
            elif isinstance(module, nn.LayerNorm):
                init.constant_(module.weight, 1.0)
                init.constant_(module.bias, 0.0)
            elif isinstance(module, PositionalEncoding):
                for weights in module.parameters():
                    init.trunc_normal_(weights, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            x = x.unsqueeze(0)
        x = self.pos_encoding(self.conv_proj(x).flatten(2).transpose(1, 2))
        encoding = self.pos_encoding
        thw = (encoding.temporal_size, *encoding.spatial_size)
        for block in self.blocks:
            x, thw = block(x, thw)
        return self.head(self.norm(x)[:, 0])


_HEADS = [1, 2, 2, *[4] * 11, 8, 8]
_STRIDES_KV = [[1, 8, 8], [1, 4, 4], [1, 4, 4], *[[1, 2, 2]] * 11, [1, 1, 1], [1, 1, 1]]
# Blocks whose queries are pooled: there the image is halved.
_HALVING = (1, 3, 14)


def _blocks(inputs: list[int], outputs: list[int], pool_all: bool) -> list[MSBlockConfig]:
    found = []
    for i in range(16):
        halves = i in _HALVING
        kernel = [3, 3, 3] if halves or pool_all else []
        stride = [1, 2, 2] if halves else [1, 1, 1]
        found.append(
            MSBlockConfig(
                _HEADS[i], inputs[i], outputs[i], kernel, [3, 3, 3], stride if kernel else [],
                _STRIDES_KV[i],
            )
        )  # fmt: skip
    return found


def _mvit(spatial_size: tuple[int, int] = (224, 224), **kwargs: Any) -> MViT:
    options = {"temporal_size": 16, "stochastic_depth_prob": 0.2, **kwargs}
    return MViT(spatial_size=spatial_size, residual_with_cls_embed=False, **options)


mvit_v1_b = network(
    "mvit_v1_b", _mvit, residual_pool=False, rel_pos_embed=False, proj_after_attn=False,
    block_setting=_blocks(
        [96, 192, 192, *[384] * 11, 768, 768], [192, 192, *[384] * 11, 768, 768, 768], False
    ),
)  # fmt: skip
mvit_v2_s = network(
    "mvit_v2_s", _mvit, residual_pool=True, rel_pos_embed=True, proj_after_attn=True,
    block_setting=_blocks(
        [96, 96, 192, 192, *[384] * 11, 768], [96, 192, 192, *[384] * 11, 768, 768], True
    ),
)  # fmt: skip
