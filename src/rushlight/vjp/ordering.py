"""VJP rows of sorting and searching: indices carry no gradient.  Level 4."""

from __future__ import annotations

from rushlight.primitives import ordering as p
from rushlight.vjp.table import nondifferentiable

nondifferentiable(p.argsort, __name__)
nondifferentiable(p.searchsorted, __name__)
