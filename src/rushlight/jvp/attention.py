"""JVP rows of attention: the transpose of the VJP, which is written out.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import TRANSPOSED, define, nondifferentiable
from rushlight.primitives import attention as p

define(p.attention, __name__, TRANSPOSED)
# Recorded only where neither gradients nor transforms follow: see `vjp/attention.py`.
nondifferentiable(p.attention_gradient, __name__)
