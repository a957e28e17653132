"""Batching rules of sorting and searching.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import as_batch, define, own_rank, with_axes_moved, with_rank
from rushlight.primitives import ordering as p
from rushlight.primitives.movement import reshape


def _searchsorted(size, mapped, operands, right):
    boundaries, values = operands
    values = as_batch(size, mapped[1], values)
    rank = max(own_rank(boundaries, mapped[0]), len(values.shape) - 1)
    found = p.searchsorted(
        with_rank(boundaries, mapped[0], rank), with_rank(values, True, rank), right
    )
    return reshape(found, tuple(values.shape))


with_axes_moved(p.argsort, __name__)
define(p.searchsorted, __name__, _searchsorted)
