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

from rushlight.tensor.function_names import name_of
from rushlight.tensor.known_classes import FIRST_INSTANCE, KNOWN_CLASSES
from rushlight.tensor.tensor import Tensor

INTERCEPTION = "rushlight.overrides.interception"
WRAPPERS = "rushlight.overrides.wrappers"


class _State(threading.local):
    """modes: innermost last.  subclasses: whether classes of operands are asked.

    autocast: what `amp` asks for, or None.  dispatch_modes: those of `__torch_dispatch__`.
    dispatch: whether anybody is asked for operators.
    """

    modes: tuple[Any, ...] = ()
    dispatch_modes: tuple[Any, ...] = ()
    dispatch = True
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


def disabled_torch_dispatch(func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_dispatch__` of classes that answer for no operator: Tensor's own."""
    return func(*args, **(kwargs or {}))


class _Dispatching:
    """Whether a class of this process answers for operators."""

    def __init__(self) -> None:
        self.begun = False


dispatching = _Dispatching()


class DisableTorchDispatch:
    """Context in which neither classes nor modes are asked for operators."""

    def __enter__(self) -> None:
        self.before = state.dispatch
        state.dispatch = False

    def __exit__(self, *_: object) -> None:
        state.dispatch = self.before


# Functions whose results stay what they are: filled where they are defined.
UNCONVERTED: list[Any] = []
# Properties whose values stay what they are.  By name: machine code may have taken the place of the
# property that was watched.
PLAIN_PROPERTIES = ("grad", "_base", "_grad")


def _stays(func: Callable) -> bool:
    """Whether a function's results are not converted."""
    if func in UNCONVERTED:
        return True
    return getattr(func, "__name__", "") == "__get__" and name_of(func) in PLAIN_PROPERTIES


def _default(cls: Any, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Compute with plain tensors; the results become instances of the subclass."""
    kwargs = kwargs or {}
    if not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **kwargs)
        if _stays(func):
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
Tensor.__torch_dispatch__ = staticmethod(disabled_torch_dispatch)  # type: ignore[attr-defined]


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
    if cls.__torch_dispatch__ is not disabled_torch_dispatch:
        # Such a class answers for operators; of functions it is asked only if it says so.
        if getattr(cls.__torch_function__, "__func__", None) is _default:
            cls.__torch_function__ = disabled_torch_function
        dispatching.begun = True
        importlib.import_module(INTERCEPTION).watch_for_good()
    elif asks_for_good(cls):
        importlib.import_module(INTERCEPTION).watch_for_good()


def _make_wrapper_subclass(cls: Any, size: Any, **options: Any) -> Any:
    """An instance of a subclass with a shape and no data; its `__torch_dispatch__` answers for it.

    Loaded when first used.  See `overrides/wrappers.py`.
    """
    return importlib.import_module(WRAPPERS).make_wrapper(cls, size, **options)


Tensor._make_wrapper_subclass = staticmethod(_make_wrapper_subclass)  # type: ignore[attr-defined]
FIRST_INSTANCE.append(note_class)
