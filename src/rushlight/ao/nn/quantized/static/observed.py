"""Static layers on codes, made from layers that were observed.  Level: ao (14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import nn
from rushlight.ao.nn.quantized.dynamic.modules.linear import quantized_weight
from rushlight.base.dtypes import DType


def from_observed(kind: Any, mod: nn.Module, make: Callable[[Any, DType], Any]) -> Any:
    """A layer of `kind` with the weight and bias of `mod`, and the scale its observer found.

    make: the layer, from the one inside `mod` and the dtype that its observer of weights asks for.
    Raises: AssertionError for modules that `kind` is not made of.
    """
    if not isinstance(mod, kind._FLOAT_MODULE) or not hasattr(mod, "qconfig"):
        names = ", ".join(one.__name__ for one in kind._FLOAT_MODULE)
        raise AssertionError(
            f"nnq.{kind.__name__}.from_float only works for {names} with a qconfig, got "
            f"{type(mod).__name__}"
        )
    layer: Any = mod[0] if isinstance(mod, nn.Sequential) else mod
    weight, dtype = quantized_weight(layer.weight, mod.qconfig)
    made = make(layer, dtype)
    made.set_weight_bias(weight, layer.bias)
    observer: Any = mod.activation_post_process
    scale, zero_point = observer.calculate_qparams()
    made.scale, made.zero_point = float(scale), int(zero_point)
    return made
