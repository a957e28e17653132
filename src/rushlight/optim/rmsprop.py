"""RMSprop.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.optim.flat_step import (
    Flat,
    FlatOptimizer,
    State,
    check_eps,
    check_lr,
    check_not_negative,
    count_tensor,
    lerp,
    scalar_option,
    state_like,
    with_shared_options,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(FlatOptimizer):
    """Divide by a running root mean square of the gradient (Hinton's lecture 6e, 2012).

    v <- alpha v + (1 - alpha) g^2;  d = sqrt(v - mean(g)^2 if centered else v) + eps;
    x <- x - lr g / d, or with momentum buf <- momentum buf + g / d and x <- x - lr buf.
    Source: torch.optim.RMSprop.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_not_negative("momentum", momentum)
        check_not_negative("weight_decay", weight_decay)
        check_not_negative("alpha", alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        state = {"step": count_tensor(0.0), "square_avg": state_like(param)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = state_like(param)
        if group["centered"]:
            state["grad_avg"] = state_like(param)
        return state

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        step = known["step"] + 1
        lr = scalar_option(group["lr"])
        x, g = with_shared_options(group, x, g)
        alpha = group["alpha"]
        v = state["square_avg"] * alpha + g * (1 - alpha) * g
        changed = {"square_avg": v}
        if group["centered"]:
            mean = changed["grad_avg"] = lerp(state["grad_avg"], g, 1 - alpha)
            v = v - mean * mean
        denominator = v.sqrt() + group["eps"]
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"] * group["momentum"] + g / denominator
            changed["momentum_buffer"] = buffer
            return x - buffer * lr, changed, {"step": step}
        return x - g * lr / denominator, changed, {"step": step}
