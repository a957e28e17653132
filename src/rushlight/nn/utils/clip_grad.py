"""Limits on gradients, in place.  Level 12.

No value is read: the norm is a tensor, and scaling by min(1, max_norm / norm) needs no branch, so
that clipping does not cut the tape.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable

from rushlight.ops.creation import zeros
from rushlight.ops.joining import stack
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _norm(values: Tensor, order: float) -> Tensor:
    """p-norm of all elements."""
    if order == float("inf"):
        return values.abs().max()
    if order == float("-inf"):
        return values.abs().min()
    if order == 0:
        return (values != 0).sum().to(values.dtype)
    if order == 1:
        return values.abs().sum()
    if order == 2:
        return (values * values).sum().sqrt()
    return values.abs().pow(order).sum().pow(1.0 / order)


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The p-norm of all elements of all tensors: the norm of the tensors' norms.

    Raises: RuntimeError if it is not finite and `error_if_nonfinite` is set.
    """
    found = _listed(tensors)
    order = float(norm_type)
    if not found:
        return zeros(())
    total = _norm(stack([_norm(tensor, order) for tensor in found]), order)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite "
            "norm anyway, set `error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients so that a norm of `total_norm` becomes at most `max_norm`."""
    grads = [parameter.grad for parameter in _listed(parameters) if parameter.grad is not None]
    if not grads:
        return
    # 1e-6 keeps the division finite; PyTorch uses the same, so the numbers agree.
    scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(scale.to(grad.dtype))


@no_grad()
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients together so that their norm is at most `max_norm`; returns the norm."""
    found = _listed(parameters)
    if not found and isinstance(parameters, types.GeneratorType):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3
        )
    grads = [parameter.grad for parameter in found if parameter.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(found, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated: use `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Clamp every element of the gradients to [-clip_value, clip_value]."""
    limit = float(clip_value)
    for parameter in _listed(parameters):
        if parameter.grad is not None:
            parameter.grad.clamp_(min=-limit, max=limit)
