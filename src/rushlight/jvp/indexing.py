"""JVP rows of the indexing primitives.  Level 5.

Reading is linear; so is writing that sets or adds.  Products and extrema are left to the transpose
of their VJP, which knows how equal values share.
"""

from __future__ import annotations

from rushlight.jvp.table import TRANSPOSED, define, linear, nondifferentiable, zero_tangent
from rushlight.primitives import indexing as p


def _written(primitive):
    def rule(tangents, out, operands, axis, mode):
        if mode not in ("set", "add"):
            return TRANSPOSED
        x, index, source = operands
        tx, _, ts = tangents
        tx = zero_tangent(x) if tx is None else tx
        ts = zero_tangent(source) if ts is None else ts
        return primitive(tx, index, ts, axis, mode)

    return rule


nondifferentiable(p.ravel_index, __name__)
linear(p.take, __name__, 0)
linear(p.gather, __name__, 0)
define(p.put, __name__, _written(p.put))
define(p.scatter, __name__, _written(p.scatter))
