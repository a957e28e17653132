"""`ZeroRedundancyOptimizer` for one process, which keeps the whole state.  Level 12."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.distributed import get_rank, get_world_size, is_initialized
from rushlight.optim.optimizer import Optimizer
from rushlight.tensor.tensor import Tensor

__all__ = ["ZeroRedundancyOptimizer"]


class ZeroRedundancyOptimizer(Optimizer):
    """An optimizer whose state the processes of a group share; of one process it keeps all.

    optimizer_class: made of the parameters and `defaults`; what it does is what this one does.
    Raises: RuntimeError without a process group; TypeError for parameters that are none.
    Source: torch.distributed.optim.ZeroRedundancyOptimizer.
    """

    def __init__(
        self,
        params: Any,
        optimizer_class: type[Optimizer],
        process_group: Any = None,
        parameters_as_bucket_view: bool = False,
        overlap_with_ddp: bool = False,
        **defaults: Any,
    ) -> None:
        if not is_initialized():
            raise RuntimeError(
                "Default process group has not been initialized, please make sure to call "
                "init_process_group."
            )
        listed = self._verified(params)
        self.process_group = process_group
        self.world_size, self.rank = get_world_size(process_group), get_rank(process_group)
        self.parameters_as_bucket_view = parameters_as_bucket_view
        self.optim = optimizer_class(listed, **defaults)
        self._gathered: dict[str, Any] | None = None
        super().__init__(listed, dict(self.optim.defaults))
        # One list and one table for both: schedulers and checkpoints see what the steps use.
        self.param_groups = self.optim.param_groups
        self.state = self.optim.state

    @staticmethod
    def _verified(params: Any) -> list[Any]:
        if isinstance(params, Tensor):
            raise TypeError(
                f"`params` argument should be an iterable of Tensors, but got {type(params)}"
            )
        listed = list(params)
        if not listed:
            raise ValueError("ZeroRedundancyOptimizer got an empty parameter list")
        for param in listed:
            if not isinstance(param, (Tensor, dict)):
                raise TypeError(
                    "`params` argument should be an iterable of Tensors or dicts, but got an "
                    f"iterable containing {type(param)}"
                )
        return listed

    @property
    def join_device(self) -> Any:
        """The device of the parameters."""
        return self.param_groups[0]["params"][0].device

    @property
    def join_process_group(self) -> Any:
        """The group of processes."""
        return self.process_group

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        inner = self.__dict__.get("optim")
        if inner is None or getattr(self, "param_groups", None) is not inner.param_groups:
            super().add_param_group(param_group)  # while the base class is set up
            return
        self._gathered = None
        inner.add_param_group(param_group)

    def step(self, closure: Callable[[], Any] | None = None, **kwargs: Any) -> Any:
        """One step of the optimizer inside."""
        self._gathered = None
        return (
            self.optim.step(closure, **kwargs) if closure is not None else self.optim.step(**kwargs)
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.optim.zero_grad(set_to_none)

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Gather the state of all processes on one of them, for `state_dict`."""
        self._gathered = self.optim.state_dict() if self.rank == to else None

    def state_dict(self) -> dict[str, Any]:
        """The whole state.  Raises: RuntimeError unless `consolidate_state_dict` was called."""
        if self._gathered is None:
            raise RuntimeError(
                "Optimizer state has not been consolidated on this rank. Please call "
                f"`consolidate_state_dict(to={self.rank})` on all ranks beforehand if you meant to "
                "save the global state."
            )
        return self._gathered

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state that `state_dict` gave, of this optimizer or of the one inside."""
        self._gathered = None
        self.optim.load_state_dict(state_dict)
        self.param_groups = self.optim.param_groups
        self.state = self.optim.state
