"""RMSprop.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import (
    check_eps,
    check_lr,
    check_not_negative,
    count_tensor,
    lerp_from,
    lerp_number,
    scalar_option,
    state_like,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(FlatOptimizer):
    """Divide by a running root mean square of the gradient (Hinton's lecture 6e, 2012).

    v <- alpha v + (1 - alpha) g^2;  d = sqrt(v - mean(g)^2 if centered else v) + eps;
    x <- x - lr g / d, or with momentum buf <- momentum buf + g / d and x <- x - lr buf.
    Source: torch.optim.RMSprop.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.RMSprop([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        alpha, momentum = group["alpha"], group["momentum"]
        from_end, weight = lerp_number(1 - alpha)
        values = {
            "lr": scalar_option(group["lr"]),
            "alpha": alpha,
            "rest": 1 - alpha,
            "eps": group["eps"],
            "weight": weight,
            "momentum": momentum,
        }
        form = (bool(group["centered"]), from_end, momentum > 0)
        return Numbers(form, values, {"step": known["step"] + 1})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        centered, from_end, has_momentum = form
        v = state["square_avg"] * n["alpha"] + g * n["rest"] * g
        changed = {"square_avg": v}
        if centered:
            mean = changed["grad_avg"] = lerp_from(state["grad_avg"], g, from_end, n["weight"])
            v = v - mean * mean
        denominator = v.sqrt() + n["eps"]
        if has_momentum:
            buffer = state["momentum_buffer"] * n["momentum"] + g / denominator
            changed["momentum_buffer"] = buffer
            return x - buffer * n["lr"], changed
        return x - g * n["lr"] / denominator, changed
