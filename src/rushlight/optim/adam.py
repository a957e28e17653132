"""Adam and AdamW.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.base.hot import hot
from rushlight.optim.bucket import Flat, Numbers, State
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.options import (
    check_betas,
    check_eps,
    check_flavor,
    check_lr,
    check_not_negative,
    count_tensor,
    moment_numbers,
    moments,
    scalar_option,
    state_like,
)
from rushlight.primitives.elementwise import maximum
from rushlight.tensor.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(FlatOptimizer):
    """Adaptive moments (Kingma and Ba, 2015), with AMSGrad and decoupled decay as options.

    m <- lerp(m, g, 1 - beta1);  v <- beta2 v + (1 - beta2) g^2;
    x <- x - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps).
    `capturable`, `foreach` and `fused` choose among implementations in PyTorch; they are kept in
    the groups and change nothing here.  Source: torch.optim.Adam.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.Adam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_lr(lr)
        check_eps(eps)
        check_betas(betas)
        check_not_negative("weight_decay", weight_decay)
        _check_kinds_of_betas(betas, bool(foreach) and not capturable)
        check_flavor(foreach, fused, differentiable)
        defaults = {
            "lr": lr,
            "betas": (scalar_option(betas[0]), scalar_option(betas[1])),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def new_state(self, group: dict[str, Any], param: Tensor) -> State:
        state = {
            "step": count_tensor(0.0),
            "exp_avg": state_like(param),
            "exp_avg_sq": state_like(param),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = state_like(param)
        return state

    @hot
    def numbers(self, group: dict[str, Any], known: dict[str, float]) -> Numbers:
        beta1, beta2 = group["betas"]
        step = known["step"] + 1
        from_end, values = moment_numbers(beta1, beta2)
        values["step_size"] = scalar_option(group["lr"]) / (1 - beta1**step)
        values["correction2"] = (1 - beta2**step) ** 0.5
        values["eps"] = group["eps"]
        return Numbers((bool(group["amsgrad"]), from_end), values, {"step": step})

    def rule(
        self, form: tuple, x: Tensor, g: Tensor, state: Flat, n: dict[str, Tensor]
    ) -> tuple[Tensor, Flat]:
        amsgrad, from_end = form
        m, v = moments(state, g, from_end, n)
        changed = {"exp_avg": m, "exp_avg_sq": v}
        if amsgrad:
            v = changed["max_exp_avg_sq"] = maximum(state["max_exp_avg_sq"], v)
        denominator = v.sqrt() / n["correction2"] + n["eps"]
        return x - m * n["step_size"] / denominator, changed


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Source: torch.optim.AdamW.

    >>> import rushlight as rl
    >>> x = rl.nn.Parameter(rl.tensor([1.0]))
    >>> optimizer = rl.optim.AdamW([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.item() < 1.0
    True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A checkpoint of an older AdamW lacks the option that now makes it one.
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


def _check_kinds_of_betas(betas: tuple[Any, Any], foreach: bool) -> None:
    if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, beta in enumerate(betas):
        if not isinstance(beta, Tensor):
            continue
        if foreach:
            raise ValueError(
                f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True"
            )
        if beta.numel() != 1:
            raise ValueError(f"Tensor betas[{index}] must be 1-element")
