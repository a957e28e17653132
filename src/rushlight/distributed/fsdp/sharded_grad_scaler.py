"""The scaler of losses for parameters split among processes: with one, the usual one.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.amp import GradScaler

__all__ = ["ShardedGradScaler"]


class ShardedGradScaler(GradScaler):
    """GradScaler; which process found an infinite gradient needs no asking."""

    def __init__(self, device: str = "cuda", *args: Any, process_group: Any = None, **kwargs: Any):
        super().__init__(device, *args, **kwargs)
