"""Lowerings of matrix product and convolution.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import OPAQUE, define
from rushlight.primitives import contraction as p

define(p.matmul, __name__, OPAQUE)
define(p.convolution, __name__, OPAQUE)
