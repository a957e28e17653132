"""Where the part of this process lies in the whole tensor.  Level 12."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def compute_local_shape_and_global_offset(
    global_shape: Sequence[int], mesh: Any, placements: Sequence[Any], **options: Any
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of the part and its offset: all of it, from the beginning."""
    return tuple(global_shape), (0,) * len(global_shape)


def compute_local_shape(
    global_shape: Sequence[int], mesh: Any, placements: Sequence[Any]
) -> tuple[int, ...]:
    """The shape of the part: all of it."""
    return tuple(global_shape)
