"""Lowerings of the movement primitives: index maps, or not yet.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import OPAQUE, STRUCTURAL, define
from rushlight.primitives import movement as p

for _primitive in (p.copy, p.reshape, p.permute, p.expand, p.strided_read):
    define(_primitive, __name__, STRUCTURAL)
for _primitive in (p.strided_write, p.strided_add, p.concatenate, p.pack, p.unpack):
    define(_primitive, __name__, OPAQUE)
