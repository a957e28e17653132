"""JVP rows of the source primitives.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import nondifferentiable
from rushlight.primitives import source as p

nondifferentiable(p.iota, __name__)
