"""Options of optimizers, checked in PyTorch's words, and the states they begin with.  Level 12."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.dtypes import float32, float64, get_default_dtype, narrow
from rushlight.base.hot import hot
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def count_tensor(value: float) -> Tensor:
    """A 0-d tensor of the dtype that counts and schedules are kept in: float32, or float64 where
    that is the default dtype."""
    dtype = float64 if get_default_dtype() is float64 else float32
    return tensor_from_numpy(np.array(value, dtype=dtype.numpy), dtype)


def state_like(param: Tensor, value: complex = 0) -> Tensor:
    """A state tensor of the parameter's shape and dtype with one value everywhere."""
    dtype = param.dtype
    array = np.full(tuple(param.shape), narrow(value, dtype), dtype=dtype.numpy)
    return tensor_from_numpy(array, dtype)


def rounded(value: float) -> float:
    """`value` as `count_tensor` keeps it."""
    if get_default_dtype() is float64:
        return value
    return float(np.float32(value))


@hot
def scalar_option(value: Any) -> Any:
    """A one-element tensor option as a 0-d tensor; other values as they are."""
    if isinstance(value, Tensor) and value.dim() != 0:
        return value.squeeze()
    return value


def lerp(start: Tensor, end: Tensor, weight: Any) -> Tensor:
    """start + weight (end - start), from the nearer end so that weight 1 gives `end` exactly."""
    return lerp_from(start, end, *lerp_number(weight))


@hot
def lerp_number(weight: Any) -> tuple[bool, Any]:
    """How `lerp` counts with a weight: whether from the end, and the weight from there."""
    if isinstance(weight, Tensor) or abs(weight) < 0.5:
        return False, weight
    return True, 1 - weight


def lerp_from(start: Tensor, end: Tensor, from_end: bool, weight: Any) -> Tensor:
    """`lerp` where `lerp_number` was asked before."""
    if from_end:
        return end - (end - start) * weight
    return start + (end - start) * weight


@hot
def moment_numbers(beta1: Any, beta2: Any) -> tuple[bool, dict[str, Any]]:
    """What `moments` is told of two decay rates: whether from the end, and its numbers."""
    from_end, weight = lerp_number(1 - beta1)
    return from_end, {"weight": weight, "beta2": beta2, "rest2": 1 - beta2}


def moments(
    state: dict[str, Tensor], g: Tensor, from_end: bool, n: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """The running means of gradients and of their squares after `g`, as Adam and its kin have."""
    m = lerp_from(state["exp_avg"], g, from_end, n["weight"])
    return m, state["exp_avg_sq"] * n["beta2"] + g * n["rest2"] * g


def check_lr(lr: Any) -> None:
    """Raises: ValueError for a negative rate or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, but it has shape {tuple(lr.shape)}")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(name: str, value: Any) -> None:
    """Raises: ValueError, in PyTorch's words, when an option is negative or not a number."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {name} value: {value}")


def check_eps(eps: float) -> None:
    """Raises: ValueError, in PyTorch's words, when the denominator's guard is negative."""
    if not eps >= 0.0:
        raise ValueError(f"Invalid epsilon value: {eps}")


def check_betas(betas: tuple[Any, Any]) -> None:
    """Raises: ValueError unless both decay rates lie in [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_flavor(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """The options that choose an implementation in PyTorch; here there is one, equal to all.

    Raises: RuntimeError and ValueError for the combinations PyTorch refuses.
    """
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
