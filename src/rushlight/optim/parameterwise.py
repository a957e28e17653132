"""Optimizers whose rule takes one parameter at a time, by plain operations.  Level 12."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.optim.optimizer import Optimizer
from rushlight.tensor.grad_mode import enable_grad, no_grad
from rushlight.tensor.tensor import Tensor


class ParameterwiseOptimizer(Optimizer):
    """Calls `_step_parameter` of a subclass for each parameter that has a gradient."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    grad = param.grad
                    if grad is not None:
                        self._step_parameter(group, param, grad)
        return loss

    def _step_parameter(self, group: dict[str, Any], param: Tensor, grad: Tensor) -> None:
        raise NotImplementedError
