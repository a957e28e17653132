"""The part of PyTorch's `torch._dynamo` that programs use: switches of a tracer that is not here.

Python runs in every step and is never traced, so marks and options are kept without effect and
functions come back unchanged.  Level 12.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight._dynamo import config, decorators, eval_frame, exc, utils
from rushlight._dynamo.decorators import (
    allow_in_graph,
    assume_constant_result,
    disable,
    disallow_in_graph,
    forbid_in_graph,
    graph_break,
    mark_dynamic,
    mark_static,
    mark_static_address,
    mark_unbacked,
    maybe_mark_dynamic,
    nonstrict_trace,
    set_stance,
    substitute_in_graph,
)
from rushlight._dynamo.eval_frame import OptimizedModule
from rushlight.compiler import is_compiling, list_backends, reset

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "decorators",
    "disable",
    "disallow_in_graph",
    "eval_frame",
    "exc",
    "forbid_in_graph",
    "graph_break",
    "is_compiling",
    "list_backends",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "mark_unbacked",
    "maybe_mark_dynamic",
    "nonstrict_trace",
    "optimize",
    "reset",
    "reset_code_caches",
    "set_stance",
    "substitute_in_graph",
    "utils",
]


def optimize(backend: Any = "inductor", **options: Any) -> Callable[[Any], Any]:
    """A decorator that returns its function: it is compiled already."""
    return lambda function: function


def reset_code_caches() -> None:
    """Forget what was traced: nothing was."""
