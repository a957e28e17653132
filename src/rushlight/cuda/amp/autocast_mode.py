"""PyTorch's former `torch.cuda.amp.autocast`.  Level 12."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight.amp import autocast_mode as general
from rushlight.base.dtypes import DType, float16

__all__ = ["autocast", "custom_bwd", "custom_fwd"]


class autocast(general.autocast):  # noqa: N801 - PyTorch's name
    """The former `torch.amp.autocast("cuda", ...)`; see there."""

    def __init__(
        self, enabled: bool = True, dtype: DType = float16, cache_enabled: bool = True
    ) -> None:
        warnings.warn(
            "`torch.cuda.amp.autocast(args...)` is deprecated. Please use"
            " `torch.amp.autocast('cuda', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: DType | None = None) -> Any:
    """The former `torch.amp.custom_fwd(device_type="cuda")`."""
    return general.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable[..., Any] | None = None) -> Any:
    """The former `torch.amp.custom_bwd(device_type="cuda")`."""
    return general.custom_bwd(bwd, device_type="cuda")
