"""Which module takes the place of which.  Level: ao (14)."""

from __future__ import annotations

import copy
from typing import Any

from rushlight import nn
from rushlight.ao.nn.quantized import dynamic

DEFAULT_DYNAMIC_QUANT_MODULE_MAPPINGS: dict[type, Any] = {
    nn.GRUCell: dynamic.GRUCell,
    nn.Linear: dynamic.Linear,
    nn.LSTM: dynamic.LSTM,
    nn.GRU: dynamic.GRU,
    nn.LSTMCell: dynamic.LSTMCell,
    nn.RNNCell: dynamic.RNNCell,
}


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
