"""Muon.  Level 12."""

from __future__ import annotations

import math
from typing import Any

from rushlight.base.dtypes import bfloat16, float32
from rushlight.optim.options import lerp, scalar_option, state_like
from rushlight.optim.parameterwise import ParameterwiseOptimizer
from rushlight.primitives.elementwise import maximum
from rushlight.tensor.tensor import Tensor

__all__ = ["Muon"]

# Coefficients a, b, c of the odd quintic a s + b s^3 + c s^5 that pushes singular values toward 1,
# and the guard of the first division.  Source: Jordan et al., Muon, 2024.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_EPS = 1e-7


class Muon(ParameterwiseOptimizer):
    """Momentum whose update is made nearly orthogonal by a Newton-Schulz iteration.

    For matrices only.  The iteration runs in bfloat16, as in PyTorch.  Source: torch.optim.Muon.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = _COEFFICIENTS,
        eps: float = _EPS,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if ns_steps >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(ns_coefficients) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {param.shape}"
                    )

    def _step_parameter(self, group: dict[str, Any], param: Tensor, grad: Tensor) -> None:
        if param.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        state = self.state[param]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = state_like(grad)
        buffer, momentum = state["momentum_buffer"], group["momentum"]
        buffer.copy_(lerp(buffer, grad, 1 - momentum))
        update = lerp(grad, buffer, momentum) if group["nesterov"] else buffer
        direction = orthogonalized(
            update, group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        lr = scalar_option(group["lr"])
        param.mul_(1 - lr * group["weight_decay"])
        rate = lr * _rate_factor(group["adjust_lr_fn"], tuple(param.shape))
        param.sub_(direction.to(param.dtype) * rate)


def orthogonalized(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The factor U V^T of `matrix` = U S V^T, roughly.  Shapes: (m, n) -> (m, n), float32."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = _rounded(matrix.to(float32))
    if tall:
        x = x.T
    norm = _rounded((x * x).sum().sqrt())
    x = _rounded(x / maximum(norm, norm._scalar(eps)))
    for _ in range(steps):
        gram = _rounded(x @ x.T)  # (min(m, n), min(m, n))
        polynomial = _rounded(gram * b + (gram @ gram) * c)
        x = _rounded(x * a + polynomial @ x)
    return x.T if tall else x


def _rounded(x: Tensor) -> Tensor:
    """float32 with the values that bfloat16 has: products are summed in float32, rounded once."""
    return x.to(bfloat16).to(float32)


def _rate_factor(kind: str | None, shape: tuple[int, ...]) -> float:
    rows, columns = shape
    if kind == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
