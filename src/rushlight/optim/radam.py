"""RAdam.  Level 12."""

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
from rushlight.tensor.tensor import Tensor

__all__ = ["RAdam"]


class RAdam(FlatOptimizer):
    """Adam whose adaptive rate waits until its variance is known (Liu et al., 2020).

    Below five effective samples (rho_t) the step is plain bias-corrected momentum.
    Source: torch.optim.RAdam.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        return {
            "step": count_tensor(0.0),
            "exp_avg": state_like(param),
            "exp_avg_sq": state_like(param),
        }

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        step = known["step"] + 1
        lr = scalar_option(group["lr"])
        x, g = with_shared_options(group, x, g)
        beta1, beta2 = group["betas"]
        m = lerp(state["exp_avg"], g, 1 - beta1)
        v = state["exp_avg_sq"] * beta2 + g * (1 - beta2) * g
        changed = {"exp_avg": m, "exp_avg_sq": v}
        update = m / (1 - beta1**step) * lr
        correction2 = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / correction2
        if rho > 5.0:
            rectified = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
            update = update * (correction2**0.5 / (v.sqrt() + group["eps"])) * rectified**0.5
        return x - update, changed, {"step": step}
