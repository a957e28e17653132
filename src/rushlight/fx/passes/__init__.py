"""Passes over graphs.  Level 12."""

from rushlight.fx.passes import graph_drawer, shape_prop

__all__ = ["graph_drawer", "shape_prop"]
