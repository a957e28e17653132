"""The part of PyTorch's `torch._dynamo` that programs use: switches of a tracer that is not here.

Python is watched, not traced, so most marks and options are kept without effect.  Level 12.
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
from rushlight.compiler import compile, is_compiling, list_backends, replays, reset

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
    "explain",
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
    """The former `torch.compile` as a decorator."""
    return lambda function: compile(function, backend=backend)


def reset_code_caches() -> None:
    """Forget what was found out about calls."""
    reset()


def explain(f: Callable[..., Any], *extra_args: Any, **extra_kwargs: Any) -> Any:
    """A function that calls `f` a few times with its arguments and says what became of the calls:
    how many were replayed, and why the others were not.  Source: torch._dynamo.explain."""

    def inner(*args: Any, **kwargs: Any) -> Any:
        function = f if hasattr(f, "report") else compile(f)
        for _ in range(_CALLS_TO_EXPLAIN):
            function(*args, **kwargs)
        return replays(function)

    if extra_args or extra_kwargs:
        return inner(*extra_args, **extra_kwargs)
    return inner


# Enough for a call to be seen, seen again, done both ways and replayed.
_CALLS_TO_EXPLAIN = 8
