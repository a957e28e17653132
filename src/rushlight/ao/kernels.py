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
from rushlight.quantized.affine import RANGES, along, dequantize, per_tensor, quantize_per_tensor
from rushlight.quantized.products import PackedLinear
from rushlight.tensor.quantized_tensor import FUNCTIONS, QuantizedTensor
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


# ---- functions of quantized tensors --------------------------------------------------------------


def _pooled_codes(name: str) -> Any:
    """Pooling that chooses codes: their order is that of the numbers."""
    function = getattr(F, name)

    def call(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        # Padding is less than all codes, as a float's is less than all numbers.
        found = function(input.codes.to(float32), *args, **kwargs)
        return input.with_codes(found.to(input.codes.dtype))

    return call


def _averaged_codes(name: str) -> Any:
    """Averages of codes, with zero in its place, rounded to nearest even codes."""
    function = getattr(F, name)

    def call(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        kept = input.quantizer
        found = function(input.codes.to(float32) - kept.zero_point, *args, **kwargs)
        first, last = RANGES[input.dtype]
        codes = clamp(rounded(found + kept.zero_point), first, last)
        return input.with_codes(codes.to(int32).to(input.codes.dtype))

    return call


def _by_numbers(name: str, scale: float | None = None, zero_point: int = 0) -> Any:
    """A function by way of the numbers, back to the same codes, or to those that its range has."""
    function = getattr(F, name)

    def call(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        kept = input.quantizer
        found = function(dequantize(input), *args, **kwargs)
        if scale is None:
            return quantize_per_tensor(found, kept.scale, kept.zero_point, input.dtype)
        return quantize_per_tensor(found, scale, zero_point, input.dtype)

    return call


def _dropout(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
    return input


for _name in ("max_pool1d", "max_pool2d"):
    FUNCTIONS[_name] = _pooled_codes(_name)
for _name in (
    "avg_pool2d", "avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "interpolate",
):  # fmt: skip
    FUNCTIONS[_name] = _averaged_codes(_name)
for _name in ("hardtanh", "relu6", "leaky_relu"):
    FUNCTIONS[_name] = _by_numbers(_name)
FUNCTIONS["sigmoid"] = _by_numbers("sigmoid", 1.0 / 256)
FUNCTIONS["tanh"] = _by_numbers("tanh", 2.0 / 256, 128)
FUNCTIONS["dropout"] = _dropout
