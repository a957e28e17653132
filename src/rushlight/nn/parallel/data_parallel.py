"""`DataParallel`: splits batches over GPUs; without any it calls its module, as PyTorch's.

Level 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.nn.modules.module import Module


class DataParallel(Module):
    """Wraps a module under the name `module`, so that its state's keys begin with `module.`.

    Raises: RuntimeError if devices are asked for: there is none to split a batch over.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        if device_ids:
            raise RuntimeError(
                f"DataParallel: device_ids={list(device_ids)} asks for GPUs, and rushlight runs "
                "on the CPU only; leave device_ids out"
            )
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Module,
    inputs: Any,
    device_ids: Sequence[Any] | None = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: Any = None,
) -> Any:
    """The module's results for `inputs`.  Raises: RuntimeError if devices are asked for."""
    wrapped = DataParallel(module, device_ids, output_device, dim)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return wrapped(*inputs, **(module_kwargs or {}))
