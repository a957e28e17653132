"""Adamax.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.optim.flat_step import (
    Flat,
    FlatOptimizer,
    State,
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    count_tensor,
    lerp,
    scalar_option,
    state_like,
    with_shared_options,
)
from rushlight.primitives.elementwise import maximum
from rushlight.tensor.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(FlatOptimizer):
    """Adam with the infinity norm in place of the second moment (Kingma and Ba, 2015).

    m <- lerp(m, g, 1 - beta1);  u <- max(beta2 u, |g| + eps);  x <- x - lr / (1 - beta1^t) * m / u.
    Source: torch.optim.Adamax.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        return {
            "step": count_tensor(0.0),
            "exp_avg": state_like(param),
            "exp_inf": state_like(param),
        }

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        step = known["step"] + 1
        lr = scalar_option(group["lr"])
        x, g = with_shared_options(group, x, g)
        beta1, beta2 = group["betas"]
        m = lerp(state["exp_avg"], g, 1 - beta1)
        u = maximum(state["exp_inf"] * beta2, g.abs() + group["eps"])
        x = x - m * (lr / (1 - beta1**step)) / u
        return x, {"exp_avg": m, "exp_inf": u}, {"step": step}
