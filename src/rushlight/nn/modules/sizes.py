"""One size, or one for each axis: arguments such as `kernel_size`.  Level 12."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def per_axis(value: Any, count: int) -> tuple:
    """`value` as a tuple: itself if it is iterable, else repeated `count` times."""
    if isinstance(value, Iterable):
        return tuple(value)
    return (value,) * count


def repeated_reversed(values: Iterable[Any]) -> tuple:
    """(a, b) -> (b, b, a, a): per-axis padding in the order in which `pad` takes it."""
    return tuple(value for value in reversed(tuple(values)) for _ in range(2))
