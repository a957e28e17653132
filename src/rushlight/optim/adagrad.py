"""Adagrad.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import (
    check_eps,
    check_flavor,
    check_lr,
    check_not_negative,
    count_tensor,
    scalar_option,
    state_like,
)
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor
from rushlight.tensor.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(FlatOptimizer):
    """Adaptive subgradient method (Duchi, Hazan and Singer, 2011).

    sum <- sum + g^2;  x <- x - lr / (1 + (t - 1) lr_decay) * g / (sqrt(sum) + eps).
    The state exists from construction, as in PyTorch.  Source: torch.optim.Adagrad.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.Adagrad([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
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

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        step = known["step"] + 1
        rate = scalar_option(group["lr"]) / (1 + (step - 1) * group["lr_decay"])
        return Numbers((), {"rate": rate, "eps": group["eps"]}, {"step": step})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        total = state["sum"] + g * g
        return x - g * n["rate"] / (total.sqrt() + n["eps"]), {"sum": total}
