"""Functions of nn.functional on quantized tensors: pooling, resizing and activations.

Attached when this module is imported.  Level: quantized (12).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import float32
from rushlight.ops.activation import hardtanh, leaky_relu, relu6
from rushlight.ops.average_pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool2d,
    avg_pool3d,
)
from rushlight.ops.pointwise import clamp, sigmoid, tanh
from rushlight.ops.pointwise import round as rounded
from rushlight.ops.pool import max_pool1d, max_pool2d
from rushlight.ops.resampling import interpolate
from rushlight.quantized.affine import RANGES, dequantize, quantize_per_tensor
from rushlight.tensor.quantized_tensor import FUNCTIONS, QuantizedTensor


def _pooled_codes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Pooling that chooses codes: their order is that of the numbers."""

    def call(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        # Padding is less than all codes, as a float's is less than all numbers.
        found = function(input.codes.to(float32), *args, **kwargs)
        return input.with_codes(found.to(input.codes.dtype))

    return call


def _averaged_codes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Averages of codes, with zero in its place, rounded to nearest even codes."""

    def call(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        kept = input.quantizer
        found = function(input.codes.to(float32) - kept.zero_point, *args, **kwargs)
        first, last = RANGES[input.dtype]
        codes = clamp(rounded(found + kept.zero_point), first, last)
        return input.with_codes(codes.to(input.codes.dtype))

    return call


def _by_numbers(
    function: Callable[..., Any], scale: float | None = None, zero_point: int = 0
) -> Callable[..., Any]:
    """A function by way of the numbers, back to the same codes, or to those that its range has."""

    def call(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
        kept = input.quantizer
        found = function(dequantize(input), *args, **kwargs)
        if scale is None:
            return quantize_per_tensor(found, kept.scale, kept.zero_point, input.dtype)
        return quantize_per_tensor(found, scale, zero_point, input.dtype)

    return call


def _dropout(input: QuantizedTensor, *args: Any, **kwargs: Any) -> QuantizedTensor:
    return input


for _function in (max_pool1d, max_pool2d):
    FUNCTIONS[_function.__name__] = _pooled_codes(_function)
for _function in (avg_pool2d, avg_pool3d, adaptive_avg_pool2d, adaptive_avg_pool3d, interpolate):
    FUNCTIONS[_function.__name__] = _averaged_codes(_function)
for _function in (hardtanh, relu6, leaky_relu):
    FUNCTIONS[_function.__name__] = _by_numbers(_function)
FUNCTIONS["sigmoid"] = _by_numbers(sigmoid, 1.0 / 256)
FUNCTIONS["tanh"] = _by_numbers(tanh, 2.0 / 256, 128)
FUNCTIONS["dropout"] = _dropout
