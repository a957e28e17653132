"""RAdam.  Level 12."""

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
    scalar_option,
    state_like,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["RAdam"]


class RAdam(FlatOptimizer):
    """Adam whose adaptive rate waits until its variance is known (Liu et al., 2020).

    Below five effective samples (rho_t) the step is plain bias-corrected momentum.
    Source: torch.optim.RAdam.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.RAdam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        beta1, beta2 = group["betas"]
        step = known["step"] + 1
        correction2 = 1 - beta2**step
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * beta2**step / correction2
        from_end, values = moment_numbers(beta1, beta2)
        values["correction1"] = 1 - beta1**step
        values["lr"] = scalar_option(group["lr"])
        rectifies = bool(rho > 5.0)
        if rectifies:
            rectified = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
            values["correction2"] = correction2**0.5
            values["eps"] = group["eps"]
            values["rectified"] = rectified**0.5
        return Numbers((from_end, rectifies), values, {"step": step})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        from_end, rectifies = form
        m, v = moments(state, g, from_end, n)
        update = m / n["correction1"] * n["lr"]
        if rectifies:
            update = update * (n["correction2"] / (v.sqrt() + n["eps"])) * n["rectified"]
        return x - update, {"exp_avg": m, "exp_avg_sq": v}
