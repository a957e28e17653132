"""Marks for PyTorch's tracer; functions and tensors come back as they are.  Level 12."""

from __future__ import annotations

from typing import Any

from rushlight.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    disallow_in_graph,
    set_stance,
    substitute_in_graph,
)

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "disable",
    "disallow_in_graph",
    "forbid_in_graph",
    "graph_break",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "mark_unbacked",
    "maybe_mark_dynamic",
    "nonstrict_trace",
    "set_stance",
    "skip",
    "substitute_in_graph",
]


def skip(fn: Any = None) -> Any:
    """The function itself."""
    return (lambda function: function) if fn is None else fn


def nonstrict_trace(traceable_fn: Any) -> Any:
    """The function itself."""
    return traceable_fn


def forbid_in_graph(fn: Any) -> Any:
    """The function itself."""
    return fn


def graph_break(msg: str = "") -> None:
    """End a traced graph: there is none."""


def mark_dynamic(t: Any, index: Any, **bounds: Any) -> None:
    """An axis changes its size; kernels take sizes as arguments anyway."""


def maybe_mark_dynamic(t: Any, index: Any) -> None:
    """An axis may change its size; see `mark_dynamic`."""


def mark_unbacked(t: Any, index: Any, **options: Any) -> None:
    """An axis has a size that depends on data; see `mark_dynamic`."""


def mark_static(t: Any, index: Any = None) -> None:
    """An axis keeps its size; a program finds that out by itself."""


def mark_static_address(t: Any, guard: bool = False) -> None:
    """A tensor keeps its memory; nothing depends on that here."""
