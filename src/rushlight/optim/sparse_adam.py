"""Adam for parameters of whose gradients only some rows are there.  Level 12."""

from __future__ import annotations

import math
from typing import Any

from rushlight.optim.options import check_betas, state_like
from rushlight.optim.parameterwise import ParameterwiseOptimizer
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor
from rushlight.tensor.tensor import Tensor

__all__ = ["SparseAdam"]


class SparseAdam(ParameterwiseOptimizer):
    """Adam whose moments and parameters change only where the gradient has elements.

    As Adam there: m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2.
    Raises: ValueError for options out of range or sparse parameters; RuntimeError for dense
    gradients.  Source: torch.optim.SparseAdam.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        sparse = [
            [place, number]
            for place, group in enumerate(self.param_groups)
            for number, param in enumerate(group["params"])
            if isinstance(param, SparseTensor)
        ]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )

    def _step_parameter(self, group: dict[str, Any], param: Tensor, grad: Tensor) -> None:
        if not isinstance(grad, SparseTensor):
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        state = self.state[param]
        if not state:
            state["step"] = 0
            state["exp_avg"] = state_like(param)
            state["exp_avg_sq"] = state_like(param)
        state["step"] += 1
        g = (-grad if group["maximize"] else grad).coalesce()
        if not g.elements.numel():
            return
        first, second = group["betas"]
        mean = self._moved(state["exp_avg"], g, g.elements, 1 - first)
        square = self._moved(state["exp_avg_sq"], g, g.elements * g.elements, 1 - second)
        correction = math.sqrt(1 - second ** state["step"]) / (1 - first ** state["step"])
        rate = float(group["lr"]) * correction
        step = g.with_elements(mean / (square.sqrt() + group["eps"]))
        param._assign_value(FUNCTIONS["add"](param, step, alpha=-rate))

    def _moved(self, moment: Tensor, grad: SparseTensor, goal: Tensor, share: float) -> Tensor:
        """Move a moment towards `goal` at the gradient's places; returns its new values there."""
        before = FUNCTIONS["sparse_mask"](moment, grad).elements
        change = (goal - before) * share
        moment._assign_value(FUNCTIONS["add"](moment, grad.with_elements(change)))
        return before + change
