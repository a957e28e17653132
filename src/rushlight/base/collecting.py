"""Objects that the garbage collector need not look at, while somebody is known to hold them.

CPython's collector looks for cycles that nobody refers to, and to find them it walks through every
container there is.  What a table of this package holds, tens of thousands of objects that refer to
one another, is not such garbage as long as it is in that table: walking through it makes a
program's pauses long and finds nothing.  So it is left out when it enters, and given back when it
leaves.  Both calls are of CPython's C interface; where there are none, nothing is left out.
Level 0.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from typing import Any


def _function(name: str) -> Any:
    try:
        function = getattr(ctypes.pythonapi, name)
    except AttributeError:
        return None
    function.argtypes, function.restype = (ctypes.py_object,), None
    return function


_UNTRACK, _TRACK = _function("PyObject_GC_UnTrack"), _function("PyObject_GC_Track")
_CAN = _UNTRACK is not None and _TRACK is not None


def leave_out(container: Any) -> None:
    """Let the collector pass over a container, whose owner will give it back."""
    if _CAN:
        _UNTRACK(container)


def give_back(container: Any) -> None:
    """Let the collector look at a container again."""
    if _CAN and not gc.is_tracked(container):
        _TRACK(container)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Let the collector wait while many objects are made that stay: it would walk through each."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
