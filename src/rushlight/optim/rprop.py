"""Rprop.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import check_lr, count_tensor, state_like
from rushlight.primitives.elementwise import maximum, minimum, sign, where
from rushlight.tensor.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(FlatOptimizer):
    """Resilient propagation: steps follow the gradient's sign only (Riedmiller and Braun, 1993).

    A step size grows by etas[1] while the sign stays, and shrinks by etas[0] when it turns; then
    this step is skipped.  Source: torch.optim.Rprop.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.Rprop([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        size = float(group["lr"])
        start = complex(size, size) if param.dtype.is_complex else size
        return {
            "step": count_tensor(0.0),
            "prev": state_like(param),
            "step_size": state_like(param, start),
        }

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        shrink, grow = group["etas"]
        least, most = group["step_sizes"]
        values = {"shrink": shrink, "grow": grow, "least": least, "most": most}
        return Numbers((), values, {"step": known["step"] + 1})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        agreement = g * state["prev"]
        turned = agreement < 0
        size = where(turned, state["step_size"] * n["shrink"], state["step_size"])
        size = where(agreement > 0, state["step_size"] * n["grow"], size)
        size = minimum(maximum(size, n["least"]), n["most"])
        g = where(turned, g * 0, g)
        return x - sign(g) * size, {"prev": g, "step_size": size}
