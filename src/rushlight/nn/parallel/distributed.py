"""`DistributedDataParallel` over the one process there is.  Level 12.

In: a module and an initialized process group. Out: a module that calls it, whose state's keys begin
with `module.`; gradients need no averaging. Source: torch.nn.parallel.DistributedDataParallel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rushlight.distributed.distributed_c10d import _resolved
from rushlight.nn.modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """Wraps a module under the name `module`.

    Options of PyTorch's that concern how gradients travel are taken and have nothing to do.
    Raises: ValueError without a process group, RuntimeError if no parameter requires gradients or
        GPUs are asked for.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        group = _resolved(process_group)
        if device_ids:
            raise RuntimeError(
                f"DistributedDataParallel: device_ids={list(device_ids)} asks for GPUs, and "
                "rushlight runs on the CPU only; leave device_ids out"
            )
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        self.module = module
        self.device_ids = None
        self.output_device = output_device
        self.dim = dim
        self.process_group = group
        self.broadcast_buffers = True if broadcast_buffers is None else broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True
        self.parameters_to_ignore = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """A stretch in which gradients stay with each process, as they do anyway."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextlib.contextmanager
    def join(self, *args: Any, **options: Any) -> Iterator[None]:
        """A stretch in which processes may have inputs of different number."""
        yield

    def register_comm_hook(self, state: object, hook: Callable[..., Any]) -> None:
        """Raises: NotImplementedError always; no gradient is sent that a hook could change."""
        raise NotImplementedError(
            "register_comm_hook: rushlight runs one process (world size 1), which sends no "
            "gradients"
        )

    def _set_static_graph(self) -> None:
        self.static_graph = True

    def will_sync_module_buffers(self) -> bool:
        """Whether buffers would be sent before a forward: never."""
        return False
