"""Which module takes the place of which.  Level: ao (14)."""

from __future__ import annotations

import copy
from typing import Any

from rushlight import nn
from rushlight.ao.nn import intrinsic, quantized
from rushlight.ao.nn.intrinsic import quantized as fused
from rushlight.ao.nn.quantized import dynamic
from rushlight.ao.quantization.stubs import DeQuantStub, QuantStub

DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS: dict[type, Any] = {
    nn.GRUCell: dynamic.GRUCell,
    nn.Linear: dynamic.Linear,
    nn.LSTM: dynamic.LSTM,
    nn.GRU: dynamic.GRU,
    nn.LSTMCell: dynamic.LSTMCell,
    nn.RNNCell: dynamic.RNNCell,
}

DEFAULT_STATIC_QUANT_MODULE_MAPPINGS: dict[type, Any] = {
    QuantStub: quantized.Quantize,
    DeQuantStub: quantized.DeQuantize,
    nn.Conv1d: quantized.Conv1d,
    nn.Conv2d: quantized.Conv2d,
    nn.Conv3d: quantized.Conv3d,
    nn.Linear: quantized.Linear,
    nn.Dropout: quantized.Dropout,
    intrinsic.ConvReLU1d: fused.ConvReLU1d,
    intrinsic.ConvReLU2d: fused.ConvReLU2d,
    intrinsic.ConvReLU3d: fused.ConvReLU3d,
    intrinsic.LinearReLU: fused.LinearReLU,
    quantized.FloatFunctional: quantized.QFunctional,
}


def get_default_static_quant_module_mappings() -> dict[type, Any]:
    """A copy of the table for static quantization."""
    return copy.copy(DEFAULT_STATIC_QUANT_MODULE_MAPPINGS)


def get_default_dynamic_quant_module_mappings() -> dict[type, Any]:
    """A copy of the table for dynamic quantization."""
    return copy.copy(DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS)


def get_dynamic_quant_module_class(
    float_module_class: type, additional_dynamic_quant_mapping: dict[type, Any] | None = None
) -> Any:
    """What takes the place of a class of modules.  Raises: AssertionError if there is nothing."""
    table = {**DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS, **(additional_dynamic_quant_mapping or {})}
    found = table.get(float_module_class)
    if found is None:
        raise AssertionError(
            f"Floating point module class {float_module_class} does not have a corresponding "
            "quantized module class"
        )
    return found
