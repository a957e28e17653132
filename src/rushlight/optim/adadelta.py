"""Adadelta.  Level 12."""

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
    scalar_option,
    state_like,
)
from rushlight.tensor.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(FlatOptimizer):
    """Steps scaled by running sizes of gradients and of earlier steps (Zeiler, 2012).

    v <- rho v + (1 - rho) g^2;  d = sqrt(u + eps) / sqrt(v + eps) * g;
    u <- rho u + (1 - rho) d^2;  x <- x - lr d.  Source: torch.optim.Adadelta.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.Adadelta([x], lr=1.0)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        rho = group["rho"]
        values = {
            "lr": scalar_option(group["lr"]),
            "rho": rho,
            "rest": 1 - rho,
            "eps": group["eps"],
        }
        return Numbers((), values, {"step": known["step"] + 1})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        v = state["square_avg"] * n["rho"] + g * n["rest"] * g
        delta = (state["acc_delta"] + n["eps"]).sqrt() / (v + n["eps"]).sqrt() * g
        u = state["acc_delta"] * n["rho"] + delta * n["rest"] * delta
        return x - delta * n["lr"], {"square_avg": v, "acc_delta": u}
