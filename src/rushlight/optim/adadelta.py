"""Adadelta.  Level 12."""

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
    scalar_option,
    state_like,
    with_shared_options,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(FlatOptimizer):
    """Steps scaled by running sizes of gradients and of earlier steps (Zeiler, 2012).

    v <- rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) * g;
    u <- rho u + (1 - rho) d^2;  x <- x - lr d.  Source: torch.optim.Adadelta.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_eps(eps)
        check_not_negative("weight_decay", weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        return {
            "step": count_tensor(0.0),
            "square_avg": state_like(param),
            "acc_delta": state_like(param),
        }

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        step = known["step"] + 1
        lr = scalar_option(group["lr"])
        x, g = with_shared_options(group, x, g)
        rho, eps = group["rho"], group["eps"]
        v = state["square_avg"] * rho + g * (1 - rho) * g
        delta = (state["acc_delta"] + eps).sqrt() / (v + eps).sqrt() * g
        u = state["acc_delta"] * rho + delta * (1 - rho) * delta
        return x - delta * lr, {"square_avg": v, "acc_delta": u}, {"step": step}
