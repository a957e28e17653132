"""Batching rule of the Fourier transform.  Level 5."""

from __future__ import annotations

from rushlight.batching.table import with_axes_moved
from rushlight.primitives.spectral import dft

with_axes_moved(dft, __name__)
