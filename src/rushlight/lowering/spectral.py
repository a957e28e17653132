"""Lowerings of the spectral primitives: the reference rules call LAPACK or the FFT.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import OPAQUE, define
from rushlight.primitives import spectral as p
from rushlight.tape.primitive import Primitive

for _primitive in vars(p).values():
    if isinstance(_primitive, Primitive):
        define(_primitive, __name__, OPAQUE)
