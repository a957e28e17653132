"""NumPy rules of attention.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import attention as p
from rushlight.reference.table import define


def _for_heads(x, heads: int):
    """Each head of keys or values for every head of queries that shares it."""
    return np.repeat(x, heads // x.shape[1], 1)


def _masks(given: list, dropped: bool) -> tuple[list, object]:
    """(masks of the scores, which weights are kept)."""
    return (given[:-1], given[-1]) if dropped else (given, True)


def _scores(query, key, mask, scale, causal):
    found = np.matmul(query, np.swapaxes(_for_heads(key, query.shape[1]), -1, -2)) * scale
    for given in mask:
        if given.dtype == np.bool_:
            found = np.where(given, found, -np.inf)
        else:
            found = found + given
    if causal:
        found = np.where(np.tri(*found.shape[-2:], dtype=bool), found, -np.inf)
    return found.astype(query.dtype)


def _attention(query, key, value, *rest):
    *given, scale, causal, dropped = rest
    mask, kept = _masks(given, dropped)
    scores = _scores(query, key, mask, scale, causal)
    top = np.max(scores, -1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(top == -np.inf, 0, top))
    total = weights.sum(-1, keepdims=True)
    empty = total == 0
    sums = np.where(empty, -np.inf, top + np.log(np.where(empty, 1, total)))[..., 0]
    weights = np.where(kept, weights, 0).astype(weights.dtype)
    found = np.matmul(weights, _for_heads(value, query.shape[1])) / np.where(empty, 1, total)
    return [found, sums]


def _gathered(x, heads: int):
    """The sum over the heads that share one."""
    batch, _, rows, width = x.shape
    return x.reshape(batch, heads, -1, rows, width).sum(2)


def _gradient(g, query, key, value, sums, delta, *rest):
    *given, scale, causal, dropped = rest
    mask, kept = _masks(given, dropped)
    scores = _scores(query, key, mask, scale, causal)
    weights = np.exp(scores - np.where(sums == -np.inf, np.inf, sums)[..., None])
    heads = query.shape[1]
    arrived = np.matmul(g, np.swapaxes(_for_heads(value, heads), -1, -2))
    arrived = np.where(kept, arrived, 0)
    slopes = (weights * (arrived - delta[..., None]) * scale).astype(query.dtype)
    of_k = np.matmul(np.swapaxes(slopes, -1, -2), query)
    weights = np.where(kept, weights, 0).astype(weights.dtype)
    of_v = np.matmul(np.swapaxes(weights, -1, -2), g)
    return [
        np.matmul(slopes, _for_heads(key, heads)),
        _gathered(of_k, key.shape[1]),
        _gathered(of_v, key.shape[1]),
    ]


define(p.attention, __name__, _attention)
define(p.attention_gradient, __name__, _gradient)
