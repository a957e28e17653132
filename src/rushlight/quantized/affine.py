"""Numbers to codes and back: per tensor, per channel, and by parameters chosen from the numbers.

The steps and their roundings are PyTorch's: x * (1 / scale) in float32, rounded to nearest even,
the zero point added, and the sum clamped.  Level: quantized (12).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import (
    CODES,
    DType,
    float32,
    float64,
    int32,
    int64,
    qint8,
    qint32,
    quint8,
)
from rushlight.ops.comparison import where
from rushlight.ops.pointwise import clamp
from rushlight.ops.pointwise import round as rounded
from rushlight.tensor.quantized_tensor import QuantizedTensor, Quantizer
from rushlight.tensor.tensor import Tensor

# First and last code.
RANGES = {quint8: (0, 255), qint8: (-128, 127), qint32: (-(2**31), 2**31 - 1)}
# Scales below this one are stretched to it.
SMALLEST_SCALE = float(np.float32(6.1e-5))
_LARGEST = float(np.finfo(np.float32).max)
# Below it 1 / x is more than the largest float32.
_SMALLEST_INVERTIBLE = float(np.float32(1.0 / _LARGEST))
if 1.0 / _SMALLEST_INVERTIBLE > _LARGEST:
    _SMALLEST_INVERTIBLE = float(np.nextafter(np.float32(_SMALLEST_INVERTIBLE), np.float32(1)))


def inverse_of(scale: Any) -> Any:
    """1 / scale in float32."""
    if isinstance(scale, Tensor):
        return 1.0 / scale.to(float32)
    with np.errstate(divide="ignore"):
        return float(np.float32(1.0) / np.float32(scale))


def codes_of(
    x: Tensor, scale: Any, zero_point: Any, dtype: DType, nan: float | None = None
) -> Tensor:
    """The codes of float32 numbers; nan: what counts in place of a NaN, None if there is none."""
    first, last = RANGES[dtype]
    numbers = x if nan is None else where(x.isnan(), nan, x)
    scaled = rounded(numbers * inverse_of(scale))
    if dtype is qint32:  # more digits than a float32 has
        scaled = scaled.to(float64)
    # By way of int32, to which a float is converted faster than to a byte.
    return clamp(scaled + zero_point, first, last).to(int32).to(CODES[dtype])


def numbers_of(codes: Tensor, dtype: DType, scale: Any, zero_point: Any) -> Tensor:
    """The float32 numbers that codes stand for."""
    if dtype is qint32:
        return (codes.to(int64) - zero_point).to(float32) * scale
    return (codes.to(float32) - zero_point) * scale


def _check(name: str, x: Any, dtype: Any) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: expected a tensor, got {type(x).__name__}")
    if dtype not in RANGES:
        raise RuntimeError(
            f"{name}: dtype {dtype} is not supported; use torch.quint8, torch.qint8 or torch.qint32"
        )
    if isinstance(x, QuantizedTensor):
        raise RuntimeError(f"{name}: the tensor is quantized already; use dequantize() before")
    if x.dtype is not float32:
        raise RuntimeError(
            f"Quantize only works on Float Tensor, got {x.dtype}; convert it with .float()"
        )


def _check_zero_point(zero_point: int, dtype: DType) -> None:
    first, last = RANGES[dtype]
    if not first <= zero_point <= last:
        side = "below lower" if zero_point < first else "above upper"
        raise RuntimeError(
            f"quantize_tensor_per_tensor_affine zero_point {zero_point} is {side} bound: {dtype} "
            f"holds {first} to {last}"
        )


def per_tensor(codes: Tensor, scale: float, zero_point: int, dtype: DType) -> QuantizedTensor:
    """Codes as a tensor with one scale and zero point."""
    return QuantizedTensor(codes, dtype, Quantizer(formats.per_tensor_affine, scale, zero_point))


def quantize_per_tensor(input: Any, scale: Any, zero_point: Any, dtype: DType) -> Any:
    """Each number as its nearest code, with one scale and zero point.

    scale, zero_point: numbers, or tensors of one element; for a list of tensors, tensors of one
    element for each.  Shapes: any.  Dtypes: float32 -> `dtype`, a quantized one.
    Raises: RuntimeError for other dtypes or a zero point out of range.
    Source: torch.quantize_per_tensor.
    """
    if isinstance(input, (list, tuple)):
        pairs = zip(input, scale.tolist(), zero_point.tolist())
        return tuple(quantize_per_tensor(x, s, z, dtype) for x, s, z in pairs)
    _check("quantize_per_tensor", input, dtype)
    scale, zero_point = float(scale), int(zero_point)
    _check_zero_point(zero_point, dtype)
    nan = -np.inf if dtype is qint32 else np.inf
    codes = codes_of(input.detach(), scale, zero_point, dtype, nan)
    return per_tensor(codes, scale, zero_point, dtype)


def quantize_per_tensor_dynamic(input: Tensor, dtype: DType, reduce_range: bool) -> Tensor:
    """`quantize_per_tensor` with scale and zero point from the smallest and largest number.

    reduce_range: half of the codes are used.  Dtypes: float32 -> quint8 or qint8.
    Source: torch.quantize_per_tensor_dynamic.
    """
    _check("quantize_per_tensor_dynamic", input, dtype)
    if dtype is qint32:
        raise RuntimeError(
            "dtype torch.qint32 not supported in quantize_per_tensor_dynamic; use torch.qint8 or "
            "torch.quint8"
        )
    scale, zero_point = parameters_of(input.detach(), *code_range(dtype, reduce_range))
    return quantize_per_tensor(input, scale, zero_point, dtype)


def quantize_per_channel(
    input: Tensor, scales: Tensor, zero_points: Tensor, axis: int, dtype: DType
) -> Tensor:
    """Each number as its nearest code, with a scale and a zero point for each slice along an axis.

    Shapes: scales, zero_points: (size of the axis,).  Dtypes: float32 -> `dtype`, a quantized one.
    Raises: RuntimeError for other dtypes or sizes; NotImplementedError for floating zero points.
    Source: torch.quantize_per_channel.
    """
    _check("quantize_per_channel", input, dtype)
    if not 0 <= axis < input.dim():
        raise RuntimeError(
            "Channel axis out of range in per channel affine quantization. Got: "
            f"{axis} Expected: [0, {input.dim()})"
        )
    size = input.shape[axis]
    if scales.numel() != zero_points.numel():
        raise RuntimeError(
            "number of elements in scales and zero_points must match, got "
            f"{scales.numel()} and {zero_points.numel()}"
        )
    if scales.numel() != size:
        raise RuntimeError(
            f"length of scales must equal to channel, expected {size} got, {scales.numel()}"
        )
    if zero_points.dtype.is_floating_point:
        raise NotImplementedError(
            "quantize_per_channel: floating zero points (per_channel_affine_float_qparams) are not "
            "supported; convert them with .long()"
        )
    scales, zero_points = scales.detach().to(float64), zero_points.detach().to(int64)
    shape = along(axis, input.dim())
    codes = codes_of(
        input.detach(), scales.reshape(shape), zero_points.reshape(shape), dtype, -np.inf
    )
    return per_channel(codes, scales, zero_points, axis, dtype)


def per_channel(
    codes: Tensor, scales: Tensor, zero_points: Tensor, axis: int, dtype: DType
) -> QuantizedTensor:
    """Codes as a tensor with scales and zero points along an axis."""
    quantizer = Quantizer(formats.per_channel_affine, scales, zero_points, axis)
    return QuantizedTensor(codes, dtype, quantizer)


def along(axis: int, rank: int) -> tuple[int, ...]:
    """The shape of a vector that stands along an axis."""
    return tuple(-1 if place == axis else 1 for place in range(rank))


def _make_per_tensor_quantized_tensor(input: Tensor, scale: float, zero_point: int) -> Tensor:
    """Codes of an integer dtype as a quantized tensor."""
    return per_tensor(input.detach().clone(), float(scale), int(zero_point), dtype_of_codes(input))


def _make_per_channel_quantized_tensor(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int
) -> Tensor:
    """Codes of an integer dtype as a quantized tensor with scales along an axis."""
    parts = scale.detach().to(float64), zero_point.detach().to(int64)
    return per_channel(input.detach().clone(), *parts, int(axis), dtype_of_codes(input))


def dtype_of_codes(codes: Tensor) -> DType:
    """The quantized dtype whose codes are of a tensor's dtype."""
    for dtype, kind in CODES.items():
        if kind is codes.dtype:
            return dtype
    raise RuntimeError(f"expected codes of uint8, int8 or int32, got {codes.dtype}")


def dequantize(input: Any) -> Any:
    """The float32 numbers that codes stand for; of a list of tensors, a list.

    A tensor that is not quantized is only converted to float32.  Source: torch.dequantize.
    """
    if isinstance(input, (list, tuple)):
        return type(input)(dequantize(x) for x in input)
    if not isinstance(input, QuantizedTensor):
        return input.to(float32)
    kept, dtype = input.quantizer, input._node.dtype
    if not kept.is_per_channel:
        scale = float(np.float32(kept.scale))
        return numbers_of(input.codes, dtype, scale, kept.zero_point)
    shape = along(kept.axis, input.codes.dim())
    distances = input.codes.to(int64) - kept.zero_point.reshape(shape)
    return (distances.to(float64) * kept.scale.reshape(shape)).to(float32)


# ---- parameters ----------------------------------------------------------------------------------


def code_range(dtype: DType, reduce_range: bool) -> tuple[int, int]:
    """First and last code, of half of them if the range is reduced."""
    first, last = RANGES[dtype]
    return (int(first / 2), int(last / 2)) if reduce_range else (first, last)


def parameters_of(x: Tensor, first: int, last: int) -> tuple[float, int]:
    """Scale and zero point from a tensor's numbers, whose ends are read.

    Raises: RuntimeError if one of them is no number.
    """
    if x.numel() == 0:
        return chosen_parameters(0.0, 0.0, first, last)
    low, high = x.amin(), x.amax()
    return chosen_parameters(low.item(), high.item(), first, last)


def chosen_parameters(low: float, high: float, first: int, last: int) -> tuple[float, int]:
    """Scale and zero point for float32 numbers between two.

    Zero has a code; of the two zero points that one end gives, the one with less error is taken;
    and a scale below SMALLEST_SCALE is stretched to it.
    Source: the rule of torch._choose_qparams_per_tensor, found by its results.
    """
    if not low <= high:
        raise RuntimeError(
            "In ChooseQuantizationParams, min should be less than or equal to max: got "
            f"{low} and {high}"
        )
    steps = last - first
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / steps
    single = np.float32(scale)
    if single == 0 or 1.0 / float(single) > _LARGEST:
        scale = 0.1
    if scale < SMALLEST_SCALE:
        widest = float(np.float32(SMALLEST_SCALE) * np.float32(steps))
        factor = np.float32(SMALLEST_SCALE) / np.float32(scale)
        ends = np.float32(low) * factor, np.float32(high) * factor
        if low == 0:
            high = widest
        elif high == 0:
            low = -widest
        else:
            low, high = float(ends[0]), float(ends[1])
        scale = SMALLEST_SCALE
    below, above = low / scale, high / scale
    is_lower = abs(first) - abs(below) < abs(last) - abs(above)
    zero_point = first - below if is_lower else last - above
    return scale, round(min(max(zero_point, first), last))


def tensors_of_parameters(x: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
    """The same as tensors of one element, without a read: a float64 and an int32.

    A NaN among the numbers is one in the scale.
    """
    steps = last - first
    low = clamp(x.amin().to(float64), max=0.0)
    high = clamp(x.amax().to(float64), min=0.0)
    scale = (high - low) / steps
    scale = where(scale.to(float32) < _SMALLEST_INVERTIBLE, 0.1, scale)
    # Stretched ends: the one that is not zero, or both by the same factor.
    widest = float(np.float32(SMALLEST_SCALE) * np.float32(steps))
    factor = SMALLEST_SCALE / scale.to(float32)
    ends = [(end.to(float32) * factor).to(float64) for end in (low, high)]
    is_small = scale < SMALLEST_SCALE
    wide_low = where(high == 0, -widest, ends[0])
    wide_high = where(low == 0, widest, ends[1])
    low, high = where(is_small, wide_low, low), where(is_small, wide_high, high)
    scale = where(is_small, SMALLEST_SCALE, scale)
    below, above = low / scale, high / scale
    is_lower = abs(first) - below.abs() < abs(last) - above.abs()
    zero_point = where(is_lower, first - below, last - above)
    return scale, rounded(clamp(zero_point, first, last)).to(int32)


def _choose_qparams_per_tensor(input: Tensor, reduce_range: bool = False) -> tuple[float, int]:
    """Scale and zero point of quint8 codes for a tensor's numbers."""
    return parameters_of(input.detach(), *code_range(quint8, reduce_range))
