"""JVP rows of the movement primitives: all are linear in what they move.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import linear
from rushlight.primitives import movement as p

for _primitive in (
    p.copy,
    p.to_device,
    p.reshape,
    p.permute,
    p.expand,
    p.concatenate,
    p.pack,
    p.unpack,
):
    linear(_primitive, __name__)
linear(p.strided_read, __name__, 0)
linear(p.strided_write, __name__, 0, 1)
linear(p.strided_add, __name__, 0)
