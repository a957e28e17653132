"""Layers on quantized tensors: integers in, integers out, with a scale and zero point of their own.

The sums of products are exact; then, as PyTorch's kernels do, the bias is added in units of one
product, and the sum is multiplied by one float32 factor and rounded to nearest even.
Level: ao (14).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import CODES, float32, float64, int32, quint8
from rushlight.nn import functional as F
from rushlight.ops.pointwise import clamp
from rushlight.ops.pointwise import round as rounded
from rushlight.primitives.contraction import byte_matmul
from rushlight.quantized.affine import RANGES, along, per_tensor
from rushlight.quantized.products import PackedLinear
from rushlight.tensor.quantized_tensor import QuantizedTensor
from rushlight.tensor.tensor import Tensor

# Sums of so many products of codes are exact in float32 (2**24 / (255 * 128)); longer ones are
# made in float64.
_EXACT_IN_SINGLE = 2**24 // (255 * 128)


def _input(name: str, x: Any) -> QuantizedTensor:
    if not isinstance(x, QuantizedTensor) or x.quantizer.is_per_channel or x.dtype is not quint8:
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise NotImplementedError(
            f"Could not run 'quantized::{name}' with a {kind}: the input must be quantized per "
            "tensor to torch.quint8; put a QuantStub before the layer"
        )
    return x


def requantized(
    sums: Tensor, factor: Any, bias: Tensor | None, scale: float, zero_point: int, relu: bool,
    axis: int,
) -> QuantizedTensor:  # fmt: skip
    """Sums of products of codes as a tensor with another scale and zero point.

    factor: what one product stands for, a float32 number or a tensor along `axis`.
    """
    shape = along(axis, sums.dim())
    units = factor.reshape(shape) if isinstance(factor, Tensor) else factor
    found = sums.to(float32)
    if bias is not None:
        found = found + bias.detach().to(float32).reshape(shape) / units
    if isinstance(units, Tensor):
        multiplier: Any = units / float(np.float32(scale))
    else:
        multiplier = float(np.float32(units) / np.float32(scale))
    first, last = RANGES[quint8]
    codes = clamp(rounded(found * multiplier) + zero_point, zero_point if relu else first, last)
    return per_tensor(codes.to(int32).to(CODES[quint8]), scale, zero_point, quint8)


def _factor(x: QuantizedTensor, weight: QuantizedTensor) -> Any:
    own = np.float32(x.quantizer.scale)
    if weight.quantizer.is_per_channel:
        return weight.quantizer.scale.to(float32) * float(own)
    return float(own * np.float32(weight.quantizer.scale))


def linear_static(
    x: Any, packed: PackedLinear, scale: float, zero_point: int, relu: bool = False
) -> QuantizedTensor:
    """x @ weight.T + bias among codes, of which the negative ones are dropped if `relu`.

    Shapes: (..., in) -> (..., out).  Dtypes: quint8 and qint8 -> quint8.
    Source: torch.ops.quantized.linear.
    """
    x = _input("linear", x)
    out, inner = packed.codes.shape
    if x.dim() == 0 or x.shape[-1] != inner:
        raise RuntimeError(
            f"quantized linear: the last axis must have {inner} elements, got {tuple(x.shape)}"
        )
    rows = x.codes.reshape(-1, inner)
    middle = x.quantizer.zero_point
    sums = byte_matmul(rows.contiguous(), packed.codes, False, True) - packed.sums * middle
    if packed.zero_points is not None:
        totals = rows.to(int32).sum(1, keepdim=True, dtype=int32) - middle * inner
        sums = sums - totals * packed.zero_points
    made = requantized(
        sums,
        _factor(x, packed.weight),
        packed.bias,
        scale,
        zero_point,
        relu,
        1,  # type: ignore[arg-type]
    )
    return made.with_codes(made.codes.reshape(*x.shape[:-1], out))


def convolution_static(
    x: Any, weight: QuantizedTensor, bias: Tensor | None, scale: float, zero_point: int,
    geometry: dict[str, Any], relu: bool = False,
) -> QuantizedTensor:  # fmt: skip
    """A convolution among codes.  geometry: stride, padding, dilation and groups.

    Shapes: as `nn.functional.conv2d`; the weight decides the number of axes.
    Source: torch.ops.quantized.conv2d.
    """
    x = _input("conv", x)
    axes = weight.dim() - 2
    kept = weight.quantizer
    middle: Any = kept.zero_point
    if kept.is_per_channel:
        middle = middle.reshape(along(0, weight.dim()))
    products = int(np.prod(weight.shape[1:]))
    is_short = products <= _EXACT_IN_SINGLE and not kept.is_per_channel and middle == 0
    wide = float32 if is_short or products * 2 <= _EXACT_IN_SINGLE else float64
    numbers = x.codes.to(wide) - x.quantizer.zero_point
    weights = weight.codes.to(wide) - middle
    convolve = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    sums = convolve(numbers, weights, None, **geometry)
    return requantized(sums, _factor(x, weight), bias, scale, zero_point, relu, 1)
