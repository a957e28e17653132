"""Lowerings of sorting and searching.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import OPAQUE, define
from rushlight.primitives import ordering as p

for _primitive in (p.argsort, p.searchsorted):
    define(_primitive, __name__, OPAQUE)
