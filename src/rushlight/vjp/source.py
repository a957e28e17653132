"""VJP rows of the source primitives.  Level 4."""

from __future__ import annotations

from rushlight.primitives import source as p
from rushlight.vjp.table import nondifferentiable

nondifferentiable(p.iota, __name__)
