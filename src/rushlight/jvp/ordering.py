"""JVP rows of sorting and searching: indices have no tangent.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import nondifferentiable
from rushlight.primitives import ordering as p

nondifferentiable(p.argsort, __name__)
nondifferentiable(p.searchsorted, __name__)
