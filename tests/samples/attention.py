"""Samples of attention: PyTorch's own, and its gradient by PyTorch's autograd."""

from __future__ import annotations

import numpy as np
import torch

from tests.samples.row import Error, Row, random_array

# query, key and value; a group of two heads; masks, one of which hides a row.
_PLAIN = ((2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3))
_GROUPED = ((1, 4, 3, 2), (1, 2, 4, 2), (1, 2, 4, 2))
_ADDED = (*_PLAIN, (1, 2, 3, 5))
_HIDDEN = (*_GROUPED, (1, 1, 3, 4))
_DROPPED = (*_ADDED, (2, 2, 3, 5))
_SHAPES = (_PLAIN, _GROUPED, _ADDED, _HIDDEN, _DROPPED)
_REASON = "sums are added in another order, and the gradient's weights are computed again"
_TOLERANCE = {"float32": 5e-6, "float64": 1e-10}


def _scores(query, key, mask, scale, causal):
    scores = query @ key.transpose(-1, -2) * scale
    for given in mask:
        allowed = given if given.dtype is torch.bool else None
        scores = scores + given if allowed is None else scores.masked_fill(~allowed, -torch.inf)
    if causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores


def _attention(query, key, value, *rest):
    *mask, scale, causal, dropped = rest
    kept = mask.pop() if dropped else None
    groups = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, 1) for x in (key, value))
    scores = _scores(query, key, mask, scale, causal)
    hidden = (scores == -torch.inf).all(-1, keepdim=True)
    weights = scores.masked_fill(hidden, 0.0).softmax(-1).masked_fill(hidden, 0.0)
    if kept is not None:
        weights = weights.masked_fill(~kept, 0.0)
    return [weights @ value, scores.logsumexp(-1)]


def _operands(generator, shapes, dtype, params):
    found = [random_array(generator, shape, dtype, -2.0, 2.0) for shape in shapes]
    if shapes == _HIDDEN:
        found[3] = np.array([[[[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]]]], bool)
    if shapes == _DROPPED:
        found[4] = random_array(generator, shapes[4], "float32", -1.0, 1.0) > -0.3
    return found


def _params(shapes: tuple) -> list:
    if len(shapes) > 3:
        return [(0.7, False, len(shapes) > 4)]
    return [(0.5, causal, False) for causal in (False, True)]


def _gradient_shapes(shapes: tuple) -> tuple:
    (b, h, rows, _), value = shapes[0], shapes[2]
    return (b, h, rows, value[3]), *shapes[:3], (b, h, rows), (b, h, rows), *shapes[3:]


def _gradient_operands(generator, shapes, dtype, params):
    own = (*shapes[1:4], *shapes[6:])
    given = [torch.tensor(a) for a in _operands(generator, own, dtype, params)]
    out, sums = _attention(*given, *params)
    g = torch.tensor(random_array(generator, shapes[0], dtype, -1.0, 1.0))
    found = [g, *given[:3], sums, (g * out).sum(-1), *given[3:]]
    return [np.ascontiguousarray(part.numpy()) for part in found]


def _gradient(g, query, key, value, sums, delta, *rest):
    leaves = [x.clone().requires_grad_() for x in (query, key, value)]
    out, _ = _attention(*leaves, *rest)
    return list(torch.autograd.grad(out, leaves, g))


ROWS = (
    Row(
        "attention", _attention, _SHAPES, _params, ("float64", "float32"), operands=_operands,
        differentiable=(0, 1, 2), seen=lambda results, *params: results[:-1],
        tolerance=_TOLERANCE, reason=_REASON,
        errors=(
            Error((((1, 3, 2, 4), "float32"), ((1, 2, 2, 4), "float32"), ((1, 2, 2, 4), "float32")),
                  (1.0, False, False), RuntimeError, "do not go together"),
            Error((((1, 1, 2, 4), "float32"), ((1, 1, 2, 4), "float64"), ((1, 1, 2, 4), "float32")),
                  (1.0, False, False), RuntimeError, "expected one dtype"),
        ),
    ),
    Row(
        "attention_gradient", _gradient, tuple(map(_gradient_shapes, _SHAPES)),
        lambda shapes: _params((*shapes[1:4], *shapes[6:])), ("float64", "float32"),
        operands=_gradient_operands, differentiable=(), tolerance=_TOLERANCE, reason=_REASON,
    ),
)  # fmt: skip
