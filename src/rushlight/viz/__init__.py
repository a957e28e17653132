"""Looking inside: what was recorded, fused, compiled and run, and why.  Level: viz (12)."""

from rushlight.viz.debugging import debug
from rushlight.viz.explain import Explanation, explain
from rushlight.viz.recompiled import Recompilation, why_recompiled

__all__ = ["Explanation", "Recompilation", "debug", "explain", "why_recompiled"]
