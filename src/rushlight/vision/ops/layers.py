"""Layers that networks for images share.

In and out: features (N, C, ...).  Level 14.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.nn import init

Layer = Callable[..., nn.Module]


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization whose statistics and scale never change.  Shape: (N, C, H, W)."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", rl.ones(num_features))
        self.register_buffer("bias", rl.zeros(num_features))
        self.register_buffer("running_mean", rl.zeros(num_features))
        self.register_buffer("running_var", rl.ones(num_features))

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        scale = (
            self.weight.reshape(1, -1, 1, 1)
            * (self.running_var.reshape(1, -1, 1, 1) + self.eps).rsqrt()
        )
        return x * scale + (
            self.bias.reshape(1, -1, 1, 1) - self.running_mean.reshape(1, -1, 1, 1) * scale
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


class ConvNormActivation(nn.Sequential):
    """Convolution, normalization, activation."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any = 3, stride: Any = 1,
        padding: Any = None, groups: int = 1, norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU, dilation: Any = 1, inplace: bool | None = True,
        bias: bool | None = None, conv_layer: Layer = nn.Conv2d,
    ) -> None:  # fmt: skip
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        layers = [
            conv_layer(
                in_channels, out_channels, kernel_size, stride, padding, dilation=dilation,
                groups=groups, bias=norm_layer is None if bias is None else bias,
            )
        ]  # fmt: skip
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels
        if type(self) is ConvNormActivation:
            warnings.warn(
                "Don't use ConvNormActivation directly, please use"
                " Conv2dNormActivation and Conv3dNormActivation instead.",
                stacklevel=2,
            )


def _same_padding(kernel_size: Any, dilation: Any) -> Any:
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else len(dilation)
    kernels = kernel_size if isinstance(kernel_size, Sequence) else [kernel_size] * rank
    dilations = dilation if isinstance(dilation, Sequence) else [dilation] * rank
    return tuple((k - 1) // 2 * d for k, d in zip(kernels, dilations))


class Conv2dNormActivation(ConvNormActivation):
    """Convolution of images, normalization, activation."""


class Conv3dNormActivation(ConvNormActivation):
    """Convolution of videos, normalization, activation."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any = 3, stride: Any = 1,
        padding: Any = None, groups: int = 1, norm_layer: Layer | None = nn.BatchNorm3d,
        activation_layer: Layer | None = nn.ReLU, dilation: Any = 1, inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer,
            activation_layer, dilation, inplace, bias, nn.Conv3d,
        )  # fmt: skip


class SqueezeExcitation(nn.Module):
    """Channels weighted by what all pixels say.  Source: Hu et al. 2018."""

    def __init__(
        self, input_channels: int, squeeze_channels: int, activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:  # fmt: skip
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(input))))
        return self.scale_activation(scale) * input


class MLP(nn.Sequential):
    """Linear layers with normalization, activation and dropout between them."""

    def __init__(
        self, in_channels: int, hidden_channels: list[int], norm_layer: Layer | None = None,
        activation_layer: Layer | None = nn.ReLU, inplace: bool | None = None, bias: bool = True,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        options = {} if inplace is None else {"inplace": inplace}
        layers: list[nn.Module] = []
        width = in_channels
        for hidden in hidden_channels[:-1]:
            layers.append(nn.Linear(width, hidden, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(hidden))
            if activation_layer is not None:
                layers.append(activation_layer(**options))
            layers.append(nn.Dropout(dropout, **options))
            width = hidden
        layers.append(nn.Linear(width, hidden_channels[-1], bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(nn.Module):
    """The axes in another order."""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return rl.permute(x, self.dims)


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """The input, or zeros with probability `p`, for the "batch" or each "row".

    Raises: ValueError.  Source: Huang et al. 2016.
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    survival = 1.0 - p
    size = [input.shape[0] if mode == "row" else 1] + [1] * (input.ndim - 1)
    noise = rl.empty(size, dtype=input.dtype).bernoulli_(survival)
    return input * (noise / survival if survival > 0.0 else noise)


class StochasticDepth(nn.Module):
    """See `stochastic_depth`."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"


def _drop_block(input: Tensor, p: float, size: int, inplace: bool, eps: float, rank: int) -> Tensor:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.ndim != rank + 2:
        raise ValueError(f"input should be {rank + 2} dimensional. Got {input.ndim} dimensions.")
    spatial = input.shape[2:]
    size = min(size, *spatial)
    free = [n - size + 1 for n in spatial]
    gamma = p * math.prod(spatial) / (size**rank * math.prod(free))
    noise = rl.empty((*input.shape[:2], *free), dtype=input.dtype).bernoulli_(gamma)
    noise = F.pad(noise, [size // 2] * (2 * rank), value=0)
    pool = F.max_pool2d if rank == 2 else F.max_pool3d
    noise = 1 - pool(noise, stride=(1,) * rank, kernel_size=(size,) * rank, padding=size // 2)
    scale = noise.numel() / (eps + noise.sum())
    return input.mul_(noise).mul_(scale) if inplace else input * noise * scale


def drop_block2d(
    input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06,
    training: bool = True,
) -> Tensor:  # fmt: skip
    """Zeros in random squares of (N, C, H, W).  Raises: ValueError.  Source: Ghiasi et al. 2018."""
    if not training or p == 0.0:
        return input
    return _drop_block(input, p, block_size, inplace, eps, 2)


def drop_block3d(
    input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06,
    training: bool = True,
) -> Tensor:  # fmt: skip
    """Zeros in random cubes of (N, C, D, H, W).  Raises: ValueError."""
    if not training or p == 0.0:
        return input
    return _drop_block(input, p, block_size, inplace, eps, 3)


class DropBlock2d(nn.Module):
    """See `drop_block2d`."""

    def __init__(
        self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06
    ) -> None:
        super().__init__()
        self.p = p
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        return drop_block2d(input, self.p, self.block_size, self.inplace, self.eps, self.training)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, block_size={self.block_size},"
            f" inplace={self.inplace})"
        )


class DropBlock3d(DropBlock2d):
    """See `drop_block3d`."""

    def forward(self, input: Tensor) -> Tensor:
        return drop_block3d(input, self.p, self.block_size, self.inplace, self.eps, self.training)


def deform_conv2d(
    input: Tensor, offset: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = (1, 1),
    padding: Any = (0, 0), dilation: Any = (1, 1), mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Convolution whose taps are moved by `offset` and weighted by `mask`.

    Shapes: input (N, C, H, W); offset (N, 2 G kh kw, oh, ow), (y, x) for each tap; mask
    (N, G kh kw, oh, ow); weight (O, C / groups, kh, kw).  Raises: RuntimeError.
    Source: Dai et al. 2017, Zhu et al. 2019.
    """
    stride, padding, dilation = (_two(v) for v in (stride, padding, dilation))
    out_channels, per_group, kh, kw = weight.shape
    n, channels, height, width = input.shape
    oh, ow = offset.shape[-2:]
    taps = kh * kw
    groups, offset_groups = channels // per_group, offset.shape[1] // (2 * taps)
    if offset_groups == 0:
        raise RuntimeError(
            "the shape of the offset tensor at dimension 1 is not valid. It should be a multiple of"
            f" 2 * weight.size[2] * weight.size[3].\nGot offset.shape[1]={offset.shape[1]}, while"
            f" 2 * weight.size[2] * weight.size[3]={2 * taps}"
        )
    ys = (rl.arange(oh) * stride[0] - padding[0]).to(input.dtype).reshape(1, oh, 1)
    xs = (rl.arange(ow) * stride[1] - padding[1]).to(input.dtype).reshape(1, 1, ow)
    tap_y = (rl.arange(kh) * dilation[0]).to(input.dtype).repeat_interleave(kw).reshape(taps, 1, 1)
    tap_x = (rl.arange(kw) * dilation[1]).to(input.dtype).repeat(kh).reshape(taps, 1, 1)
    moves = offset.reshape(n * offset_groups, taps, 2, oh, ow)
    y, x = moves[:, :, 0] + ys + tap_y, moves[:, :, 1] + xs + tap_x
    # grid_sample's coordinates: -1 and 1 are the centres of the outer pixels.
    grid = rl.stack([x * (2.0 / max(width - 1, 1)) - 1, y * (2.0 / max(height - 1, 1)) - 1], -1)
    planes = input.reshape(n * offset_groups, channels // offset_groups, height, width)
    taken = F.grid_sample(
        planes, grid.reshape(n * offset_groups, taps * oh, ow, 2), align_corners=True
    ).reshape(n, offset_groups, channels // offset_groups, taps, oh, ow)
    if mask is not None:
        taken = taken * mask.reshape(n, offset_groups, 1, taps, oh, ow)
    columns = taken.reshape(n, groups, per_group * taps, oh * ow)
    kernels = weight.reshape(groups, out_channels // groups, per_group * taps)
    output = (kernels @ columns).reshape(n, out_channels, oh, ow)
    return output if bias is None else output + bias.reshape(1, -1, 1, 1)


def _two(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class DeformConv2d(nn.Module):
    """See `deform_conv2d`."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _two(kernel_size)
        self.stride = _two(stride)
        self.padding = _two(padding)
        self.dilation = _two(dilation)
        self.groups = groups
        self.weight = nn.Parameter(rl.empty(out_channels, in_channels // groups, *self.kernel_size))
        if bias:
            self.bias = nn.Parameter(rl.empty(out_channels))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * self.kernel_size[0] * self.kernel_size[1]
            bound = 1 / math.sqrt(fan_in)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        return deform_conv2d(
            input, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask
        )
