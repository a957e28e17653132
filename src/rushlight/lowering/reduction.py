"""Lowerings of the reductions: names of the loop nest's accumulators.  Level 6."""

from __future__ import annotations

from rushlight.lowering.table import OPAQUE, define
from rushlight.primitives import reduction as p

define(p.reduce_sum, __name__, "sum")
define(p.reduce_prod, __name__, "prod")
define(p.reduce_max, __name__, "max")
define(p.reduce_min, __name__, "min")
define(p.argmax, __name__, "argmax")
define(p.argmin, __name__, "argmin")
for _primitive in (p.cumsum, p.cumprod, p.cummax, p.cummin):
    define(_primitive, __name__, OPAQUE)
