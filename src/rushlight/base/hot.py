"""Marks the functions that run for every recorded operation.

`selfcompile/` translates them to machine code once a program has run for a while; until then, and
where that is not possible, they are the Python they are written in.  Level 0.
"""

from __future__ import annotations

from typing import Any, TypeVar

_Marked = TypeVar("_Marked")

# In order of definition; a function made several times by its factory is here several times.
HOT_FUNCTIONS: list[Any] = []
# Classes whose slots machine code reads where they lie.
HOT_CLASSES: list[type] = []


def hot(marked: _Marked) -> _Marked:
    """Mark a function, a method or a class with slots; it stays what it is."""
    if isinstance(marked, type):
        HOT_CLASSES.append(marked)
    else:
        HOT_FUNCTIONS.append(marked)
    return marked
