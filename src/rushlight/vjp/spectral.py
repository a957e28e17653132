"""VJP row of the discrete Fourier transform: its adjoint is the transform of the other sign.  Level 4."""

from __future__ import annotations

from rushlight.primitives.spectral import dft
from rushlight.vjp.table import define, wrt

define(dft, __name__, wrt(lambda g, out, x, axes, inverse: dft(g, axes, not inverse)))
