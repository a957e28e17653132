"""`save` and `async_save`.  Level 12.  Source: torch.distributed.checkpoint.state_dict_saver."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Mapping
from typing import Any

from rushlight.distributed.checkpoint.default_planner import DefaultSavePlanner, divided
from rushlight.distributed.checkpoint.filesystem import FileSystemWriter
from rushlight.distributed.checkpoint.metadata import Metadata
from rushlight.distributed.checkpoint.stateful import Stateful

__all__ = ["async_save", "save", "save_state_dict"]


def states_of(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The state with those of objects that give theirs."""
    return {
        key: value.state_dict() if isinstance(value, Stateful) else value
        for key, value in state_dict.items()
    }


def _writer(checkpoint_id: Any, storage_writer: FileSystemWriter | None) -> FileSystemWriter:
    if storage_writer is None:
        if checkpoint_id is None:
            raise RuntimeError(
                "save: `checkpoint_id` must be given where there is no storage_writer: which "
                "folder?"
            )
        return FileSystemWriter(checkpoint_id)
    storage_writer.reset(checkpoint_id)
    return storage_writer


def save(
    state_dict: Mapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike | None = None,
    storage_writer: FileSystemWriter | None = None,
    planner: Any = None,
    process_group: Any = None,
    no_dist: bool = False,
    use_collectives: bool = True,
) -> Metadata:
    """Write a nested state of tensors and other objects into a folder; returns what it says of it.

    Objects with `state_dict` and `load_state_dict` give their state.  planner: a
    DefaultSavePlanner.  Raises: NotImplementedError for other planners.
    Source: torch.distributed.checkpoint.save.
    """
    parts = divided("save", planner, DefaultSavePlanner, states_of(state_dict))
    writer = _writer(checkpoint_id, storage_writer)
    metadata, write = writer.encoded(*parts)
    write()
    return metadata


def async_save(
    state_dict: Mapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike | None = None,
    storage_writer: FileSystemWriter | None = None,
    planner: Any = None,
    **options: Any,
) -> concurrent.futures.Future:
    """`save` that takes the values now and writes them beside what follows; returns a future.

    Source: torch.distributed.checkpoint.async_save.
    """
    parts = divided("save", planner, DefaultSavePlanner, states_of(state_dict))
    writer = _writer(checkpoint_id, storage_writer)
    metadata, write = writer.encoded(*parts)
    done: concurrent.futures.Future = concurrent.futures.Future()

    def run() -> None:
        try:
            write()
        except BaseException as error:  # noqa: BLE001 - handed to who asks for the result
            done.set_exception(error)
        else:
            done.set_result(metadata)

    # No daemon: a program that ends waits for its checkpoint.
    threading.Thread(target=run, name="checkpoint").start()
    return done


def save_state_dict(
    state_dict: Mapping[str, Any], storage_writer: FileSystemWriter, process_group: Any = None,
    coordinator_rank: int = 0, no_dist: bool = False, planner: Any = None,
) -> Metadata:  # fmt: skip
    """The older name of `save`."""
    return save(state_dict, storage_writer=storage_writer, planner=planner)
