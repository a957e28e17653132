"""The vision transformer.  Source: Dosovitskiy et al. 2021.  In: (N, 3, H, W).  Level 14."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from typing import Any, NamedTuple

import rushlight as rl
from rushlight import Tensor, nn
from rushlight.nn import init
from rushlight.vision.models._api import network
from rushlight.vision.ops.layers import MLP, Conv2dNormActivation

_NORM = partial(nn.LayerNorm, eps=1e-6)


class MLPBlock(MLP):
    """The two linear layers of an encoder's block."""

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(
            in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *args: Any
    ) -> None:
        version = (local_metadata or {}).get("version", None)
        if version is None or version < 2:
            # Older files call the layers linear_1 and linear_2.
            for i in range(2):
                for kind in ("weight", "bias"):
                    old = f"{prefix}linear_{i + 1}.{kind}"
                    if old in state_dict:
                        state_dict[f"{prefix}{3 * i}.{kind}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)


class EncoderBlock(nn.Module):
    """Attention and two linear layers, each with a way around it."""

    def __init__(
        self, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float,
        attention_dropout: float, norm_layer: Any = _NORM,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions added, then all blocks."""

    def __init__(
        self, seq_length: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int,
        dropout: float, attention_dropout: float,
        norm_layer: Any = _NORM,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pos_embedding = nn.Parameter(rl.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(
            OrderedDict(
                (
                    f"encoder_layer_{i}",
                    EncoderBlock(
                        num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
                    ),
                )
                for i in range(num_layers)
            )
        )
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class ConvStemConfig(NamedTuple):
    """One convolution of a stem that stands in the place of cutting the image into patches."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Any = nn.BatchNorm2d
    activation_layer: Any = nn.ReLU


def _stem(configs: list[ConvStemConfig], hidden: int) -> nn.Sequential:
    """Convolutions, and a last one of size 1 to the encoder's width."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for place, config in enumerate(configs):
        layers[f"conv_bn_relu_{place}"] = Conv2dNormActivation(
            channels, config.out_channels, config.kernel_size, config.stride,
            norm_layer=config.norm_layer, activation_layer=config.activation_layer,
        )  # fmt: skip
        channels = config.out_channels
    layers["conv_last"] = nn.Conv2d(channels, hidden, kernel_size=1)
    return nn.Sequential(layers)


class VisionTransformer(nn.Module):
    """The image as a sequence of patches.  Raises: ValueError for images of another size."""

    def __init__(
        self, image_size: int, patch_size: int, num_layers: int, num_heads: int, hidden_dim: int,
        mlp_dim: int, dropout: float = 0.0, attention_dropout: float = 0.0,
        num_classes: int = 1000, representation_size: int | None = None,
        norm_layer: Any = _NORM, conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if image_size % patch_size:
            raise ValueError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.conv_proj: Any
        if conv_stem_configs is None:
            self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.conv_proj = _stem(conv_stem_configs, hidden_dim)
        self.class_token = nn.Parameter(rl.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout,
            attention_dropout, norm_layer,
        )  # fmt: skip
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._draw()

    def _draw(self) -> None:
        conv = self.conv_proj
        if isinstance(conv, nn.Conv2d):
            fan_in = conv.in_channels * conv.kernel_size[0] * conv.kernel_size[1]
            init.trunc_normal_(conv.weight, std=math.sqrt(1 / fan_in))
        else:
            conv = conv.conv_last
            init.normal_(conv.weight, mean=0.0, std=math.sqrt(2.0 / conv.out_channels))
        init.zeros_(conv.bias)
        if self.representation_size is not None:
            first = self.heads.pre_logits
            init.trunc_normal_(first.weight, std=math.sqrt(1 / first.in_features))
            init.zeros_(first.bias)
        init.zeros_(self.heads.head.weight)
        init.zeros_(self.heads.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        for name, size in (("height", h), ("width", w)):
            if size != self.image_size:
                raise ValueError(f"Wrong image {name}! Expected {self.image_size} but got {size}!")
        patches = self.conv_proj(x).reshape(n, self.hidden_dim, -1).permute(0, 2, 1)
        tokens = rl.cat([self.class_token.expand(n, -1, -1), patches], dim=1)
        return self.heads(self.encoder(tokens)[:, 0])


def _vit(_weights: Any = None, **kwargs: Any) -> VisionTransformer:
    size = 224 if _weights is None else _weights.meta["min_size"][0]
    kwargs.setdefault("image_size", size)
    return VisionTransformer(**kwargs)


def _of(name: str, patch: int, layers: int, heads: int, hidden: int, mlp: int) -> Any:
    return network(
        name, _vit, patch_size=patch, num_layers=layers, num_heads=heads, hidden_dim=hidden,
        mlp_dim=mlp,
    )  # fmt: skip


vit_b_16 = _of("vit_b_16", 16, 12, 12, 768, 3072)
vit_b_32 = _of("vit_b_32", 32, 12, 12, 768, 3072)
vit_l_16 = _of("vit_l_16", 16, 24, 16, 1024, 4096)
vit_l_32 = _of("vit_l_32", 32, 24, 16, 1024, 4096)
vit_h_14 = _of("vit_h_14", 14, 32, 16, 1280, 5120)


def interpolate_embeddings(
    image_size: int, patch_size: int, model_state: Any, interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> Any:  # fmt: skip
    """The state of a network for images of another size: its positions interpolated.

    Raises: ValueError for positions that form no square.
    """
    positions = model_state["encoder.pos_embedding"]
    n, length, hidden = positions.shape
    if n != 1:
        raise ValueError(f"Unexpected position embedding shape: {positions.shape}")
    new_length = (image_size // patch_size) ** 2 + 1
    if new_length == length:
        return model_state
    old_side = math.isqrt(length - 1)
    if old_side * old_side != length - 1:
        raise ValueError(f"seq_length is not a perfect square: got {length - 1}")
    grid = positions[:, 1:, :].permute(0, 2, 1).reshape(1, hidden, old_side, old_side)
    new = nn.functional.interpolate(
        grid, size=image_size // patch_size, mode=interpolation_mode, align_corners=True
    )
    new = new.reshape(1, hidden, new_length - 1).permute(0, 2, 1)
    model_state["encoder.pos_embedding"] = rl.cat([positions[:, :1, :], new], dim=1)
    if reset_heads:
        kept = [(k, v) for k, v in model_state.items() if not k.startswith("heads")]
        return OrderedDict(kept)
    return model_state
