"""Calls of PyTorch's functions pass through here while somebody wants to see them.

In: the functions of `ops`, `nn.functional` and their like, the methods and properties of Tensor,
and the thread's state (modes, subclasses, autocast).  Out: while anybody watches, the code of each
such function is a call of its `Interceptor`; otherwise it is its own, so that recording costs
nothing.  A function stays the same object whoever holds it, `from torch import add` included: only
its `__code__`, which Python lets a program replace, changes.  Level: overrides (12).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any

from rushlight.ops.spelling import PUBLIC
from rushlight.overrides import dispatch
from rushlight.selfcompile import warmup
from rushlight.tensor.known_classes import KNOWN_CLASSES
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import (
    PLAIN_PROPERTIES,
    UNCONVERTED,
    asks_for_good,
    disabled_torch_function,
    dispatching,
    state,
)

# Namespaces beside the top one whose functions are PyTorch's.
NAMESPACES = ("nn.functional", "linalg", "fft", "special")
# Python's operators as PyTorch names the method that is asked.
OPERATORS = {
    "__add__": "add", "__radd__": "add", "__iadd__": "add_", "__sub__": "sub", "__isub__": "sub_",
    "__mul__": "mul", "__rmul__": "mul", "__imul__": "mul_", "__truediv__": "div",
    "__itruediv__": "div_", "__matmul__": "matmul", "__mod__": "remainder", "__pow__": "pow",
    "__neg__": "neg", "__abs__": "abs", "__invert__": "bitwise_not", "__and__": "bitwise_and",
    "__or__": "bitwise_or", "__xor__": "bitwise_xor", "__eq__": "eq", "__ne__": "ne",
    "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge",
}  # fmt: skip
# Methods that nobody overrides: how tensors are made, and what is no operation.
UNSEEN = frozenset(
    "__new__ __init__ __hash__ __torch_function__ __dir__ __setstate__ __getattr__ __getattribute__"
    " __setattr__ __class__ __init_subclass__ __subclasshook__ __array_priority__ __del__"
    " __torch_dispatch__ as_subclass _make_subclass _make_wrapper_subclass new_tensor"
    " __cuda_array_interface__ _is_view".split()
)
# Questions about what a value is: nobody is asked for the answer.
QUESTIONS = frozenset({"is_tensor", "is_storage", "typename", "is_tensor_like"})

_TRAMPOLINE = """
def make({names}):
    def trampoline(*args, _intercept, **kwargs):
        return _intercept(args, kwargs)
        ({names})
    return trampoline
"""


@functools.cache
def _trampoline_code(free: tuple[str, ...]) -> CodeType:
    """Code that calls its keyword default `_intercept`, for a function with these free names."""
    names = ", ".join(free)
    scope: dict[str, Any] = {}
    text = _TRAMPOLINE.format(names=names)
    exec(compile(text, __file__, "exec"), scope)
    return scope["make"](*free).__code__


class Interceptor:
    """One function under watch.

    function: the object that programs hold.  original: a function with its own code.
    seen_as: what a `__torch_function__` is given for it.
    rule: how autocast calls it, or None.
    users: who watches it.
    """

    def __init__(self, function: FunctionType, seen_as: Any = None) -> None:
        self.function = function
        self.code = function.__code__
        self.original = _copy(function)
        self.seen_as = function if seen_as is None else seen_as
        is_function = type(self.seen_as) is FunctionType
        self.name = self.seen_as.__name__ if is_function else function.__name__
        self.rule: Callable[[Callable, tuple, dict], Any] | None = None
        self.users = 0
        # The default is there from the first time on; only the code changes back and forth.
        self.function.__kwdefaults__ = {
            **(function.__kwdefaults__ or {}), "_intercept": self.call,
        }  # fmt: skip
        self.replacement = _trampoline_code(self.code.co_freevars)
        # Who asks for the signature while it is watched gets its own.
        function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]

    def watch(self) -> None:
        """Come before the function."""
        self.users += 1
        if self.users == 1:
            self.function.__code__ = self.replacement

    def leave(self) -> None:
        """Undo `watch`."""
        self.users -= 1
        if self.users == 0:
            self.function.__code__ = self.code

    def call(self, args: tuple, kwargs: dict) -> Any:
        """What a call of the function does while it is watched."""
        if state.modes:
            kinds = kinds_of(args, kwargs) if state.subclasses else ()
            return call_mode(self.seen_as, kinds, args, kwargs)
        if state.subclasses:
            kinds = kinds_of(args, kwargs)
            if kinds:
                return ask(self.seen_as, kinds, args, kwargs, self.original)
        if self.rule is not None and state.autocast is not None:
            return self.rule(self.answered, args, kwargs)
        return self.answered(*args, **kwargs)

    def answered(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result, by the classes and modes that answer for operators."""
        if state.dispatch_modes or dispatching.begun:
            return dispatch.call(self.original, self.name, args, kwargs)
        return self.original(*args, **kwargs)


def _copy(function: FunctionType) -> FunctionType:
    copy = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        function.__closure__,
    )  # fmt: skip
    copy.__kwdefaults__ = dict(function.__kwdefaults__) if function.__kwdefaults__ else None
    copy.__qualname__ = function.__qualname__
    return copy


# ---- who is asked --------------------------------------------------------------------------------


def _asks(kind: type) -> bool:
    rule = getattr(kind, "__torch_function__", None)
    return rule is not None and rule is not disabled_torch_function


def kinds_of(args: Iterable[Any], kwargs: dict | None = None) -> tuple[Any, ...]:
    """An operand of each class that is asked, subclasses before their bases; lists are looked
    into."""
    found: list[Any] = []
    for value in args:
        _add_kind(value, found)
    if kwargs:
        for value in kwargs.values():
            _add_kind(value, found)
    return tuple(found)


_PLAIN = {Tensor, int, float, bool, str, type(None), slice, complex}


def _add_kind(value: Any, found: list[Any]) -> None:
    kind = type(value)
    if kind in _PLAIN:
        return
    if kind is tuple or kind is list:
        for inner in value:
            _add_kind(inner, found)
        return
    if isinstance(value, type) or not _asks(kind):
        return
    dispatch.insert_kind(value, kind, found)


def ask(
    function: Any, kinds: tuple, args: tuple, kwargs: dict, plainly: Callable | None = None
) -> Any:
    """The first answer of the operands' classes.  Raises: TypeError if none has one."""
    types = tuple(type(operand) for operand in kinds)
    for operand in kinds:
        result = type(operand).__torch_function__(function, types, args, kwargs)
        if result is not NotImplemented:
            return result
    name = getattr(function, "__name__", str(function))
    raise TypeError(
        f"no implementation found for '{name}' on types that implement __torch_function__: "
        f"{list(types)}"
    )


def call_mode(function: Any, kinds: tuple, args: tuple, kwargs: dict) -> Any:
    """Let the innermost mode answer; within its answer it is not on."""
    modes = state.modes
    state.modes = modes[:-1]
    try:
        types = tuple(type(operand) for operand in kinds)
        result = modes[-1].__torch_function__(function, types, args, kwargs)
        if result is not NotImplemented:
            return result
        if kinds:
            return ask(function, kinds, args, kwargs)
        name = getattr(function, "__name__", str(function))
        raise TypeError(f"no implementation found for '{name}': the mode gave NotImplemented")
    finally:
        state.modes = modes


# ---- what is watched -----------------------------------------------------------------------------


class _Watch:
    """interceptors: of every function met so far.  complete: for how many modules."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.interceptors: dict[FunctionType, Interceptor] = {}
        self.watchers = 0
        self.watched: list[Interceptor] = []
        self.for_good = False


_watch = _Watch()


def interceptor_of(function: FunctionType, seen_as: Any = None) -> Interceptor:
    """The one interceptor of a function."""
    known = _watch.interceptors.get(function)
    if known is None:
        known = _watch.interceptors[function] = Interceptor(function, seen_as)
    return known


def _all() -> list[Interceptor]:
    """Interceptors of every function that can be overridden; machine code is suspended."""
    found: dict[int, Interceptor] = {}
    for name, function, seen_as in overridable():
        one = interceptor_of(function, seen_as)
        spelling = name.rpartition(".")[2]
        if spelling.startswith("__") and spelling != "__get__":
            # Operators are made by functions of other names.
            one.name = OPERATORS.get(spelling, spelling)
        found[id(one)] = one
    return list(found.values())


def python_form(value: Any) -> FunctionType | None:
    """The function itself, or the Python one that machine code was made from."""
    if type(value) is FunctionType:
        return value
    inner = getattr(value, "__wrapped__", None)
    is_machine_code = type(value).__module__ not in ("builtins", "functools")
    return inner if type(inner) is FunctionType and is_machine_code else None


def overridable() -> Iterable[tuple[str, FunctionType, Any]]:
    """(PyTorch's name, Python function, what a `__torch_function__` is given) of each."""
    seen: set[int] = set()
    for name, value in PUBLIC.items():
        function = python_form(value)
        if function is None or name.startswith("_") or name in QUESTIONS:
            continue
        if id(function) not in seen:
            seen.add(id(function))
            yield f"torch.{name}", function, function
    for namespace in NAMESPACES:
        module = importlib.import_module(f"rushlight.{namespace}")
        for name, value in list(vars(module).items()):
            function = python_form(value)
            if function is None or name.startswith("_") or id(function) in seen:
                continue
            if function.__module__.startswith("rushlight."):
                seen.add(id(function))
                yield f"torch.{namespace}.{name}", function, function
    yield from _members(seen)


def _members(seen: set[int]) -> Iterable[tuple[str, FunctionType, Any]]:
    for name, value in list(vars(Tensor).items()):
        if name in UNSEEN or (name.startswith("_") and not name.startswith("__")):
            continue
        if type(value) is property:
            function = python_form(value.fget)
            if function is not None and id(function) not in seen:
                seen.add(id(function))
                yield f"torch.Tensor.{name}.__get__", function, value.__get__
            continue
        function = python_form(value)
        if function is None or id(function) in seen:
            continue
        seen.add(id(function))
        public = python_form(vars(Tensor).get(OPERATORS.get(name, "")))
        yield f"torch.Tensor.{name}", function, function if public is None else public


def watch() -> None:
    """See every call from now on, until as many calls of `leave`."""
    with _watch.lock:
        _watch.watchers += 1
        if _watch.watchers == 1:
            # Machine code calls machine code: there would be nothing to see in between.
            warmup.suspend()
            _watch.watched = _all()
            for interceptor in _watch.watched:
                interceptor.watch()


def leave() -> None:
    """Undo `watch`."""
    with _watch.lock:
        _watch.watchers -= 1
        if _watch.watchers == 0:
            for interceptor in _watch.watched:
                interceptor.leave()
            _watch.watched = []
            warmup.resume()


def watch_for_good() -> None:
    """See every call until the process ends."""
    with _watch.lock:
        if not _watch.for_good:
            _watch.for_good = True
            watch()


def watch_unless_watched() -> None:
    """The same, but where calls are seen already."""
    if not _watch.watchers:
        watch_for_good()


def forget_classes() -> None:
    """Undo `watch_for_good`, until the next instance of a subclass is made."""
    with _watch.lock:
        if _watch.for_good:
            _watch.for_good = False
            leave()
    for cls in list(KNOWN_CLASSES):
        if asks_for_good(cls):
            KNOWN_CLASSES.discard(cls)


UNCONVERTED.extend(
    vars(Tensor)[name].__get__
    for name in PLAIN_PROPERTIES
    if type(vars(Tensor).get(name)) is property
)
