"""`Variable`, PyTorch's former name for a tensor that records gradients.  Level: autograd (12)."""

from __future__ import annotations

from typing import Any

from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.storage import alias_without_grad
from rushlight.tensor.tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """`Variable(x)` is a tensor on the memory of `x`; every tensor is an instance.

    Source: torch.autograd.Variable, kept for old programs.
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        made = alias_without_grad(data)
        require_gradient(made, requires_grad)
        return made
