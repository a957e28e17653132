"""Marks the functions that run for every recorded operation.

`selfcompile/` translates them to machine code once a program has run for a while; until then, and
where that is not possible, they are the Python they are written in.  Level 0.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

_Marked = TypeVar("_Marked")

# In order of definition; a function made several times by its factory is here several times.
HOT_FUNCTIONS: list[Any] = []
# Classes whose slots machine code reads where they lie.
HOT_CLASSES: list[type] = []


# (class, module, name of its subclass): one with the same slots, which may be imported later.
HOT_SUBCLASSES: list[tuple[type, str, str]] = []

# What compiled functions that users call by name are running, from the outermost on: how many, and
# of each the addresses of its name and of the dictionary of the module that it was called from.
# Filled by machine code, which has no frames to be found in.  All threads share it, so it may name
# another thread's function, and a dictionary that is no more: it must not be looked into.
MOST_RUNNING = 64
RUNNING = (ctypes.c_int64 * (1 + 2 * MOST_RUNNING))()
_running_names: Any = (ctypes.py_object * len(RUNNING)).from_buffer(RUNNING)


def running_function() -> tuple[str, int]:
    """Name of the outermost compiled function that users call by name ("" if none runs), and the
    identity of the module's dictionary that it was called from."""
    return (_running_names[1], RUNNING[2]) if RUNNING[0] > 0 else ("", 0)


class Warmup:
    """left: flushes until `look` is called; negative for never."""

    __slots__ = ("left", "look")

    def __init__(self) -> None:
        self.left = -1
        self.look: Callable[[], None] = _do_nothing


def _do_nothing() -> None:
    pass


warmup = Warmup()


def hot(marked: _Marked) -> _Marked:
    """Mark a function, a method or a class with slots; it stays what it is."""
    if isinstance(marked, type):
        HOT_CLASSES.append(marked)
    else:
        HOT_FUNCTIONS.append(marked)
    return marked


hot(Warmup)
