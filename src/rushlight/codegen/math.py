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

from rushlight.codegen import exponential, gamma, special, trig
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
    "lgamma": gamma.lgamma,
    "digamma": gamma.digamma,
}

# Largest error in units in the last place: (float32, float64).  float32 is measured over an even
# sample of 64 million bit patterns, float64 over random arguments; the bounds have a margin.
MAX_ULP: dict[str, tuple[float, float]] = {
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (1.5, 2.0),
    "log": (0.9, 1.0),
    "log2": (1.0, 1.0),
    "log10": (1.0, 2.0),
    "log1p": (1.0, 1.0),
    "sigmoid": (2.5, 2.5),
    "softplus_unit": (2.0, 2.0),
    "tanh": (2.5, 2.5),
    "sinh": (2.0, 2.0),
    "cosh": (1.5, 1.5),
    "asinh": (2.0, 2.0),
    "acosh": (2.0, 2.0),
    "atanh": (2.0, 2.0),
    "hypot": (0.6, 2.0),
    "pow": (0.6, 1.0),
    "sin": (1.6, 1.0),
    "cos": (1.6, 1.0),
    "tan": (3.3, 2.0),
    "asin": (2.5, 2.5),
    "acos": (1.5, 1.5),
    "atan": (1.5, 1.5),
    "atan2": (1.5, 1.5),
    "erf": (2.0, 2.0),
    "erfc": (3.5, 3.5),
    "erfinv": (0.6, 3.0),
    # For positive arguments; for negative ones, as far from the roots.
    "lgamma": (0.6, 5.0),
    "digamma": (0.6, 4.0),
}
