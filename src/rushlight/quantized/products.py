"""Linear layers whose weights are bytes: activations are quantized as they come.

The sums are exact; what follows them is rounded as PyTorch's fused multiply-add rounds it: in
float64 first, whose product of two float32 numbers is exact.  Level: quantized (12).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import (
    DType,
    float16,
    float32,
    float64,
    int32,
    qint8,
    quint8,
)
from rushlight.ops.arithmetic import mul
from rushlight.ops.creation import zeros
from rushlight.ops.matmul import linear
from rushlight.primitives.contraction import byte_matmul
from rushlight.quantized.affine import (
    code_range,
    codes_of,
    quantize_per_tensor,
    tensors_of_parameters,
)
from rushlight.tensor.block_call import replayed
from rushlight.tensor.quantized_tensor import QuantizedTensor
from rushlight.tensor.tensor import Tensor


class PackedLinear:
    """A weight of `qint8` and a bias, with what products need of them.

    sums: of each row of codes; scales: one, or one for each row; zero_points likewise, or None if
        all are zero.
    """

    def __init__(self, weight: QuantizedTensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        kept = weight.quantizer
        self.codes = weight.codes.contiguous()
        self.sums = self.codes.to(int32).sum(1, dtype=int32)
        self.scales: Any = 0.0 if kept.is_per_channel else float(np.float32(kept.scale))
        self.wide_bias = None if bias is None else bias.detach().to(float64)
        self.zero_points: Any = kept.zero_point
        if kept.is_per_channel:
            self.scales = kept.scale.to(float32)
            self.zero_points = kept.zero_point.to(int32)
            if not self.zero_points.any().item():
                self.zero_points = None
        elif kept.zero_point == 0:
            self.zero_points = None

    dtype = qint8

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's value."""
        return linear_dynamic(x, self)


class RoundedLinear:
    """A weight rounded to float16, multiplied in float32, and a bias."""

    dtype = float16

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight.detach().to(float16).to(float32), bias

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's value."""
        return linear(x, self.weight, self.bias)


def packed_linear(weight: Tensor, bias: Tensor | None, dtype: DType) -> Any:
    """What products need of a weight and a bias.  dtype: `qint8` or `float16`.

    Raises: RuntimeError for other dtypes, or a weight that is not of the dtype.
    """
    if dtype is float16:
        return RoundedLinear(weight, bias)
    if dtype is not qint8:
        raise RuntimeError(
            f"Unsupported dtype specified for quantized Linear: {dtype}; use torch.qint8 or "
            "torch.float16"
        )
    if not isinstance(weight, QuantizedTensor) or weight.dtype is not qint8:
        raise RuntimeError(
            f"expected a weight of torch.qint8, got {weight.dtype}; use "
            "torch.quantize_per_tensor before"
        )
    return PackedLinear(weight, bias)


def empty_linear(out: int, inner: int, dtype: DType, bias: bool = True) -> Any:
    """A layer of zeros."""
    weight = zeros(out, inner)
    if dtype is qint8:
        weight = quantize_per_tensor(weight, 1.0, 0, qint8)
    return packed_linear(weight, zeros(out) if bias else None, dtype)


def linear_dynamic(x: Tensor, packed: PackedLinear, reduce_range: bool = True) -> Tensor:
    """x @ weight.T + bias with x quantized to quint8 by its smallest and largest number; all is
    NaN where one of its numbers is.

    Shapes: x: (..., in) -> (..., out).  Dtypes: float32.  reduce_range: codes of x up to 127.
    Raises: RuntimeError for other shapes or dtypes.  Source: torch.ops.quantized.linear_dynamic.
    """
    out, inner = packed.codes.shape
    if x.dtype is not float32:
        raise RuntimeError(
            f"linear_dynamic: expected a float32 input, got {x.dtype}; convert it with .float()"
        )
    if x.dim() == 0 or x.shape[-1] != inner:
        raise RuntimeError(
            f"linear_dynamic: the last axis must have {inner} elements, got shape {tuple(x.shape)}"
        )
    if x.numel() == 0:
        return x.new_zeros((*x.shape[:-1], out))
    rows = x.detach() if x.requires_grad else x
    if x.dim() != 2:
        rows = rows.reshape(-1, inner)
    found = _multiplied(
        rows, packed.codes, packed.sums, packed.scales, packed.zero_points, packed.wide_bias,
        *code_range(quint8, reduce_range),
    )  # fmt: skip
    return found if x.dim() == 2 else found.reshape(*x.shape[:-1], out)


@replayed
def _multiplied(
    rows: Tensor, weight: Tensor, weight_sums: Tensor, scales: Any, zero_points: Any,
    bias: Tensor | None, first: int, last: int,
) -> Tensor:  # fmt: skip
    """The value of a layer; first, last: codes of the rows."""
    scale, zero_point = tensors_of_parameters(rows, first, last)
    codes = codes_of(rows, scale, zero_point, quint8)
    sums = byte_matmul(codes, weight, False, True) - mul(weight_sums, zero_point)
    if zero_points is not None:
        totals = codes.sum(1, keepdim=True, dtype=int32) - zero_point * rows.shape[1]
        sums = sums - totals * zero_points
    factor = (scale.to(float32) * scales).to(float64)
    found = sums.to(float32).to(float64) * factor
    if bias is not None:
        found = found + bias
    return found.to(float32)
