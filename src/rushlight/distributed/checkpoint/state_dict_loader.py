"""`load`.  Level 12.  Source: torch.distributed.checkpoint.state_dict_loader."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rushlight.distributed.checkpoint.default_planner import DefaultLoadPlanner, divided
from rushlight.distributed.checkpoint.filesystem import FileSystemReader
from rushlight.distributed.checkpoint.flattening import Path, put
from rushlight.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from rushlight.distributed.checkpoint.state_dict_saver import states_of
from rushlight.distributed.checkpoint.stateful import Stateful
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = ["load", "load_state_dict"]


def load(
    state_dict: dict[str, Any],
    *,
    checkpoint_id: str | os.PathLike | None = None,
    storage_reader: FileSystemReader | None = None,
    planner: Any = None,
    process_group: Any = None,
    no_dist: bool = False,
) -> None:
    """Fill a nested state from a folder, in place: tensors are written to, other parts replaced.

    Objects with `load_state_dict` are given their state.  Parts that only the folder has are left.
    Raises: RuntimeError for a part that the folder lacks (unless the planner allows it) and for one
    of another shape.  Source: torch.distributed.checkpoint.load.
    """
    states = states_of(state_dict)
    parts = divided("load", planner, DefaultLoadPlanner, states)
    if storage_reader is None:
        if checkpoint_id is None:
            raise RuntimeError("load: `checkpoint_id` must be given where there is no reader")
        storage_reader = FileSystemReader(checkpoint_id)
    else:
        storage_reader.reset(checkpoint_id)
    metadata = storage_reader.read_metadata()
    partial = planner is not None and planner.allow_partial_load
    _fill(states, parts, storage_reader, metadata, partial)
    for key, value in list(state_dict.items()):
        if isinstance(value, Stateful):
            value.load_state_dict(states[key])
        else:
            state_dict[key] = states[key]


def _fill(
    state: Any, divided_state: tuple[dict[str, Any], dict[str, Path]], reader: FileSystemReader,
    metadata: Metadata, partial: bool,
) -> None:  # fmt: skip
    parts, ways = divided_state
    known: Mapping[str, Any] = metadata.state_dict_metadata
    missing = [name for name in parts if name not in known]
    if missing and not partial:
        raise RuntimeError(f"Missing key in checkpoint state_dict: {missing[0]}.")
    objects = []
    for name, value in parts.items():
        if name not in known:
            continue
        saved = known[name]
        if not isinstance(saved, TensorStorageMetadata):
            objects.append(name)
            continue
        if not isinstance(value, Tensor):
            raise RuntimeError(
                f"{name}: the checkpoint has a tensor of {list(saved.size)}, the state a "
                f"{type(value).__name__}"
            )
        if tuple(saved.size) != tuple(value.shape):
            raise ValueError(
                f"Size mismatch between saved {saved.size} and current: {value.shape} for {name}"
            )
        with no_grad():
            reader.fill(metadata, name, value)
    for name, found in reader.objects(metadata, objects).items():
        put(state, ways[name], found)


def load_state_dict(
    state_dict: dict[str, Any], storage_reader: FileSystemReader, process_group: Any = None,
    coordinator_rank: int = 0, no_dist: bool = False, planner: Any = None,
) -> None:  # fmt: skip
    """The older name of `load`."""
    load(state_dict, storage_reader=storage_reader, planner=planner)
