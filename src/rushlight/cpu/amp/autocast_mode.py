"""PyTorch's former `torch.cpu.amp.autocast`.  Level 12."""

from __future__ import annotations

import warnings

from rushlight.amp import autocast_mode as general
from rushlight.base.dtypes import DType, bfloat16

__all__ = ["autocast"]


class autocast(general.autocast):  # noqa: N801 - PyTorch's name
    """The former `torch.amp.autocast("cpu", ...)`; see there."""

    def __init__(
        self, enabled: bool = True, dtype: DType = bfloat16, cache_enabled: bool = True
    ) -> None:
        warnings.warn(
            "`torch.cpu.amp.autocast(args...)` is deprecated. Please use"
            " `torch.amp.autocast('cpu', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)
