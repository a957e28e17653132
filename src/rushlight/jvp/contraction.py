"""JVP rows of matrix product and convolution: linear in each operand.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import bilinear
from rushlight.primitives.contraction import convolution, matmul

bilinear(matmul, __name__)
bilinear(convolution, __name__)
