"""NAdam.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import (
    check_betas,
    check_eps,
    check_lr,
    check_not_negative,
    count_tensor,
    moment_numbers,
    moments,
    rounded,
    scalar_option,
    state_like,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["NAdam"]


class NAdam(FlatOptimizer):
    """Adam with Nesterov momentum (Dozat, 2016).

    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2), and mu_product is the product of all mu so far:
    x <- x - lr (1 - mu_t) / (1 - mu_product) g / d - lr mu_{t+1} / (1 - mu_product mu_{t+1}) m / d
    with d = sqrt(v / (1 - beta2^t)) + eps.  Source: torch.optim.NAdam.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.NAdam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        beta1, beta2 = group["betas"]
        lr, decay = scalar_option(group["lr"]), group["momentum_decay"]
        step = known["step"] + 1
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        mu_product = rounded(known["mu_product"] * rounded(mu))
        from_end, values = moment_numbers(beta1, beta2)
        values["correction2"] = 1 - beta2**step
        values["eps"] = group["eps"]
        values["for_g"] = -lr * (1.0 - mu) / (1.0 - mu_product)
        values["for_m"] = -lr * mu_next / (1.0 - mu_product * mu_next)
        return Numbers((from_end,), values, {"step": step, "mu_product": mu_product})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        m, v = moments(state, g, form[0], n)
        denominator = (v / n["correction2"]).sqrt() + n["eps"]
        x = x + g * n["for_g"] / denominator
        x = x + m * n["for_m"] / denominator
        return x, {"exp_avg": m, "exp_avg_sq": v}
