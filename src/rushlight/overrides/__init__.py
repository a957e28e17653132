"""PyTorch's `torch.overrides`: classes and modes that answer calls of PyTorch's functions.

Level 12.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from rushlight.overrides.interception import (
    ask,
    call_mode,
    kinds_of,
    leave,
    overridable,
    python_form,
    watch,
)
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import UNCONVERTED, DisableTorchFunctionSubclass, state

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "redispatch_function",
    "resolve_name",
    "wrap_torch_function",
]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether an argument's class, or a mode, has a `__torch_function__` to be asked."""
    if state.modes:
        return True
    return state.subclasses and bool(kinds_of(relevant_args))


def has_torch_function_unary(arg: Any) -> bool:
    """The same of one argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """The same of each of the arguments."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """The answer to a call of `public_api(*args, **kwargs)`.  Raises: TypeError if none has one."""
    kinds = kinds_of(relevant_args)
    if state.modes:
        return call_mode(public_api, kinds, args, kwargs)
    return ask(public_api, kinds, args, kwargs)


def wrap_torch_function(dispatcher: Callable) -> Callable[[Callable], Callable]:
    """Decorator: a function that asks the arguments which `dispatcher` names."""

    def attach(function: Callable) -> Callable:
        @functools.wraps(function)
        def asking(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(asking, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return asking

    return attach


def is_tensor_like(inp: Any) -> bool:
    """Whether `inp` is a tensor, or its class has a `__torch_function__`."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def get_overridable_functions() -> dict[Any, list[Any]]:
    """Namespace to the functions in it that can be overridden."""
    found: dict[Any, list[Any]] = {}
    for name, _, seen_as in overridable():
        parts = name.split(".")[1:-1]
        if parts and parts[0] == "Tensor":
            owner: Any = Tensor
        else:
            owner = importlib.import_module(".".join(["rushlight", *parts]))
        found.setdefault(owner, []).append(seen_as)
    return found


def get_ignored_functions() -> set[Any]:
    """Functions that are never overridden: they take no tensors or make them."""
    package = importlib.import_module("rushlight")
    names = "manual_seed seed is_tensor is_storage set_default_dtype get_default_dtype load save"
    made = "tensor from_numpy as_tensor zeros ones rand randn empty arange eye full linspace"
    return {getattr(package, name) for name in f"{names} {made}".split() if hasattr(package, name)}


def get_testing_overrides() -> dict[Any, Callable]:
    """Each function that can be overridden to one with its parameters that returns -1."""
    return {seen_as: _returning(function) for _, function, seen_as in overridable()}


def _returning(function: FunctionType) -> Callable:
    @functools.wraps(function)
    def stand_in(*args: Any, **kwargs: Any) -> int:
        return -1

    return stand_in


def get_default_nowrap_functions() -> set[Any]:
    """Functions whose results Tensor's own `__torch_function__` leaves as they are."""
    return set(UNCONVERTED)


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether `func` is a method of Tensor, or reads a property of it."""
    owner = getattr(func, "__self__", None)
    if isinstance(owner, property):
        return owner in vars(Tensor).values()
    plain = python_form(func)
    return any(python_form(value) is plain for value in vars(Tensor).values() if plain is not None)


def resolve_name(f: Any) -> str | None:
    """PyTorch's dotted name of a function, or None."""
    wanted = python_form(f) or f
    for name, function, seen_as in overridable():
        if function is wanted or seen_as == wanted:
            return name
    return None


class TorchFunctionMode:
    """A context in which every call of PyTorch's functions is answered by `__torch_function__`.

    Within the answer the mode is off.  Derive from this class.
    """

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        raise NotImplementedError("a TorchFunctionMode needs its own __torch_function__")

    def __enter__(self) -> Any:
        watch()
        state.modes = (*state.modes, self)
        return self

    def __exit__(self, *_: object) -> None:
        modes = list(state.modes)
        if self in modes:
            del modes[len(modes) - 1 - modes[::-1].index(self)]
        state.modes = tuple(modes)
        leave()


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that calls each function as it is."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


class enable_reentrant_dispatch:  # noqa: N801 - PyTorch's name
    """Context in which an answer is asked again; answers here are never cut short."""

    def __enter__(self) -> None:
        self.before = state.subclasses
        state.subclasses = True

    def __exit__(self, *_: object) -> None:
        state.subclasses = self.before


def redispatch_function(
    func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
) -> Any:
    """Call a function as if no class overrode it."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))
