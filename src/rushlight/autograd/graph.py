"""The nodes of the autograd graph, as users inspect them.  Level: autograd (12)."""

from __future__ import annotations

from typing import Any

from rushlight.autograd.differentiation import GradientEdge, get_gradient_edge
from rushlight.tensor.graph import GraphNode as Node

__all__ = ["GradientEdge", "Node", "get_gradient_edge", "save_on_cpu"]


class save_on_cpu:  # noqa: N801 - PyTorch's name
    """A context in which what backward needs is kept in the CPU's memory, where all values are.

    Raises: RuntimeError for pinned memory: there is no accelerator to copy it to.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if pin_memory:
            raise RuntimeError(
                "save_on_cpu: pin_memory=True needs an accelerator, and rushlight runs on the CPU; "
                "leave it out"
            )

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: Any) -> None:
        return None
