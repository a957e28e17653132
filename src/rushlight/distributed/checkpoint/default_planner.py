"""How a state is divided into parts, and which of them may be missing.  Level 12.

One process writes and reads all, so that nothing is sharded or written twice: the settings about
that hold whatever they are.  Source: torch.distributed.checkpoint.default_planner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rushlight.distributed.checkpoint.flattening import Path, flattened

__all__ = ["DefaultLoadPlanner", "DefaultSavePlanner"]


class DefaultSavePlanner:
    """Everything is written.

    flatten_state_dict: each part of nested dictionaries and lists under its own name, with dots;
        otherwise the values of the state itself, those that are no tensors as one object each.
    flatten_sharded_tensors, dedup_replicated_tensors, dedup_save_to_lowest_rank: of several
        processes.  enable_plan_caching: makes nothing different.
    """

    def __init__(
        self, flatten_state_dict: bool = True, flatten_sharded_tensors: bool = True,
        dedup_replicated_tensors: bool | None = None, dedup_save_to_lowest_rank: bool = False,
        enable_plan_caching: bool = False,
    ) -> None:  # fmt: skip
        self.flatten_state_dict = flatten_state_dict
        self.flatten_sharded_tensors = flatten_sharded_tensors
        self.dedup_save_to_lowest_rank = dedup_save_to_lowest_rank


class DefaultLoadPlanner:
    """Everything that the state has is read.

    flatten_state_dict: as it was saved.  allow_partial_load: whether parts that the checkpoint
    lacks stay as they are.
    """

    def __init__(
        self, flatten_state_dict: bool = True, flatten_sharded_tensors: bool = True,
        allow_partial_load: bool = False,
    ) -> None:  # fmt: skip
        self.flatten_state_dict = flatten_state_dict
        self.flatten_sharded_tensors = flatten_sharded_tensors
        self.allow_partial_load = allow_partial_load


def divided(
    name: str, planner: Any, kind: type, state: Mapping[Any, Any]
) -> tuple[dict[str, Any], dict[str, Path]]:
    """The parts of a state as a planner wants them, and their ways through the state.

    Raises: NotImplementedError for planners of the program, whose methods would not be asked.
    """
    if planner is not None and type(planner) is not kind:
        raise NotImplementedError(
            f"{name}: the planner is a {type(planner).__name__}, whose methods are not asked; use "
            f"{kind.__name__} with its settings, or give {name} the parts of the state that you "
            "mean"
        )
    settings: Any = planner
    if settings is None or settings.flatten_state_dict:
        return flattened(state)
    return {str(key): value for key, value in state.items()}, {str(key): (key,) for key in state}
