"""Batching rules of recurrent layers.  Level 5.

With weights that all members share, a batch of padded sequences is a longer batch.  Members with
weights of their own, and packed ones, run one after the other.
"""

from __future__ import annotations

from rushlight.batching.table import as_batch, define, member_by_member
from rushlight.primitives import recurrence as p
from rushlight.primitives.movement import permute, reshape


def _merged_second(size, mapped, x):
    """(size, T, B, W) -> (T, size * B, W)"""
    x = as_batch(size, mapped, x)
    _, steps, count, width = x.shape
    return reshape(permute(x, (1, 0, 2, 3)), (steps, size * count, width))


def _merged_first(size, mapped, x):
    x = as_batch(size, mapped, x)
    _, count, width = x.shape
    return reshape(x, (size * count, width))


def _recurrence(size, mapped, operands, form):
    x, m = form.operands(operands), form.operands(mapped)
    weights = (m.weight, m.bias_input, m.bias, m.projection)
    if form.packed or any(weights):
        return member_by_member(p.recurrence, size, mapped, operands, form)
    steps, count = tuple(x.gates.shape)[-3:-1]
    given = x._replace(
        gates=_merged_second(size, m.gates, x.gates),
        h=_merged_first(size, m.h, x.h),
        c=_merged_first(size, m.c, x.c) if form.has_cell else None,
    )
    y = form.results(p.recurrence(p.present(given), form))

    def spread(rows):
        width = rows.shape[-1]
        apart = reshape(rows, (steps, size, count, width))
        return permute(apart, (1, 0, 2, 3))

    def of_state(state):
        return reshape(state, (size, count, state.shape[-1]))

    kept = None
    if form.kept:
        kept = reshape(spread(y.kept), (size, steps * count, y.kept.shape[-1]))
    found = p.Results(
        spread(y.output), of_state(y.h), of_state(y.c) if form.has_cell else None, kept
    )
    return list(p.present(found))


def _gradient(size, mapped, operands, form):
    return member_by_member(p.recurrence_gradient, size, mapped, operands, form)


define(p.recurrence, __name__, _recurrence)
define(p.recurrence_gradient, __name__, _gradient)
