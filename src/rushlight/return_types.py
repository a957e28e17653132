"""Types of results that are several tensors with names: `torch.return_types.max`.  Level 12.

An operation's type is made when the operation is first named here or first gives a result.
"""

from __future__ import annotations

from typing import Any

from rushlight.ops.return_types import RETURN_TYPES

__all__ = ["all_return_types"]

all_return_types = RETURN_TYPES


def __getattr__(name: str) -> Any:
    if name in RETURN_TYPES:
        return RETURN_TYPES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
