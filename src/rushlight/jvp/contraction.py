"""JVP rows of matrix product and convolution: linear in each operand.  Level 5."""

from __future__ import annotations

from rushlight.jvp.table import bilinear, nondifferentiable
from rushlight.primitives.contraction import (
    byte_matmul,
    convolution,
    matmul,
    unrounded_convolution,
    unrounded_matmul,
)

bilinear(matmul, __name__)
bilinear(unrounded_matmul, __name__)
bilinear(unrounded_convolution, __name__)
bilinear(convolution, __name__)
nondifferentiable(byte_matmul, __name__)
