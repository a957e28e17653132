"""ASGD.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import check_lr, check_not_negative, count_tensor, rounded, state_like
from rushlight.tensor.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(FlatOptimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    x <- (1 - lambd eta) x - eta g;  ax <- ax + mu (x - ax), the average, from step t0 on;
    eta = lr / (1 + lambd lr t)^alpha.  Source: torch.optim.ASGD.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.ASGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        step = known["step"] + 1
        lr, lambd = float(group["lr"]), group["lambd"]
        eta, mu = known["eta"], known["mu"]
        scalars = {
            "step": step,
            "eta": rounded(lr / (1 + lambd * lr * step) ** group["alpha"]),
            "mu": rounded(1 / max(1, step - group["t0"])),
        }
        return Numbers((mu == 1,), {"eta": eta, "kept": 1 - lambd * eta, "mu": mu}, scalars)

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        (begins,) = form
        x = x * n["kept"] - g * n["eta"]
        return x, {"ax": x if begins else state["ax"] + (x - state["ax"]) * n["mu"]}
