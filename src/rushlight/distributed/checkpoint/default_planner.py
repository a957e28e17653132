"""What is read of a checkpoint, and what may be missing.  Level 12.

Source: torch.distributed.checkpoint.default_planner.
"""

from __future__ import annotations

from typing import Any

__all__ = ["DefaultLoadPlanner", "DefaultSavePlanner"]


class DefaultSavePlanner:
    """Everything is written, each part under its name with dots."""

    def __init__(self, *settings: Any, **more: Any) -> None:
        pass


class DefaultLoadPlanner:
    """Everything that the state has is read.

    allow_partial_load: whether parts that the checkpoint lacks stay as they are.
    """

    def __init__(
        self, flatten_state_dict: bool = True, flatten_sharded_tensors: bool = True,
        allow_partial_load: bool = False,
    ) -> None:  # fmt: skip
        self.allow_partial_load = allow_partial_load
