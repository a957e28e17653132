"""VJP rows of attention.  Level 4.

One primitive gives the cotangents of query, key and value.  Where the gradient is to be
differentiated again, or the mask has one, it is written out in other primitives, with the matrix of
scores.
"""

from __future__ import annotations

from rushlight.base.dtypes import bool_
from rushlight.primitives import attention as p
from rushlight.primitives import elementwise as e
from rushlight.primitives.contraction import matmul
from rushlight.primitives.movement import expand, reshape
from rushlight.primitives.reduction import reduce_max, reduce_sum
from rushlight.primitives.source import iota
from rushlight.tape.tape import local
from rushlight.vjp.broadcast import sum_to
from rushlight.vjp.table import OUT, define_for_all, nondifferentiable


def _as(x, dtype):
    return x if x.dtype is dtype else e.cast(x, dtype)


def _attention_vjp(wanted, g, out, operands, scale, causal, dropped):
    cotangent, (found, sums) = g[0], out
    if cotangent is None:
        return [None] * len(operands)
    of_mask = len(operands) > 3 + dropped and wanted[3]
    if local.tape.grad_enabled or local.tape.transforms is not None or of_mask:
        given = _written_out(cotangent, operands, sums.dtype, (scale, causal, dropped))
    else:
        query, key, value, *masks = operands
        wide = sums.dtype
        delta = reduce_sum(e.mul(_as(cotangent, wide), _as(found, wide)), (3,), False)
        read = (cotangent, query, key, value, sums, delta, *masks)
        given = (*p.attention_gradient(read, scale, causal, dropped), None, None)
    return [c if want else None for c, want in zip(given, wanted)]


def _for_heads(x, heads: int):
    """Each head of keys or values for every head of queries that shares it."""
    batch, own, rows, width = x.shape
    if own == heads:
        return x
    spread = reshape(x, (batch, own, 1, rows, width))
    spread = expand(spread, (batch, own, heads // own, rows, width))
    return reshape(spread, (batch, heads, rows, width))


def _gathered(x, like):
    """The sum over the heads that share one."""
    batch, heads, rows, width = x.shape
    own = like.shape[1]
    if own == heads:
        return x
    apart = reshape(x, (batch, own, heads // own, rows, width))
    return reduce_sum(apart, (2,), False)


def _places(like, count: int, shape: tuple):
    return reshape(like._apply(iota, (), (count,)), shape)


def _written_out(g, operands, wide, params):
    """Cotangents of query, key, value, mask, and of which weights are kept."""
    scale, causal, dropped = params
    dtype = operands[0].dtype
    query, key, value = [_as(x, wide) for x in operands[:3]]
    g = _as(g, wide)
    heads, rows, columns = query.shape[1], query.shape[2], key.shape[2]
    keys, values = _for_heads(key, heads), _for_heads(value, heads)
    scores = matmul(e.mul(query, query._scalar(scale)), keys, False, True)
    nowhere = scores._scalar(float("-inf"))
    mask = operands[3] if len(operands) > 3 + dropped else None
    if mask is not None:
        if mask.dtype is bool_:
            scores = e.where(mask, scores, nowhere)
        else:
            scores = e.add(scores, mask)
    if causal:
        seen = e.le(_places(query, columns, (1, columns)), _places(query, rows, (rows, 1)))
        scores = e.where(seen, scores, nowhere)
    # A row that may look nowhere: nothing is taken from minus infinity, and its sum is made 1.
    top = reduce_max(scores, (3,), True)
    empty = e.eq(top, nowhere)
    weights = e.exp(e.sub(scores, e.where(empty, scores._scalar(0.0), top)))
    total = e.add(reduce_sum(weights, (3,), True), e.cast(empty, wide))
    weights = e.div(weights, total)
    arrived = matmul(g, values, False, True)
    kept = weights
    if dropped:
        kept, arrived = (e.where(operands[-1], x, x._scalar(0.0)) for x in (weights, arrived))
    delta = reduce_sum(e.mul(weights, arrived), (3,), True)
    slopes = e.mul(weights, e.sub(arrived, delta))
    scaled = e.mul(slopes, slopes._scalar(scale))
    of_mask = None
    if mask is not None and mask.dtype is not bool_:
        of_mask = sum_to(slopes, mask)
    return (
        _as(matmul(scaled, keys, False, False), dtype),
        _as(_gathered(matmul(scaled, query, True, False), key), dtype),
        _as(_gathered(matmul(kept, g, True, False), value), dtype),
        of_mask,
        None,
    )


define_for_all(p.attention, __name__, _attention_vjp, 0, 1, 2, 3, 4, OUT, unchecked=(OUT,))
# Recorded only where gradients are not followed: see `_attention_vjp`.
nondifferentiable(p.attention_gradient, __name__)
