"""Tensors on a mesh of processes: DTensor, placements, factories, modules.  Level 12.

Source: torch.distributed.tensor.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.distributed.device_mesh import DeviceMesh, init_device_mesh
from rushlight.distributed.tensor import experimental, placement_types
from rushlight.distributed.tensor.dtensor import DTensor, distribute_tensor
from rushlight.distributed.tensor.placement_types import Partial, Placement, Replicate, Shard
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.ops import creation, random

__all__ = [
    "DTensor", "DeviceMesh", "Partial", "Placement", "Replicate", "Shard", "distribute_module",
    "distribute_tensor", "empty", "experimental", "full", "init_device_mesh", "ones",
    "placement_types", "rand", "randn", "zeros",
]  # fmt: skip


def distribute_module(
    module: Module,
    device_mesh: DeviceMesh | None = None,
    partition_fn: Callable[[str, Module, DeviceMesh], None] | None = None,
    input_fn: Callable[..., Any] | None = None,
    output_fn: Callable[..., Any] | None = None,
) -> Module:
    """Put a module's parameters and buffers on a mesh; the same module.

    partition_fn: places the parameters of one submodule; what it leaves is replicated.
    input_fn, output_fn: change what comes in and what goes out, given the module and the mesh.
    """
    mesh = device_mesh or DeviceMesh("cpu", [0])
    for name, part in module.named_modules():
        if partition_fn is not None:
            partition_fn(name, part, mesh)
        _replicate(part, mesh)
    if input_fn is not None:
        _hook_inputs(module, input_fn, mesh)
    if output_fn is not None:
        _hook_outputs(module, output_fn, mesh)
    return module


def _replicate(module: Module, mesh: DeviceMesh) -> None:
    everywhere = [Replicate()] * mesh.ndim
    for name, parameter in list(module._parameters.items()):
        if parameter is not None and not isinstance(parameter, DTensor):
            placed = distribute_tensor(parameter.detach(), mesh, everywhere)
            module.register_parameter(name, Parameter(placed, parameter.requires_grad))
    for name, buffer in list(module._buffers.items()):
        if buffer is not None and not isinstance(buffer, DTensor):
            module._buffers[name] = distribute_tensor(buffer, mesh, everywhere)


def _takes_module(function: Callable, arguments: int) -> bool:
    """Whether it takes the module first; the form without it is PyTorch's older one."""
    if len(inspect.signature(function).parameters) == arguments:
        return True
    warnings.warn(
        "distribute_module: functions of two arguments are deprecated; take the module first",
        FutureWarning,
        stacklevel=4,
    )
    return False


def _hook_inputs(module: Module, function: Callable, mesh: DeviceMesh) -> None:
    if _takes_module(function, 3):
        module.register_forward_pre_hook(lambda owner, inputs: function(owner, inputs, mesh))
    else:
        module.register_forward_pre_hook(lambda owner, inputs: function(inputs, mesh))


def _hook_outputs(module: Module, function: Callable, mesh: DeviceMesh) -> None:
    if _takes_module(function, 3):
        module.register_forward_hook(lambda owner, inputs, out: function(owner, out, mesh))
    else:
        module.register_forward_hook(lambda owner, inputs, out: function(out, mesh))


def _factory(make: Callable) -> Callable[..., DTensor]:
    def create(
        *size: Any,
        requires_grad: bool = False,
        device_mesh: DeviceMesh | None = None,
        placements: Sequence[Placement] | None = None,
        **options: Any,
    ) -> DTensor:
        made = distribute_tensor(make(*size, **options), device_mesh, placements)
        made.requires_grad_(requires_grad)
        return made

    create.__name__ = create.__qualname__ = make.__name__
    create.__doc__ = f"`rushlight.{make.__name__}` on a mesh."
    return create


empty = _factory(creation.empty)
full = _factory(creation.full)
ones = _factory(creation.ones)
zeros = _factory(creation.zeros)
rand = _factory(random.rand)
randn = _factory(random.randn)
