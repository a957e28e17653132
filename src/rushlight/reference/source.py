"""NumPy rules of the source primitives.  Level 3."""

from __future__ import annotations

import numpy as np

from rushlight.primitives import source as p
from rushlight.reference.table import define


def _iota(size):
    return np.arange(size, dtype=np.int64)


define(p.iota, __name__, _iota)
