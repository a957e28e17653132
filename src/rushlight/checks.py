"""Conditions that a program states: `torch._check` and its like.  Level 12.

In: a condition that holds, and what to say where it does not.  Raises: the error of PyTorch's
function of that name.  Source: torch._check, torch._assert.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import bool_
from rushlight.tensor.tensor import Tensor

__all__ = ["_assert", "_assert_async", "_check"]

_FAILED = (
    "Expected cond to be True, but got False. (Could this error message be improved? If so, please "
    "report an enhancement request to PyTorch.)"
)


def _message(message: Any) -> str:
    return _FAILED if message is None else str(message() if callable(message) else message)


def _check_with(
    error_type: type[Exception],
    cond: Any,
    message: Callable[[], Any] | None = None,
) -> None:
    """Raise an error of a type unless a condition holds.  Raises: TypeError for no condition."""
    if not isinstance(cond, bool):
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if not cond:
        if message is not None and not callable(message):
            raise TypeError("message must be a callable")
        raise error_type(_message(message))


def _check(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise RuntimeError unless a condition holds."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise IndexError unless a condition holds."""
    _check_with(IndexError, cond, message)


def _check_value(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise ValueError unless a condition holds."""
    _check_with(ValueError, cond, message)


def _check_type(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise TypeError unless a condition holds."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond: Any, message: Callable[[], Any] | None = None) -> None:
    """Raise NotImplementedError unless a condition holds."""
    _check_with(NotImplementedError, cond, message)


def _check_tensor_all_with(
    error_type: type[Exception], cond: Tensor, message: Callable[[], Any] | None = None
) -> None:
    """Raise an error of a type unless all elements are true."""
    if not isinstance(cond, Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if cond.dtype is not bool_:
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype}")
    _check_with(error_type, bool(cond.all().item()), message)


def _check_tensor_all(cond: Tensor, message: Callable[[], Any] | None = None) -> None:
    """Raise RuntimeError unless all elements are true."""
    _check_tensor_all_with(RuntimeError, cond, message)


def _check_is_size(i: Any, message: Callable[[], Any] | None = None, *, max: Any = None) -> None:
    """Raise RuntimeError unless a number can be a size."""
    _check(i >= 0, message)
    if max is not None:
        _check(i <= max, message)


def _assert(condition: Any, message: str) -> None:
    """Python's `assert` as a function, so that a traced condition is recorded."""
    kind = type(condition)
    if not isinstance(condition, Tensor) and hasattr(kind, "__torch_function__"):
        kind.__torch_function__(_assert, (kind,), (condition, message))
        return
    assert condition, message


def _assert_async(input: Tensor, assert_msg: str = "") -> None:
    """Raise RuntimeError unless the one element is not zero; here at once."""
    if input.numel() != 1:
        raise RuntimeError("Boolean value of Tensor with other than one value is ambiguous")
    if not input.item():
        raise RuntimeError(assert_msg or "Expected Tensor with single nonzero value, but got zero")
