"""Contexts that are decorators as well, under the name that PyTorch keeps them by.  Level 12.

Source: torch.utils._contextlib.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["context_decorator"]


def context_decorator(ctx: Any, func: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs inside of a context, made anew for each call.

    ctx: a context manager, which is then used again, or a function that makes one.  Generators run
    each of their steps inside.  Raises: RuntimeError for classes.
    """
    if inspect.isclass(func):
        raise RuntimeError(
            f"Cannot decorate classes; decorate the methods of {func.__name__} that are to run"
            " inside of the context"
        )

    def made() -> Any:
        return ctx() if callable(ctx) and not hasattr(ctx, "__enter__") else ctx

    if inspect.isgeneratorfunction(func):
        return _stepwise(made, func)

    @functools.wraps(func)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        with made():
            return func(*args, **kwargs)

    return decorated


def _stepwise(made: Callable[[], Any], func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        generator = func(*args, **kwargs)
        step, given = generator.send, None
        while True:
            try:
                with made():
                    found = step(given)
            except StopIteration as end:
                return end.value
            try:
                step, given = generator.send, (yield found)
            except GeneratorExit:
                with made():
                    generator.close()
                raise
            except BaseException as error:
                step, given = generator.throw, error

    return decorated


class _DecoratorContextManager:
    """Base of contexts that may stand before a function: `@context(...)`."""

    def __call__(self, orig_func: Callable[..., Any]) -> Callable[..., Any]:
        return context_decorator(self.clone, orig_func)

    def __enter__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs its own __enter__")

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs its own __exit__")

    def clone(self) -> Any:
        """A new context of the same options; those that take some say how."""
        return self.__class__()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """The same for contexts without options: `@context` without brackets, too."""

    def __new__(cls, orig_func: Callable[..., Any] | None = None) -> Any:
        made = super().__new__(cls)
        return made if orig_func is None else made(orig_func)
