"""Lowerings of the indexing primitives.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import OPAQUE, define
from rushlight.primitives import indexing as p

for _primitive in (p.take, p.put, p.gather, p.scatter):
    define(_primitive, __name__, OPAQUE)
