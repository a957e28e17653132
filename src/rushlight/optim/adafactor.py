"""Adafactor.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.limits import finfo
from rushlight.ops.creation import zeros
from rushlight.ops.magnitude import vector_norm
from rushlight.optim.options import count_tensor, lerp, scalar_option
from rushlight.optim.parameterwise import ParameterwiseOptimizer
from rushlight.primitives.elementwise import maximum
from rushlight.tensor.tensor import Tensor

__all__ = ["Adafactor"]


class Adafactor(ParameterwiseOptimizer):
    """Adaptive rates with a factored second moment (Shazeer and Stern, 2018).

    A matrix keeps one number for each row and one for each column in place of a number for each
    element; the rate is relative to the parameter's size and the update's size is clipped at d.
    Each parameter is updated on its own, since norms of single parameters enter.
    Source: torch.optim.Adafactor.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
        if any(p.dtype.is_complex for group in self.param_groups for p in group["params"]):
            raise RuntimeError("Adafactor does not support complex parameters")

    def _step_parameter(self, group: dict[str, Any], param: Tensor, grad: Tensor) -> None:
        if group["maximize"]:
            grad = -grad
        state = self.state[param]
        if not state:
            state.update(_new_state(param))
        state["step"] += 1
        step = float(state["step"])
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = finfo(param.dtype).eps
        lr = scalar_option(group["lr"])
        relative_rate = min(float(lr), 1 / step**0.5)
        size = _norm(param) / param.numel() ** 0.5
        if group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        variance = _second_moment(state, grad, step ** group["beta2_decay"], eps1)
        update = grad / _at_least(variance, eps1 * eps1).sqrt()
        clip = max(1.0, _norm(update) / (update.numel() ** 0.5 * group["d"]))
        param.sub_(update * (max(eps2, size) * relative_rate / clip))


def _new_state(param: Tensor) -> dict[str, Tensor]:
    """Row and column moments where the gradient is a matrix or more, else a full one."""
    state = {"step": count_tensor(0.0)}
    shape = tuple(param.shape)
    like = {"dtype": param.dtype, "device": param.device}
    if len(shape) > 1:
        state["row_var"] = zeros((*shape[:-1], 1), **like)
        state["col_var"] = zeros((*shape[:-2], 1, shape[-1]), **like)
    else:
        state["variance"] = zeros(shape, **like)
    return state


def _norm(tensor: Tensor) -> float:
    """The 2-norm of all elements, read now: it decides how far to go."""
    return vector_norm(tensor).item()


def _at_least(tensor: Tensor, bound: float) -> Tensor:
    return maximum(tensor, tensor._scalar(bound))


def _second_moment(state: dict[str, Tensor], grad: Tensor, weight: float, eps1: float) -> Tensor:
    """Update the running moments and return the estimate of grad squared.  Shapes: grad's."""
    if grad.dim() <= 1:
        variance = state["variance"]
        variance.copy_(lerp(variance, grad * grad, weight))
        return variance
    row, column = state["row_var"], state["col_var"]
    squared = grad * grad
    row.copy_(lerp(row, squared.mean(dim=-1, keepdim=True), weight))  # (..., m, 1)
    column.copy_(lerp(column, squared.mean(dim=-2, keepdim=True), weight))  # (..., 1, n)
    return (row @ column) / _at_least(row.mean(dim=-2, keepdim=True), eps1)  # (..., m, n)
