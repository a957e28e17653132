"""Modes and classes that answer for PyTorch's operators.  Level 12.

Source: torch.utils._python_dispatch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.overrides.dispatch import ModeTransforms
from rushlight.overrides.interception import leave, watch
from rushlight.tape.tape import current_tape
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import state

__all__ = [
    "TorchDispatchMode",
    "is_traceable_wrapper_subclass",
    "return_and_correct_aliasing",
    "transform_subclass",
]


class TorchDispatchMode:
    """A context in which every operator is answered by `__torch_dispatch__`.

    Within the answer the mode is off.  Derive from this class.
    """

    def __init__(self, _dispatch_key: Any = None) -> None:
        self._entered: list[Any] = []

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        raise NotImplementedError("a TorchDispatchMode needs its own __torch_dispatch__")

    def __enter__(self) -> Any:
        watch()
        shown = None
        if current_tape().transforms is None:
            shown = ModeTransforms(current_tape())
            shown.activate()
        vars(self).setdefault("_entered", []).append((state.dispatch_modes, shown))
        state.dispatch_modes = (*state.dispatch_modes, self)
        return self

    def __exit__(self, *_: object) -> None:
        state.dispatch_modes, shown = self._entered.pop()
        if shown is not None:
            shown.deactivate()
        leave()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """A new one; `with Mode():` does the same."""
        return cls(*args, **kwargs)


class BaseTorchDispatchMode(TorchDispatchMode):
    """A mode that calls each operator as it is."""

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _get_current_dispatch_mode() -> Any:
    """The innermost mode, or None."""
    return state.dispatch_modes[-1] if state.dispatch_modes else None


def _get_current_dispatch_mode_stack() -> list[Any]:
    """The modes that are on, innermost last."""
    return list(state.dispatch_modes)


@contextlib.contextmanager
def _disable_current_modes() -> Iterator[list[Any]]:
    """Context in which no mode is on."""
    before = state.dispatch_modes
    state.dispatch_modes = ()
    try:
        yield list(before)
    finally:
        state.dispatch_modes = before


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether a tensor of a class of its own can be taken apart and put together.

    It then has `__tensor_flatten__` and `__tensor_unflatten__`.
    """
    apart = hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")
    return isinstance(t, Tensor) and type(t) is not Tensor and apart


def is_traceable_wrapper_subclass_type(t: type) -> bool:
    """The same of a class."""
    apart = hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")
    return issubclass(t, Tensor) and t is not Tensor and apart


def transform_subclass(
    t: Any,
    callback: Callable[[str, Any], Any],
    outer_size: Any = None,
    outer_stride: Any = None,
) -> Any:
    """A tensor like `t`, of parts that `callback(name, part)` gives."""
    names, context = t.__tensor_flatten__()
    parts = {name: callback(name, getattr(t, name)) for name in names}
    size = t.size() if outer_size is None else outer_size
    stride = t.stride() if outer_stride is None else outer_stride
    return type(t).__tensor_unflatten__(parts, context, size, stride)


def return_and_correct_aliasing(func: Any, args: tuple, kwargs: dict, out: Any) -> Any:
    """What an operator returns: the operand itself where it writes to it, else `out`."""
    return args[0] if func._schema.is_mutable else out
