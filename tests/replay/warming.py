"""A function called until it is replayed, and how often it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as torch

WARM = 6
X = [1.0, -2.0, 3.0, 0.5]


def warm(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a compiled function until it is replayed; it must be."""
    for _ in range(WARM):
        result = function(*args, **kwargs)
    report = torch.compiler.replays(function)
    assert report.replays > 0, str(report)
    return result


def replays(function: Any) -> int:
    return torch.compiler.replays(function).replays


def x() -> Any:
    return torch.tensor(X)
