"""Messages to objects of Objective-C, by ctypes on libobjc.

In: a library with `objc_msgSend` and its like, and a table of selectors with their types.  Out:
`send`.  Objects are addresses; who gets one by `new` or `alloc` releases it.  Level 8.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_char_p, c_int, c_void_p
from typing import Any


class Messages:
    """selectors: text -> (type of the result, types of the arguments)."""

    def __init__(self, library: Any, selectors: Mapping[str, tuple[Any, tuple[Any, ...]]]) -> None:
        self._library = library
        self._classes: dict[str, int] = {}
        self._class_named = _function(library, "objc_getClass", c_void_p, (c_char_p,))
        register = _function(library, "sel_registerName", c_void_p, (c_char_p,))
        self._push = _function(library, "objc_autoreleasePoolPush", c_void_p, ())
        self._pop = _function(library, "objc_autoreleasePoolPop", None, (c_void_p,))
        address = ctypes.cast(library.objc_msgSend, c_void_p).value
        assert address is not None
        # One entry for all messages, which is called by the types of each.
        self._ways: dict[str, tuple[Any, int]] = {}
        for text, (result, arguments) in selectors.items():
            kind = ctypes.CFUNCTYPE(result, c_void_p, c_void_p, *arguments)
            self._ways[text] = kind(address), register(text.encode())

    def send(self, receiver: int | None, selector: str, *arguments: Any) -> Any:
        """What an object answers; the answer of nothing is nothing."""
        function, name = self._ways[selector]
        return function(receiver, name, *arguments)

    def class_named(self, name: str) -> int:
        """The object of a class; 0 if there is none of this name."""
        found = self._classes.get(name)
        if found is None:
            found = self._classes[name] = self._class_named(name.encode()) or 0
        return found

    @contextmanager
    def pool(self) -> Iterator[None]:
        """Objects that nobody holds are released at its end."""
        pool = self._push()
        try:
            yield
        finally:
            self._pop(pool)


def _function(library: Any, name: str, result: Any, arguments: tuple[Any, ...]) -> Any:
    function = getattr(library, name)
    function.argtypes, function.restype = arguments, result
    return function


# The types of selectors, by what they are called in Objective-C.
ID, BOOL, INT = c_void_p, ctypes.c_bool, c_int
UNSIGNED, DOUBLE = ctypes.c_uint64, ctypes.c_double
