"""Marks the functions that run for every recorded operation.

`selfcompile/` translates them to machine code once a program has run for a while; until then, and
where that is not possible, they are the Python they are written in.  Level 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

# In order of definition; a function made several times by its factory is here several times.
HOT: list[Any] = []


def hot(function: _Function) -> _Function:
    """Mark a function or method; it stays what it is."""
    HOT.append(function)
    return function
