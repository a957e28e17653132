"""NumPy rule of the discrete Fourier transform.  Level 3."""

from __future__ import annotations

import math

import numpy as np

from rushlight.primitives import spectral as p
from rushlight.reference.table import define


def _dft(x, axes, inverse):
    if not inverse:
        return np.fft.fftn(x, axes=axes)
    return np.fft.ifftn(x, axes=axes) * math.prod(x.shape[a] for a in axes)


define(p.dft, __name__, _dft)
