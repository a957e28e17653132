"""Decorators of the classes of steps.  Level 12."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

from rushlight.utils.data.datapipes.datapipe import IterDataPipe, MapDataPipe

__all__ = [
    "argument_validation", "functional_datapipe", "guaranteed_datapipes_determinism",
    "non_deterministic", "runtime_validation", "runtime_validation_disabled",
]  # fmt: skip


class functional_datapipe:  # noqa: N801 - PyTorch's name
    """Decorator: make the class a method `name` of all pipes of its kind."""

    def __init__(self, name: str, enable_df_api_tracing: bool = False) -> None:
        self.name = name
        self.enable_df_api_tracing = enable_df_api_tracing

    def __call__(self, cls: Any) -> Any:
        kind = getattr(getattr(cls, "__self__", cls), "cls", None) or cls
        if issubclass(kind, IterDataPipe):
            IterDataPipe.register_datapipe_as_function(self.name, cls, self.enable_df_api_tracing)
        elif issubclass(kind, MapDataPipe):
            MapDataPipe.register_datapipe_as_function(self.name, cls)
        return cls


class _Wanted:
    """deterministic: pipes that are not raise.  validated: samples are checked."""

    deterministic = False
    validated = True


class guaranteed_datapipes_determinism:  # noqa: N801 - PyTorch's name
    """Context in which a pipe whose order is not certain raises TypeError when it is made."""

    def __init__(self) -> None:
        self.before = _Wanted.deterministic
        _Wanted.deterministic = True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _Wanted.deterministic = self.before


class non_deterministic:  # noqa: N801 - PyTorch's name
    """Decorator of a class whose order is not certain.

    arg: the class; or a function of its arguments that says whether it is uncertain with these.
    """

    cls: Any = None

    def __init__(self, arg: Any) -> None:
        if isinstance(arg, type):
            if not issubclass(arg, IterDataPipe):
                raise TypeError(
                    "Only `IterDataPipe` can be decorated with `non_deterministic`"
                    f", but {arg.__name__} is found"
                )
            self.cls, self.tells = arg, lambda *_, **__: True
        elif callable(arg):
            self.tells = arg
        else:
            raise TypeError(f"{arg} can not be decorated by non_deterministic")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.cls is not None:
            return self._made(*args, **kwargs)
        if not (isinstance(args[0], type) and issubclass(args[0], IterDataPipe)):
            raise TypeError(f"Only `IterDataPipe` can be decorated, but {args[0]!r} is found")
        self.cls = args[0]
        return self._made

    def _made(self, *args: Any, **kwargs: Any) -> Any:
        uncertain = self.tells(*args, **kwargs)
        if not isinstance(uncertain, bool):
            raise TypeError(
                "deterministic_fn of `non_deterministic` decorator is required to return a boolean"
                f" value, but {type(uncertain)} is found"
            )
        if _Wanted.deterministic and uncertain:
            raise TypeError(
                f"{self.cls.__name__} is non-deterministic, but you set"
                " 'guaranteed_datapipes_determinism'. You can turn off determinism for this"
                " DataPipe if that is acceptable for your application"
            )
        return self.cls(*args, **kwargs)


def argument_validation(f: Callable) -> Callable:
    """Decorator of `__init__`: arguments annotated as IterDataPipe must be pipes (TypeError)."""
    signature = inspect.signature(f)
    hints = get_type_hints(f)
    wanted = {
        name
        for name, hint in hints.items()
        if inspect.isclass(kind := get_origin(hint) or hint) and issubclass(kind, IterDataPipe)
    }

    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if name in wanted and not isinstance(value, IterDataPipe):
                raise TypeError(
                    f"Expected argument '{name}' as a IterDataPipe, but found {type(value)}"
                )
        return f(*args, **kwargs)

    return checked


class runtime_validation_disabled:  # noqa: N801 - PyTorch's name
    """Context in which samples are not checked."""

    def __init__(self) -> None:
        self.before = _Wanted.validated
        _Wanted.validated = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _Wanted.validated = self.before


def runtime_validation(f: Callable) -> Callable:
    """Decorator of `__iter__`: samples must be instances of T where the class is IterDataPipe[T].

    Raises, from the iterator: RuntimeError for another one.
    """

    @functools.wraps(f)
    def checked(self: Any) -> Any:
        kind = _sample_type(type(self))
        for sample in f(self):
            if _Wanted.validated and kind is not None and not isinstance(sample, kind):
                raise RuntimeError(
                    f"Expected an instance as subtype of {kind}, but found {sample}({type(sample)})"
                )
            yield sample

    return checked


def _sample_type(cls: type) -> type | None:
    """T of the nearest base IterDataPipe[T], where it is a class."""
    for kind in cls.__mro__:
        for base in vars(kind).get("__orig_bases__", ()):
            origin = get_origin(base)
            if inspect.isclass(origin) and issubclass(origin, IterDataPipe):
                (found,) = get_args(base)
                found = get_origin(found) or found
                return found if inspect.isclass(found) else None
    return None
