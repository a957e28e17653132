"""A nested state as one dictionary: each tensor, and each other object, under a name with dots.

Dictionaries are always gone into, lists where they hold a tensor or a dictionary.  Level 12.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rushlight.tensor.tensor import Tensor

Path = tuple[str | int, ...]


def flattened(state: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, Path]]:
    """The parts by their names, and by the same names their ways through the state.

    Raises: ValueError where two parts have one name.
    """
    parts: dict[str, Any] = {}
    ways: dict[str, Path] = {}
    for way, value in _walk((), state):
        name = ".".join(map(str, way))
        if name in parts:
            raise ValueError(f"duplicated flatten key {name}: {way} and {ways[name]}")
        parts[name], ways[name] = value, way
    return parts, ways


def nested(parts: Mapping[str, Any], ways: Mapping[str, Path]) -> dict[str, Any]:
    """The state that was flattened, of new dictionaries and lists."""
    state: dict[str, Any] = {}
    for name, value in parts.items():
        put(state, ways[name], value)
    return state


def put(state: Any, way: Path, value: Any) -> None:
    """Set the part at the end of a way; what is missing on it is made."""
    at = state
    for step, following in itertools.pairwise(way):
        at = _entered(at, step, [] if isinstance(following, int) else {})
    last = way[-1]
    if isinstance(last, int):
        _filled(at, last, None)
        at[last] = value
    else:
        at[_key_of(at, last)] = value


def _walk(way: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk((*way, str(key)), inner)
    elif _is_entered(value):
        for place, inner in enumerate(value):
            yield from _walk((*way, place), inner)
    else:
        yield way, value


def _is_entered(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return any(isinstance(x, (Mapping, Tensor)) or _is_entered(x) for x in value)


def _key_of(state: Any, step: str) -> Any:
    """The key that is written as `step`: numbers are keys of optimizers' states."""
    return next((key for key in state if str(key) == step), step)


def _filled(found: list, place: int, default: Any) -> None:
    while len(found) <= place:
        found.append(default)


def _entered(at: Any, step: str | int, empty: Any) -> Any:
    if isinstance(step, int):
        _filled(at, step, None)
        if at[step] is None:
            at[step] = empty
        return at[step]
    return at.setdefault(_key_of(at, step), empty)
