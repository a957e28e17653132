"""JVP rows of recurrent layers: the transpose of the VJP, which writes its steps out.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import TRANSPOSED, define, nondifferentiable
from rushlight.primitives import recurrence as p

define(p.recurrence, __name__, TRANSPOSED)
# Recorded only where neither gradients nor transforms follow: see `vjp/recurrence.py`.
nondifferentiable(p.recurrence_gradient, __name__)
