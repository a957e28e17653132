"""Limits on gradients, in place.  Level 12.

The gradients of one dtype are packed into one flat tensor, so that what clipping records does not
grow with the number of parameters.  No value is read: scaling by min(1, max_norm / norm) needs no
branch, and so clipping does not cut the tape.
"""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Iterable

from rushlight.base.dtypes import promote_types
from rushlight.ops.creation import zeros
from rushlight.ops.joining import stack
from rushlight.ops.magnitude import vector_norm
from rushlight.ops.promotion import widened
from rushlight.primitives.movement import pack, unpack
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _same_kind(tensors: list[Tensor]) -> list[list[Tensor]]:
    """The tensors by dtype and device, in order of first appearance."""
    groups: dict[tuple, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    return list(groups.values())


@no_grad()
def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The p-norm of all elements of all tensors.

    Dtypes: the one that all are promoted to.
    Raises: RuntimeError if it is not finite and `error_if_nonfinite` is set.
    """
    order = float(norm_type)
    groups = _same_kind(_listed(tensors))
    if not groups:
        return zeros(())
    # Sums in float32 or wider: squares of float16 overflow from 256 on. The norms meet in the
    # widest dtype, which is the result's.
    norms = [vector_norm(widened(pack(group)), order) for group in groups]
    total = norms[0]
    if len(norms) > 1:
        total = vector_norm(stack(norms), order)
    total = total.to(functools.reduce(promote_types, (group[0].dtype for group in groups)))
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite "
            "norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [parameter.grad for parameter in _listed(parameters) if parameter.grad is not None]


def _change_in_place(grads: list[Tensor], change: Callable[[Tensor], Tensor]) -> None:
    """Replace the gradients' values by `change` of them, all of one dtype at a time."""
    for group in _same_kind(grads):
        shapes = tuple(tuple(grad.shape) for grad in group)
        for grad, value in zip(group, unpack(change(pack(group)), shapes)):
            grad._assign_value(value)


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients so that a norm of `total_norm` becomes at most `max_norm`."""
    # 1e-6 keeps the division finite; PyTorch uses the same, so the numbers agree.
    scale = (float(max_norm) / (widened(total_norm) + 1e-6)).clamp(max=1.0)

    def scaled(flat: Tensor) -> Tensor:
        # A factor below 6e-5 has few digits in float16, below 3e-8 none.
        wide = widened(flat)
        return (wide * scale.to(wide.dtype)).to(flat.dtype)

    _change_in_place(_gradients(parameters), scaled)


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
    total = get_total_norm(_gradients(found), norm_type, error_if_nonfinite, foreach)
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
    _change_in_place(_gradients(parameters), lambda flat: flat.clamp(min=-limit, max=limit))
