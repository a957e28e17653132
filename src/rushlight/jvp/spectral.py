"""JVP row of the Fourier transform, which is linear.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import linear
from rushlight.primitives.spectral import dft

linear(dft, __name__)
