"""Draws as functions of machine code, made when they are first wanted.  Level 9."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

from rushlight.codegen.draws import draw_text
from rushlight.engine.kernels import library_of_text
from rushlight.runtime.host import host_target

_POINTER, _INTEGER, _NUMBER = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_SIGNATURE = (_POINTER, _POINTER, _INTEGER, _INTEGER, _NUMBER, _NUMBER, _NUMBER)


class Draw:
    """One function; its code stays loaded as long as this refers to its library."""

    __slots__ = ("library", "call")

    def __init__(self, name: str) -> None:
        function = f"draw_{name}"
        self.library = library_of_text(function, [function], lambda: draw_text(name, host_target()))
        self.call = ctypes.CFUNCTYPE(None, *_SIGNATURE)(self.library[function])

    def __call__(self, *arguments) -> None:
        """Runs it without the interpreter's lock."""
        self.call(*arguments)


@functools.cache
def draw(name: str) -> Callable[..., None]:
    """The function `name` of `codegen/draws.py`."""
    return Draw(name)
