"""The nodes of the autograd graph, as users inspect them.  Level: autograd (12)."""

from __future__ import annotations

from rushlight.autograd.differentiation import GradientEdge, get_gradient_edge
from rushlight.tensor.graph import GraphNode as Node

__all__ = ["GradientEdge", "Node", "get_gradient_edge"]
