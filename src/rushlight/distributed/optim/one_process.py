"""Optimizers whose state is elsewhere: with one process, all of it is here.  Level 12.

Source: torch.distributed.optim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.distributed.algorithms.join import Joinable, JoinHook
from rushlight.optim import zero_redundancy
from rushlight.optim.optimizer import Optimizer


class ZeroRedundancyOptimizer(zero_redundancy.ZeroRedundancyOptimizer, Joinable):
    """The optimizer of `optim.zero_redundancy`, which `Join` takes."""

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """Nothing is to be done for others."""
        return JoinHook()


class PostLocalSGDOptimizer(Optimizer):
    """An optimizer after whose steps an averager averages the parameters among processes."""

    def __init__(self, optim: Optimizer, averager: Any) -> None:
        self.optim, self.averager = optim, averager
        self.param_groups, self.state = optim.param_groups, optim.state
        self.defaults = optim.defaults

    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        """One step, then the averager's word."""
        made = self.optim.step(closure) if closure else self.optim.step()
        self.averager.average_parameters(params=self.param_groups)
        return made

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.optim.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer inside, with the averager's step."""
        return {**self.optim.state_dict(), "step": self.averager.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of both."""
        self.optim.load_state_dict(state_dict)
        self.averager.step = state_dict.get("step", 0)


class DistributedOptimizer:
    """An optimizer of parameters that other processes hold; refused, as there are none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "DistributedOptimizer: parameters of other processes are reached through"
            " distributed.rpc, and rushlight runs one process; use the optimizer itself"
        )
