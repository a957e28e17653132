"""Numbers rounded as codes would round them, for training that knows of quantization.

Gradients pass where a number is not clamped.  Level: quantized (12).
"""

from __future__ import annotations

from typing import Any

from rushlight.autograd.function import Function
from rushlight.base.dtypes import float32, float64
from rushlight.ops.pointwise import clamp
from rushlight.ops.pointwise import round as rounded
from rushlight.quantized.affine import along, inverse_of
from rushlight.tensor.tensor import Tensor


class _FakeQuantize(Function):
    """Rounds to (code - zero point) * scale with codes of a range."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Any, zero_point: Any, first: int, last: int) -> Tensor:
        codes = rounded(x * inverse_of(scale)) + zero_point
        ctx.save_for_backward((codes >= first) & (codes <= last))
        return (clamp(codes, first, last) - zero_point) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple:
        (kept,) = ctx.saved_tensors
        return gradients[0] * kept, None, None, None, None


def _check(name: str, x: Tensor, first: int, last: int) -> None:
    if not x.dtype.is_floating_point or x.dtype is float64:
        raise RuntimeError(f"{name}: expected a float32 tensor, got {x.dtype}; use .float() before")
    if first > last:
        raise RuntimeError("`quant_min` should be less than or equal to `quant_max`.")


def fake_quantize_per_tensor_affine(
    input: Tensor, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Tensor:
    """Each number as the nearest one that has a code between `quant_min` and `quant_max`.

    scale, zero_point: numbers or tensors of one element.  Dtypes: float32.  The gradient is that
    of the result where no code was clamped, and zero elsewhere.
    Raises: RuntimeError for other dtypes or ranges.  Source: torch.fake_quantize_per_tensor_affine.
    """
    _check("fake_quantize_per_tensor_affine", input, quant_min, quant_max)
    scale, zero_point = float(scale), int(zero_point)
    if not quant_min <= zero_point <= quant_max:
        raise RuntimeError("`zero_point` must be between `quant_min` and `quant_max`.")
    return _FakeQuantize.apply(input, scale, zero_point, quant_min, quant_max)


def fake_quantize_per_channel_affine(
    input: Tensor, scale: Tensor, zero_point: Tensor, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """The same with a scale and a zero point for each slice along an axis.

    Shapes: scale, zero_point: (size of the axis,).  Dtypes: float32.
    Raises: RuntimeError for other dtypes, sizes or ranges.
    Source: torch.fake_quantize_per_channel_affine.
    """
    _check("fake_quantize_per_channel_affine", input, quant_min, quant_max)
    if scale.dim() != 1 or zero_point.dim() != 1 or scale.numel() != zero_point.numel():
        raise RuntimeError("scale and zero-point need to have the same dimensions, and be vectors")
    if not -input.dim() <= axis < input.dim() or scale.numel() != input.shape[axis]:
        raise RuntimeError(
            "dimensions of scale and zero-point are not consistent with input tensor"
        )
    shape = along(axis % input.dim(), input.dim())
    parts = scale.detach().to(float32).reshape(shape), zero_point.detach().reshape(shape)
    return _FakeQuantize.apply(input, *parts, quant_min, quant_max)
