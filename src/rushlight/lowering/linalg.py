"""Lowerings of the linalg primitives.  Level 6.

Factorisations stay with LAPACK, which NumPy calls: they are blocked, pivoted algorithms whose
details decide their accuracy, and their cost lies in products that LAPACK does well.
"""

from __future__ import annotations

from rushlight.lowering.table import Opaque, define
from rushlight.primitives import linalg as p
from rushlight.tape.primitive import Primitive

_LAPACK = Opaque("LAPACK computes it")
for _primitive in vars(p).values():
    if isinstance(_primitive, Primitive):
        define(_primitive, __name__, _LAPACK)
