"""ASGD.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.optim.flat_step import (
    Flat,
    FlatOptimizer,
    State,
    check_lr,
    check_not_negative,
    count_tensor,
    rounded,
    state_like,
    with_shared_options,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(FlatOptimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    x <- (1 - lambd eta) x - eta g;  ax <- ax + mu (x - ax), the average, from step t0 on;
    eta = lr / (1 + lambd lr t)^alpha.  Source: torch.optim.ASGD.
    """

    scalars = ("step", "eta", "mu")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
            "eta": count_tensor(float(group["lr"])),
            "mu": count_tensor(1.0),
            "ax": state_like(param),
        }

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        step = known["step"] + 1
        lr = float(group["lr"])
        x, g = with_shared_options(group, x, g)
        eta, mu, lambd = known["eta"], known["mu"], group["lambd"]
        x = x * (1 - lambd * eta) - g * eta
        ax = x if mu == 1 else state["ax"] + (x - state["ax"]) * mu
        numbers = {
            "step": step,
            "eta": rounded(lr / (1 + lambd * lr * step) ** group["alpha"]),
            "mu": rounded(1 / max(1, step - group["t0"])),
        }
        return x, {"ax": ax}, numbers
