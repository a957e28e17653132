"""Modules without drawn parameters, and the memory formats of their weights.  Level 12."""

from __future__ import annotations

import inspect
from typing import Any

from rushlight.base.formats import memory_format as MemoryFormat
from rushlight.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from rushlight.nn.modules.module import Module


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """`module_cls(*args, **kwargs)` whose parameters have unspecified values.

    Raises: RuntimeError unless it is a class of modules that takes `device`.
    Source: torch.nn.utils.skip_init.
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    final = kwargs.pop("device", "cpu")
    kwargs["device"] = "meta"
    return module_cls(*args, **kwargs).to_empty(device=final)


def _converted(module: Any, classes: tuple, memory_format: MemoryFormat) -> Any:
    for one in module.modules():
        if isinstance(one, classes):
            one.weight.data = one.weight.detach().clone().contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module: Any, memory_format: MemoryFormat) -> Any:
    """The module, with the weights of its 2-D convolutions in a memory format.

    Source: torch.nn.utils.convert_conv2d_weight_memory_format.
    """
    return _converted(module, (Conv2d, ConvTranspose2d), memory_format)


def convert_conv3d_weight_memory_format(module: Any, memory_format: MemoryFormat) -> Any:
    """The same of its 3-D convolutions."""
    return _converted(module, (Conv3d, ConvTranspose3d), memory_format)
