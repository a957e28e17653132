"""Weight normalization, w = g · v / |v| (Salimans & Kingma 2016).  Level 12.

In the older form a hook computes the weight before each call of the module; in the newer one
(`parametrizations.weight_norm`) the weight is a parametrized tensor.
"""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter, is_lazy
from rushlight.nn.utils.parametrize import register_parametrization
from rushlight.ops.magnitude import vector_norm
from rushlight.tensor.tensor import Tensor


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """2-norm over all axes but `dim` (over all if it is -1), with the axes kept."""
    if dim == -1:
        return vector_norm(v)
    axes = [axis for axis in range(v.dim()) if axis != dim % v.dim()]
    if not axes:
        return v.abs()
    return vector_norm(v, 2, axes, True)


class WeightNorm:
    """The hook that computes a weight from its magnitude and its direction."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """g · v / |v|."""
        v = getattr(module, f"{self.name}_v")
        return v * (getattr(module, f"{self.name}_g") / norm_except_dim(v, self.dim))

    def attach(self, module: Module) -> None:
        """Replace the weight by its magnitude and direction."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == self.name:
                raise RuntimeError(
                    f"Cannot register two weight_norm hooks on the same parameter {self.name}"
                )
        weight = getattr(module, self.name)
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure "
                "to run the dummy forward before applying weight normalization"
            )
        del module._parameters[self.name]
        magnitude = norm_except_dim(weight.detach(), self.dim)
        module.register_parameter(f"{self.name}_g", Parameter(magnitude))
        module.register_parameter(f"{self.name}_v", Parameter(weight.detach()))
        setattr(module, self.name, self.compute_weight(module))
        module.register_forward_pre_hook(self)

    def remove(self, module: Module) -> None:
        """Make the weight an ordinary parameter again."""
        weight = self.compute_weight(module).detach()
        delattr(module, self.name)
        del module._parameters[f"{self.name}_g"]
        del module._parameters[f"{self.name}_v"]
        setattr(module, self.name, Parameter(weight))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Deprecated: use `parametrizations.weight_norm`.  Returns `module`."""
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm(name, dim).attach(module)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undo `weight_norm`.  Raises: ValueError if there is none of that name."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")


class _WeightNorm(Module):
    """The parametrization: originals are magnitude and direction."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Magnitude and direction of a weight."""
        return norm_except_dim(weight, self.dim), weight


def parametrize_weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Weight normalization as a parametrization; returns `module`."""
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
