"""Batching rules of sorting and searching.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import as_batch, define, with_axes_moved, with_rank
from rushlight.primitives import ordering as p
from rushlight.primitives.movement import expand


def _searchsorted(size, mapped, operands, right):
    boundaries, values = operands
    values = as_batch(size, mapped[1], values)
    if mapped[0] or len(boundaries.shape) > 1:
        # Each row of values has its own row of boundaries.
        rows = with_rank(as_batch(size, mapped[0], boundaries), True, len(values.shape) - 1)
        boundaries = expand(rows, (*tuple(values.shape)[:-1], rows.shape[-1]))
    return p.searchsorted(boundaries, values, right)


with_axes_moved(p.argsort, __name__)
define(p.searchsorted, __name__, _searchsorted)
