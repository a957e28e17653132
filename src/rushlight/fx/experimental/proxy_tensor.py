"""Whether operations are being traced into a graph: no, as `symbolic_trace` runs Python.  Level 12.

Source: torch.fx.experimental.proxy_tensor.
"""

from __future__ import annotations

__all__ = ["get_proxy_mode", "is_sym_node"]


def get_proxy_mode() -> None:
    """The mode that traces: none is on."""


def is_sym_node(node: object) -> bool:
    """Whether a value is a size that is not known yet: no."""
    return False
