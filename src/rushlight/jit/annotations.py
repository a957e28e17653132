"""What TorchScript code says about itself: marks and questions that Python answers.  Level 12."""

from __future__ import annotations

import builtins
import types
import typing
from collections.abc import Callable
from typing import (  # noqa: UP035 - programs take the names of types from here
    Any,
    Dict,  # noqa: F401
    Final,
    List,  # noqa: F401
    NamedTuple,
    Optional,  # noqa: F401
    Tuple,  # noqa: F401
    TypeVar,
    Union,  # noqa: F401
)

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "TracerWarning",
    "annotate",
    "export",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "overload",
    "script_method",
    "unused",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MARK = "_torchscript_modifier"


class Error(RuntimeError):
    """An error of compiled TorchScript; Python code raises its own."""


class TracerWarning(Warning):
    """What a traced value could not show; nothing is lost here, as Python runs each time."""

    @staticmethod
    def ignore_lib_warnings() -> None:
        """Silence the library's own warnings of this kind: there are none."""


class Attribute(NamedTuple):
    """A value of a module with the type that TorchScript gives it."""

    value: Any
    type: Any


class TensorType:
    """TorchScript's type of tensors, which programs name in annotations."""

    @staticmethod
    def get() -> TensorType:
        """The one there is."""
        return _TENSOR_TYPE

    def __str__(self) -> str:
        return "Tensor"

    def __eq__(self, other: object) -> bool:
        return type(other) is TensorType

    def __hash__(self) -> int:
        return hash(TensorType)


_TENSOR_TYPE = TensorType()


def is_scripting() -> bool:
    """Whether the code runs as TorchScript: no, it is Python."""
    return False


def is_tracing() -> bool:
    """Whether the code is being traced: no, Python runs each time."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value; its type is what it is."""
    return the_value


def export(fn: _Function) -> _Function:
    """Mark a method that a scripted module has; every method is there."""
    setattr(fn, _MARK, "export")
    return fn


def unused(fn: Any) -> Any:
    """Mark a method that TorchScript replaces by an error; Python runs it."""
    if builtins.isinstance(fn, property):
        return fn
    setattr(fn, _MARK, "unused")
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Mark a method that TorchScript leaves to Python: a decorator, with or without arguments."""
    if callable(drop):
        setattr(drop, _MARK, "ignore")
        return drop
    if not builtins.isinstance(drop, bool):
        raise RuntimeError(
            f"Argument to @torch.jit.ignore must be a bool or a function but got {drop}"
        )

    def attach(fn: _Function) -> _Function:
        setattr(fn, _MARK, "unused" if drop or kwargs.get("drop_on_export") else "ignore")
        return fn

    return attach


def interface(obj: _Function) -> _Function:
    """Mark a class that only says which methods there are."""
    return obj


def script_method(fn: _Function) -> _Function:
    """Mark a method of a ScriptModule."""
    return fn


def overload(fn: _Function) -> _Function:
    """Mark one of several signatures of a function."""
    return fn


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether a value has a type, containers looked into: `List[int]`, `Optional[Tensor]`, ..."""
    origin = typing.get_origin(target_type)
    if builtins.isinstance(target_type, tuple):
        return any(isinstance(obj, one) for one in target_type)
    if origin is None:
        return target_type is Any or builtins.isinstance(obj, target_type or type(None))
    arguments = typing.get_args(target_type)
    if origin in (typing.Union, types.UnionType):
        return any(isinstance(obj, one) for one in arguments)
    if origin is list:
        return builtins.isinstance(obj, list) and all(isinstance(x, arguments[0]) for x in obj)
    if origin is dict:
        return builtins.isinstance(obj, dict) and all(
            isinstance(key, arguments[0]) and isinstance(value, arguments[1])
            for key, value in obj.items()
        )
    if origin is tuple:
        return (
            builtins.isinstance(obj, tuple)
            and len(obj) == len(arguments)
            and all(isinstance(x, one) for x, one in zip(obj, arguments))
        )
    return builtins.isinstance(obj, origin)
