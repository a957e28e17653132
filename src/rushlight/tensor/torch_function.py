"""`__torch_function__`: what a class of its own does when PyTorch's functions meet its instances.

Here stand the thread's state (the modes that are on, whether subclasses are asked) and the rule of
Tensor itself: compute, then make the results instances of the subclass.  Functions do not look at
any of it; `overrides/interception.py` puts itself before them, and only once a program has made an
instance of such a class or entered a mode, so that recording costs nothing otherwise.  Level 10.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

from rushlight.tensor.known_classes import FIRST_INSTANCE, KNOWN_CLASSES
from rushlight.tensor.tensor import Tensor

INTERCEPTION = "rushlight.overrides.interception"


class _State(threading.local):
    """modes: innermost last.  subclasses: whether classes of operands are asked.

    autocast: what `amp` asks for, or None.
    """

    modes: tuple[Any, ...] = ()
    subclasses = True
    autocast: Any = None


state = _State()


class DisableTorchFunctionSubclass:
    """Context in which subclasses of Tensor are plain tensors."""

    def __enter__(self) -> None:
        self.before = state.subclasses
        state.subclasses = False

    def __exit__(self, *_: object) -> None:
        state.subclasses = self.before


class DisableTorchFunction:
    """Context in which neither subclasses nor modes are asked."""

    def __enter__(self) -> None:
        self.before = (state.subclasses, state.modes)
        state.subclasses, state.modes = False, ()

    def __exit__(self, *_: object) -> None:
        state.subclasses, state.modes = self.before


def disabled_torch_function(func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_function__` of classes whose instances give plain tensors."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


# Functions whose results stay what they are: filled where they are defined.
UNCONVERTED: list[Any] = []


def _default(cls: Any, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Compute with plain tensors; the results become instances of the subclass."""
    kwargs = kwargs or {}
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **kwargs)
        if func in UNCONVERTED:
            return result
        return converted(result, cls, (*args, *kwargs.values()))


def converted(result: Any, cls: type, given: tuple = ()) -> Any:
    """The tensors in a result as instances of `cls`; those that were given stay what they are."""
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        if isinstance(result, cls):
            return result
        if type(result) is Tensor and not any([result is x for x in given]):
            # A fresh object that nobody else has: no view and no record is needed.
            note_class(cls)
            result.__class__ = cls
            return result
        return result.as_subclass(cls)  # type: ignore[attr-defined]
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*[converted(x, cls, given) for x in result])
    if type(result) in (tuple, list):
        return type(result)(converted(x, cls, given) for x in result)
    return result


Tensor.__torch_function__ = classmethod(_default)  # type: ignore[attr-defined]


def asks_for_good(cls: Any) -> bool:
    """Whether functions ask a class from its first instance on.

    Of our own subclasses only those do that say so: the others act like plain tensors.
    """
    if getattr(cls, "__torch_function__", None) is disabled_torch_function:
        return False
    return cls.__module__.split(".")[0] != "rushlight" or "_is_asked" in vars(cls)


def note_class(cls: Any) -> None:
    """An instance of a class was made: from now on functions ask it, if it wants to be asked."""
    if cls in KNOWN_CLASSES:
        return
    KNOWN_CLASSES.add(cls)
    if asks_for_good(cls):
        importlib.import_module(INTERCEPTION).watch_for_good()


FIRST_INSTANCE.append(note_class)
