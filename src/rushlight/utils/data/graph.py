"""Which pipes a pipe is made of.  Level 12."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, MapDataPipe

__all__ = ["traverse_dps"]


def _sources(value: Any, seen: set[int]) -> Iterator[Any]:
    """The nearest pipes in an attribute, in whatever it is made of."""
    if isinstance(value, (IterDataPipe, MapDataPipe)):
        yield value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        parts: Any = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = value
    elif hasattr(value, "main_datapipe"):
        # What pipes share that were made by a fork.
        parts = [value.main_datapipe]
    else:
        return
    for part in parts:
        yield from _sources(part, seen)


def traverse_dps(datapipe: Any) -> dict[int, tuple[Any, dict]]:
    """`{id: (pipe, the same of the pipes that it reads)}`; a pipe read twice stands there once.

    Raises: RuntimeError for what is no pipe.
    """
    if not isinstance(datapipe, (IterDataPipe, MapDataPipe)):
        raise RuntimeError(
            f"Expected `IterDataPipe` or `MapDataPipe`, but {type(datapipe)} is found"
        )
    return _traversed(datapipe, set())


def _traversed(pipe: Any, seen: set[int]) -> dict[int, tuple[Any, dict]]:
    if id(pipe) in seen:
        return {}
    seen.add(id(pipe))
    below: dict[int, tuple[Any, dict]] = {}
    for source in _sources(vars(pipe), set()):
        below.update(_traversed(source, seen))
    return {id(pipe): (pipe, below)}
