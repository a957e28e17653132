"""VJP row of the Fourier transform, whose adjoint is the one of the other sign.  Level 4."""

from __future__ import annotations

from rushlight.primitives.spectral import dft
from rushlight.vjp.table import define, wrt

define(dft, __name__, wrt(lambda g, out, x, axes, inverse: dft(g, axes, not inverse)))
