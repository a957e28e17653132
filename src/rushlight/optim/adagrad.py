"""Adagrad.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.optim.flat_step import (
    Flat,
    FlatOptimizer,
    State,
    check_eps,
    check_flavor,
    check_lr,
    check_not_negative,
    count_tensor,
    scalar_option,
    state_like,
    with_shared_options,
)
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor
from rushlight.tensor.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(FlatOptimizer):
    """Adaptive subgradient method (Duchi, Hazan and Singer, 2011).

    sum <- sum + g^2;  x <- x - lr / (1 + (t - 1) lr_decay) * g / (sqrt(sum) + eps).
    The state exists from construction, as in PyTorch.  Source: torch.optim.Adagrad.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("lr_decay", lr_decay)
        check_not_negative("weight_decay", weight_decay)
        check_not_negative("initial_accumulator_value", initial_accumulator_value)
        check_eps(eps)
        check_flavor(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param].update(self.new_state(group, param))

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        start = group["initial_accumulator_value"]
        if param.dtype.is_complex:
            start = complex(start, start)
        return {"step": count_tensor(0.0), "sum": state_like(param, start)}

    def share_memory(self) -> None:
        """Move the sums to memory that other processes can see."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def sparse_step(self, group: dict[str, Any], param: Tensor, grad: SparseTensor) -> None:
        """Sums and rows change where the gradient has rows."""
        if group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        state = self._state_of(group, param)
        step = float(state["step"]) + 1
        state["step"]._assign_value(count_tensor(step))
        g = (-grad if group["maximize"] else grad).coalesce()
        rate = float(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        total = state["sum"]
        total._assign_value(FUNCTIONS["add"](total, g * g))
        scale = total.sparse_mask(g).elements.sqrt() + group["eps"]
        moved = g.with_elements(g.elements / scale)
        param._assign_value(FUNCTIONS["add"](param, moved, alpha=-rate))

    def rule(
        self, group: dict[str, Any], x: Tensor, g: Tensor, state: Flat, known: dict[str, float]
    ) -> tuple[Tensor, Flat, dict[str, float]]:
        step = known["step"] + 1
        x, g = with_shared_options(group, x, g)
        rate = scalar_option(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        total = state["sum"] + g * g
        x = x - g * rate / (total.sqrt() + group["eps"])
        return x, {"sum": total}, {"step": step}
