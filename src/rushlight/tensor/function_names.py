"""By which name Tensor has the function that a `__torch_function__` is given.  Level 10."""

from __future__ import annotations

import functools
from typing import Any

from rushlight.tensor.tensor import Tensor


@functools.cache
def name_of(func: Any) -> str:
    """The function's name; operators and getters are called otherwise, and looked up."""
    if func.__name__ not in ("operator", "__get__"):
        return func.__name__
    wanted = _python_of(getattr(func, "__self__", func))
    named = (name for name, value in vars(Tensor).items() if _python_of(value) is wanted)
    return next(named, func.__name__)


def _python_of(value: Any) -> Any:
    """What a member of a class is before machine code takes its place, for a property its getter.

    The property that was watched may not be the one that the class has by now.
    """
    value = value.fget if type(value) is property else value
    return getattr(value, "__wrapped__", value)
