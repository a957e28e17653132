"""Batching rules of attention: a batch of batches is a longer batch.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import as_batch, define
from rushlight.primitives import attention as p
from rushlight.primitives.movement import expand, reshape

# Operands that are masks begin behind these.
_OTHERS = {p.attention: 3, p.attention_gradient: 6}


def _rule(primitive):
    def rule(size, mapped, operands, *params):
        batch = operands[1].shape[-4]
        given = []
        for place, (x, m) in enumerate(zip(operands, mapped)):
            x = as_batch(size, m, x)
            own = x.shape[1]
            if place >= _OTHERS[primitive] and own != batch:
                x = expand(x, (size, batch, *tuple(x.shape)[2:]))
            given.append(reshape(x, (size * batch, *tuple(x.shape)[2:])))
        found = primitive(tuple(given), *params)
        return [reshape(y, (size, batch, *tuple(y.shape)[1:])) for y in found]

    return rule


for _primitive in _OTHERS:
    define(_primitive, __name__, _rule(_primitive))
