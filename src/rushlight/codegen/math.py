"""Transcendental functions as branch-free LLVM IR on scalars or vectors of float and double.

Only adds, multiplies, fused multiply-adds, exact divides and square roots, selects and bit
operations are used, never a machine's approximation instructions, so every vector width and every
machine gives the same bits.  The largest error against a wider reference stands in MAX_ULP and is
tested.  NaN and infinities follow IEEE 754 and C; denormal inputs and results are right.

Sources: range reductions after Cody and Waite, "Software Manual for the Elementary Functions"
(1980), and Payne and Hanek (1983); logarithm, log1p and asin in the form of Sun's fdlibm; erfc
through a rational variable after Shepherd and Laframboise (Math. Comp. 36, 1981); erfinv after
Giles (GPU Computing Gems, 2012) with Halley steps.  Coefficients: tools/fit_polynomials.py.
Level 7.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.codegen import exponential, special, trig
from rushlight.codegen.emit import Value

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "log": exponential.log,
    "log2": exponential.log2,
    "log10": exponential.log10,
    "log1p": exponential.log1p,
    "sigmoid": exponential.sigmoid,
    "softplus_unit": exponential.softplus_unit,
    "tanh": exponential.tanh,
    "sinh": exponential.sinh,
    "cosh": exponential.cosh,
    "asinh": exponential.asinh,
    "acosh": exponential.acosh,
    "atanh": exponential.atanh,
    "hypot": exponential.hypot,
    "pow": exponential.power,
    "sin": trig.sin,
    "cos": trig.cos,
    "tan": trig.tan,
    "asin": trig.asin,
    "acos": trig.acos,
    "atan": trig.atan,
    "atan2": trig.atan2,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
}

# Largest error in units in the last place: (float32, float64).
MAX_ULP: dict[str, tuple[float, float]] = {name: (3.0, 3.0) for name in FUNCTIONS}
