"""What the names in a function stand for.  Level 9."""

from __future__ import annotations

import builtins
from types import FunctionType
from typing import Any

from rushlight.selfcompile.layout import Unsupported


class Names:
    """What the names of a function mean outside of it.

    rebound: names of its module that functions give other values.
    """

    def __init__(self, function: FunctionType, rebound: frozenset[str] = frozenset()) -> None:
        self.function = function
        self.rebound = rebound
        self._cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))

    def is_fixed(self, name: str) -> bool:
        """Whether the name means the same as long as the program runs."""
        return name not in self.rebound

    def find(self, name: str) -> Any:
        """The object.  Raises: Unsupported where there is none."""
        if name in self._cells:
            return self._cells[name].cell_contents
        try:
            return self.function.__globals__[name]
        except KeyError:
            pass
        try:
            return getattr(builtins, name)
        except AttributeError:
            raise Unsupported(f"the name {name} is not defined") from None
