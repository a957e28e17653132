"""NAdam.  Level 12."""

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
    rounded,
    scalar_option,
    state_like,
    with_shared_options,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["NAdam"]


class NAdam(FlatOptimizer):
    """Adam with Nesterov momentum (Dozat, 2016).

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), and mu_product is the product of all mu so far:
    x <- x - lr (1 - mu_t) / (1 - mu_product) g / d - lr mu_{t+1} / (1 - mu_product mu_{t+1}) m / d
    with d = sqrt(v / (1 - beta2^t)) + eps.  Source: torch.optim.NAdam.
    """

    scalars = ("step", "mu_product")

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative("momentum_decay", momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        return {
            "step": count_tensor(0.0),
            "mu_product": count_tensor(1.0),
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
        decay = group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        mu_product = rounded(known["mu_product"] * rounded(mu))
        m = lerp(state["exp_avg"], g, 1 - beta1)
        v = state["exp_avg_sq"] * beta2 + g * (1 - beta2) * g
        denominator = (v / (1 - beta2**step)).sqrt() + group["eps"]
        x = x + g * (-lr * (1.0 - mu) / (1.0 - mu_product)) / denominator
        x = x + m * (-lr * mu_next / (1.0 - mu_product * mu_next)) / denominator
        return x, {"exp_avg": m, "exp_avg_sq": v}, {"step": step, "mu_product": mu_product}
