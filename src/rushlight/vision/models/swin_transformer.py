"""Swin transformers, versions 1 and 2.  Sources: Liu et al. 2021 and 2022.

In: (N, 3, H, W).  Features are (N, H, W, C) inside.  Level 14.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network
from rushlight.vision.ops.layers import MLP, Permute, StochasticDepth


def _four_neighbours(x: Tensor) -> Tensor:
    """(..., H, W, C) to (..., H/2, W/2, 4 C)."""
    height, width = x.shape[-3:-1]
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    parts = [x[..., 0::2, j::2, :] for j in (0, 1)], [x[..., 1::2, j::2, :] for j in (0, 1)]
    return rl.cat([parts[0][0], parts[1][0], parts[0][1], parts[1][1]], -1)


class PatchMerging(nn.Module):
    """Four neighbours become one patch of twice the width."""

    def __init__(self, dim: int, norm_layer: Any = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(self.norm(_four_neighbours(x)))


class PatchMergingV2(nn.Module):
    """As `PatchMerging`, normalized afterwards."""

    def __init__(self, dim: int, norm_layer: Any = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.reduction(_four_neighbours(x)))


def _windows(x: Tensor, size: list[int]) -> Tensor:
    """(N, H, W, C) to (N windows, places, C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // size[0], size[0], w // size[1], size[1], c).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, size[0] * size[1], c)


def _shift_mask(h: int, w: int, size: list[int], shift: list[int], like: Tensor) -> Tensor:
    """(windows, places, places): -100 between places that were not neighbours before the shift."""
    rows = [0] * (h - size[0]) + [1] * (size[0] - shift[0]) + [2] * shift[0]
    columns = [0] * (w - size[1]) + [1] * (size[1] - shift[1]) + [2] * shift[1]
    region = rl.tensor(rows)[:, None] * 3 + rl.tensor(columns)[None, :]
    regions = _windows(region.reshape(1, h, w, 1), size).squeeze(-1)
    apart = regions.unsqueeze(1) != regions.unsqueeze(2)
    return rl.where(apart, -100.0, 0.0).to(like.dtype)


def shifted_window_attention(
    input: Tensor, qkv_weight: Tensor, proj_weight: Tensor, relative_position_bias: Tensor,
    window_size: list[int], num_heads: int, shift_size: list[int],
    attention_dropout: float = 0.0, dropout: float = 0.0, qkv_bias: Tensor | None = None,
    proj_bias: Tensor | None = None, logit_scale: Tensor | None = None, training: bool = True,
) -> Tensor:  # fmt: skip
    """Attention within windows of (N, H, W, C), shifted against those of the block before."""
    n, height, width, channels = input.shape
    x = F.pad(
        input, (0, 0, 0, -width % window_size[1], 0, -height % window_size[0])
    )  # fmt: skip
    _, h, w, _ = x.shape
    shift = [0 if window_size[i] >= (h, w)[i] else shift_size[i] for i in (0, 1)]
    if sum(shift) > 0:
        x = rl.roll(x, shifts=(-shift[0], -shift[1]), dims=(1, 2))
    count = (h // window_size[0]) * (w // window_size[1])
    x = _windows(x, window_size)
    if logit_scale is not None and qkv_bias is not None:
        # Keys have no bias in version 2.
        third = qkv_bias.numel() // 3
        zeros = rl.zeros_like(qkv_bias[:third])
        qkv_bias = rl.cat([qkv_bias[:third], zeros, qkv_bias[2 * third :]])
    qkv = F.linear(x, qkv_weight, qkv_bias)
    qkv = qkv.reshape(x.shape[0], x.shape[1], 3, num_heads, channels // num_heads)
    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    if logit_scale is not None:
        attention = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        attention = attention * rl.clamp(logit_scale, max=math.log(100.0)).exp()
    else:
        attention = (q * (channels // num_heads) ** -0.5) @ k.transpose(-2, -1)
    attention = attention + relative_position_bias
    if sum(shift) > 0:
        mask = _shift_mask(h, w, window_size, shift, x)
        places = x.shape[1]
        attention = attention.reshape(-1, count, num_heads, places, places)
        attention = attention + mask.unsqueeze(1).unsqueeze(0)
        attention = attention.reshape(-1, num_heads, places, places)
    attention = F.dropout(F.softmax(attention, dim=-1), p=attention_dropout, training=training)
    x = (attention @ v).transpose(1, 2).reshape(x.shape[0], x.shape[1], channels)
    x = F.dropout(F.linear(x, proj_weight, proj_bias), p=dropout, training=training)
    x = x.reshape(
        n, h // window_size[0], w // window_size[1], window_size[0], window_size[1], channels
    )
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, channels)
    if sum(shift) > 0:
        x = rl.roll(x, shifts=(shift[0], shift[1]), dims=(1, 2))
    return x[:, :height, :width, :].contiguous()


class ShiftedWindowAttention(nn.Module):
    """See `shifted_window_attention`; positions by a learned table."""

    def __init__(
        self, dim: int, window_size: list[int], shift_size: list[int], num_heads: int,
        qkv_bias: bool = True, proj_bias: bool = True, attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(window_size) != 2 or len(shift_size) != 2:
            raise ValueError("window_size and shift_size must be of length 2")
        self.window_size = window_size
        self.shift_size = shift_size
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self._define_table()
        self._define_index()

    def _define_table(self) -> None:
        entries = (2 * self.window_size[0] - 1) * (2 * self.window_size[1] - 1)
        self.relative_position_bias_table = nn.Parameter(rl.zeros(entries, self.num_heads))
        init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def _define_index(self) -> None:
        height, width = self.window_size
        rows = rl.arange(height).repeat_interleave(width)
        columns = rl.arange(width).repeat(height)
        down = rows[:, None] - rows[None, :] + height - 1
        across = columns[:, None] - columns[None, :] + width - 1
        self.register_buffer("relative_position_index", (down * (2 * width - 1) + across).flatten())

    def _bias(self) -> Tensor:
        return self._from_table(self.relative_position_bias_table)

    def _from_table(self, table: Tensor) -> Tensor:
        places = self.window_size[0] * self.window_size[1]
        bias = table[self.relative_position_index].reshape(places, places, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def forward(self, x: Tensor) -> Tensor:
        return shifted_window_attention(
            x, self.qkv.weight, self.proj.weight, self._bias(), self.window_size, self.num_heads,
            shift_size=self.shift_size, attention_dropout=self.attention_dropout,
            dropout=self.dropout, qkv_bias=self.qkv.bias, proj_bias=self.proj.bias,
            logit_scale=getattr(self, "logit_scale", None), training=self.training,
        )  # fmt: skip


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """By cosines, positions by a small network."""

    def __init__(
        self,
        dim: int,
        window_size: list[int],
        shift_size: list[int],
        num_heads: int,
        **options: Any,
    ) -> None:
        super().__init__(dim, window_size, shift_size, num_heads, **options)
        self.logit_scale = nn.Parameter(rl.log(10 * rl.ones((num_heads, 1, 1))))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512, bias=True), nn.ReLU(inplace=True),
            nn.Linear(512, num_heads, bias=False),
        )  # fmt: skip
        if self.qkv.bias is not None:
            third = self.qkv.bias.numel() // 3
            with rl.no_grad():
                self.qkv.bias[third : 2 * third].zero_()

    def _define_table(self) -> None:
        height, width = self.window_size
        down = rl.arange(-(height - 1), height, dtype=rl.float32)
        across = rl.arange(-(width - 1), width, dtype=rl.float32)
        table = rl.stack(rl.meshgrid([down, across], indexing="ij"))
        table = table.permute(1, 2, 0).contiguous().unsqueeze(0)
        table = table / rl.tensor([height - 1.0, width - 1.0]) * 8
        table = rl.sign(table) * rl.log2(rl.abs(table) + 1.0) / 3.0
        self.register_buffer("relative_coords_table", table)

    def _bias(self) -> Tensor:
        table = self.cpb_mlp(self.relative_coords_table).reshape(-1, self.num_heads)
        return 16 * rl.sigmoid(self._from_table(table))


class SwinTransformerBlock(nn.Module):
    """Attention and two linear layers, each with a way around it."""

    attention: Any = ShiftedWindowAttention
    normalize_first = True

    def __init__(
        self, dim: int, num_heads: int, window_size: list[int], shift_size: list[int],
        mlp_ratio: float = 4.0, dropout: float = 0.0, attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0, norm_layer: Any = nn.LayerNorm, attn_layer: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = (attn_layer or self.attention)(
            dim, window_size, shift_size, num_heads, attention_dropout=attention_dropout,
            dropout=dropout,
        )  # fmt: skip
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        self.mlp = MLP(
            dim, [int(dim * mlp_ratio), dim], activation_layer=nn.GELU, inplace=None,
            dropout=dropout,
        )  # fmt: skip
        for module in self.mlp.modules():
            if isinstance(module, nn.Linear):
                init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    init.normal_(module.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        if self.normalize_first:
            x = x + self.stochastic_depth(self.attn(self.norm1(x)))
            return x + self.stochastic_depth(self.mlp(self.norm2(x)))
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        return x + self.stochastic_depth(self.norm2(self.mlp(x)))


class SwinTransformerBlockV2(SwinTransformerBlock):
    """Normalized after attention and after the linear layers."""

    attention = ShiftedWindowAttentionV2
    normalize_first = False


def stages(
    block: Callable[..., nn.Module], downsample: Callable[[int], nn.Module], width: int,
    depths: list[int], num_heads: list[int], window_size: list[int], most_dropped: float,
) -> list[nn.Module]:  # fmt: skip
    """Stages of blocks, every second of them shifted, and between them what doubles the width.

    most_dropped: probability that the last block is left out in training; of the others less.
    """
    layers: list[nn.Module] = []
    total, number = sum(depths), 0
    for i, depth in enumerate(depths):
        stage = []
        for j in range(depth):
            shift = [0 if j % 2 == 0 else side // 2 for side in window_size]
            dropped = most_dropped * float(number) / (total - 1)
            stage.append(
                block(width, num_heads[i], shift_size=shift, stochastic_depth_prob=dropped)
            )
            number += 1
        layers.append(nn.Sequential(*stage))
        if i < len(depths) - 1:
            layers.append(downsample(width))
        width *= 2
    return layers


def draw_linear(model: nn.Module) -> None:
    """First weights of all linear layers."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                init.zeros_(module.bias)


class SwinTransformer(nn.Module):
    """Stages of blocks; each halves the image and doubles the width."""

    def __init__(
        self, patch_size: list[int], embed_dim: int, depths: list[int], num_heads: list[int],
        window_size: list[int], mlp_ratio: float = 4.0, dropout: float = 0.0,
        attention_dropout: float = 0.0, stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000, norm_layer: Any = None, block: Any = None,
        downsample_layer: Any = PatchMerging,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_classes = num_classes
        block = block or SwinTransformerBlock
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-5)
        size = (patch_size[0], patch_size[1])
        layers: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(3, embed_dim, kernel_size=size, stride=size), Permute([0, 2, 3, 1]),
                norm(embed_dim),
            )
        ]  # fmt: skip
        layers += stages(
            partial(
                block, window_size=window_size, mlp_ratio=mlp_ratio, dropout=dropout,
                attention_dropout=attention_dropout, norm_layer=norm,
            ),
            lambda width: downsample_layer(width, norm), embed_dim, depths, num_heads, window_size,
            stochastic_depth_prob,
        )  # fmt: skip
        self.features = nn.Sequential(*layers)
        last = embed_dim * 2 ** (len(depths) - 1)
        self.norm = norm(last)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(last, num_classes)
        draw_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.permute(self.norm(self.features(x)))
        return self.head(self.flatten(self.avgpool(x)))


def _swin(drop: float, **kwargs: Any) -> SwinTransformer:
    kwargs.setdefault("stochastic_depth_prob", drop)
    return SwinTransformer(patch_size=[4, 4], **kwargs)


def _of(name: str, width: int, depths: list[int], heads: list[int], drop: float) -> Any:
    fixed: dict[str, Any] = {
        "embed_dim": width, "depths": depths, "num_heads": heads, "window_size": [7, 7],
    }  # fmt: skip
    if "_v2_" in name:
        fixed |= {
            "window_size": [8, 8], "block": SwinTransformerBlockV2,
            "downsample_layer": PatchMergingV2,
        }  # fmt: skip
    return network(name, _swin, drop=drop, **fixed)


swin_t = _of("swin_t", 96, [2, 2, 6, 2], [3, 6, 12, 24], 0.2)
swin_s = _of("swin_s", 96, [2, 2, 18, 2], [3, 6, 12, 24], 0.3)
swin_b = _of("swin_b", 128, [2, 2, 18, 2], [4, 8, 16, 32], 0.5)
swin_v2_t = _of("swin_v2_t", 96, [2, 2, 6, 2], [3, 6, 12, 24], 0.2)
swin_v2_s = _of("swin_v2_s", 96, [2, 2, 18, 2], [3, 6, 12, 24], 0.3)
swin_v2_b = _of("swin_v2_b", 128, [2, 2, 18, 2], [4, 8, 16, 32], 0.5)
