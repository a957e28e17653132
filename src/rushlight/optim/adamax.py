"""Adamax.  Level 12."""

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
    lerp_from,
    lerp_number,
    scalar_option,
    state_like,
)
from rushlight.primitives.elementwise import maximum
from rushlight.tensor.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(FlatOptimizer):
    """Adam with the infinity norm in place of the second moment (Kingma and Ba, 2015).

    m <- lerp(m, g, 1 - beta1);  u <- max(beta2 u, |g| + eps);  x <- x - lr / (1 - beta1^t) * m / u.
    Source: torch.optim.Adamax.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.Adamax([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        beta1, beta2 = group["betas"]
        step = known["step"] + 1
        from_end, weight = lerp_number(1 - beta1)
        values = {
            "weight": weight,
            "beta2": beta2,
            "eps": group["eps"],
            "step_size": scalar_option(group["lr"]) / (1 - beta1**step),
        }
        return Numbers((from_end,), values, {"step": step})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        m = lerp_from(state["exp_avg"], g, form[0], n["weight"])
        u = maximum(state["exp_inf"] * n["beta2"], g.abs() + n["eps"])
        return x - m * n["step_size"] / u, {"exp_avg": m, "exp_inf": u}
