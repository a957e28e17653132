"""Calling a module in another precision than that of its parameters.  Level 12.

In: a module whose parameters are, say, f32 and stay it.  Out: what it computes with parameters and
inputs cast to bf16; gradients come back in the parameters' own dtype.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.nn.utils.stateless import functional_call
from rushlight.tensor.tensor import Tensor


def cast_floats(value: Any, dtype: Any) -> Any:
    """Floating tensors in another dtype, containers looked into."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: cast_floats(one, dtype) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(cast_floats(one, dtype) for one in value)
    return value


def computed_in(
    module: Module,
    dtype: Any,
    cast_inputs: bool,
    ignored: tuple[type, ...],
    args: tuple,
    kwargs: dict[str, Any],
) -> Any:
    """The module's output with parameters in `dtype`, those of ignored classes as they are."""
    if dtype is None:
        return module(*args, **kwargs)
    if cast_inputs:
        args, kwargs = cast_floats(args, dtype), cast_floats(kwargs, dtype)
    parts: list[Module] = list(module.modules())
    own = {
        id(parameter)
        for part in parts
        if isinstance(part, ignored)
        for parameter in part.parameters()
    }
    cast = {
        name: parameter if id(parameter) in own else cast_floats(parameter, dtype)
        for name, parameter in module.named_parameters()
    }
    return functional_call(module, cast, args, kwargs)
