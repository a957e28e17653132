"""Lowerings of the spectral primitives.  Level 6.

Transforms stay with NumPy's FFT: a plan for each factorisation of the size would be a compiler of
its own, and the results are complex.
"""

from __future__ import annotations

from rushlight.lowering.table import Opaque, define
from rushlight.primitives import spectral as p
from rushlight.tape.primitive import Primitive

_FFT = Opaque("NumPy's FFT computes it")
for _primitive in vars(p).values():
    if isinstance(_primitive, Primitive):
        define(_primitive, __name__, _FFT)
