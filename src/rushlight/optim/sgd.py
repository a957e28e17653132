"""SGD with momentum.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import (
    check_flavor,
    check_lr,
    check_not_negative,
    scalar_option,
    state_like,
)
from rushlight.tensor.sparse_tensor import FUNCTIONS, SparseTensor
from rushlight.tensor.tensor import Tensor

__all__ = ["SGD"]


class SGD(FlatOptimizer):
    """Stochastic gradient descent, with momentum and Nesterov's variant of it.

    buf <- momentum buf + (1 - dampening) g;  x <- x - lr (g + momentum buf if nesterov else buf).
    The first buffer is the first gradient, undampened.  Source: torch.optim.SGD.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.SGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
    """

    scalars = ()

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative("momentum", momentum)
        check_not_negative("weight_decay", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_flavor(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        return {}

    def _state_of(self, group: dict[str, Any], param: Tensor) -> State:
        if group["momentum"] == 0:
            return {}
        state = self.state[param]
        # A state saved before the first step with momentum may hold None.
        if state.get("momentum_buffer", None) is None:
            state.pop("momentum_buffer", None)
            # From a buffer of zeros the first step is the program of all others.  Dampened, it is
            # not: the first gradient counts in full.
            if group["dampening"] == 0:
                state["momentum_buffer"] = state_like(param)
        return state

    def sparse_step(self, group: dict[str, Any], param: Tensor, grad: SparseTensor) -> None:
        """As PyTorch: rows without a gradient keep still, and so do their momenta."""
        g = -grad if group["maximize"] else grad
        if group["weight_decay"] != 0:
            raise RuntimeError(
                "SGD: weight_decay is not compatible with sparse gradients: it would change every "
                "row; set it to 0, or use sparse=False"
            )
        if group["momentum"] != 0:
            state = self.state[param]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = g.clone()
            else:
                buffer.mul_(group["momentum"]).add_(g, alpha=1 - group["dampening"])
            g = g + buffer * group["momentum"] if group["nesterov"] else buffer
        rate = float(group["lr"])
        param._assign_value(FUNCTIONS["add"](param, g, alpha=-rate))

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        momentum = group["momentum"]
        values = {"lr": scalar_option(group["lr"])}
        if momentum != 0:
            values["momentum"] = momentum
            values["dampened"] = 1 - group["dampening"]
        return Numbers((momentum != 0, bool(group["nesterov"])), values, {})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        has_momentum, nesterov = form
        if not has_momentum:
            return x - g * n["lr"], {}
        buffer = g
        if "momentum_buffer" in state:
            buffer = state["momentum_buffer"] * n["momentum"] + g * n["dampened"]
        g = g + buffer * n["momentum"] if nesterov else buffer
        return x - g * n["lr"], {"momentum_buffer": buffer}
