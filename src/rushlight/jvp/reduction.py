"""JVP rows of the reductions.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import TRANSPOSED, define, linear, nondifferentiable
from rushlight.primitives import reduction as p
from rushlight.primitives.elementwise import mul
from rushlight.vjp.broadcast import conjugate, filled


def _weighted(primitive):
    """Each result depends on the elements it was reduced from alone: the VJP of ones has the
    weights of their tangents."""

    def rule(tangents, out, operands, axes, keepdim):
        (x,) = operands
        ones = filled(out, 1.0, out.shape)
        weights = conjugate(primitive.vjp.rules[0].function(ones, out, x, axes, keepdim))
        return p.reduce_sum(mul(weights, tangents[0]), axes, keepdim)

    return rule


linear(p.reduce_sum, __name__)
define(p.reduce_prod, __name__, _weighted(p.reduce_prod))
define(p.reduce_max, __name__, _weighted(p.reduce_max))
define(p.reduce_min, __name__, _weighted(p.reduce_min))
nondifferentiable(p.argmax, __name__)
nondifferentiable(p.argmin, __name__)
linear(p.cumsum, __name__)
define(p.cumprod, __name__, TRANSPOSED)
nondifferentiable(p.cummax, __name__)
nondifferentiable(p.cummin, __name__)
linear(p.window_sum, __name__)
nondifferentiable(p.window_argmax, __name__)
