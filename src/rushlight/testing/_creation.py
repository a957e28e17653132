"""`make_tensor`: random tensors to test with.  Level 12."""

from __future__ import annotations

import collections.abc
import math
from typing import Any

from rushlight.base.dtypes import DType, bool_
from rushlight.base.dtypes import float32 as float32_
from rushlight.base.dtypes import float64 as float64_
from rushlight.base.limits import finfo
from rushlight.ops.complex import view_as_complex
from rushlight.ops.creation import empty
from rushlight.ops.random import randint
from rushlight.tensor.grad_mode import no_grad
from rushlight.tensor.tensor import Tensor

__all__ = ["make_tensor"]


def make_tensor(
    *shape: Any,
    dtype: DType,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of numbers drawn uniformly from [low, high).

    Without bounds: [-9, 9) for floating and signed dtypes (10 for integers), [0, 10) for uint8,
    False and True for bool.  exclude_zero: zeros become the dtype's smallest positive number.
    noncontiguous: every other element of a larger tensor.
    Raises: ValueError if `low` is not less than `high`, or a bound is NaN or not of the dtype;
        RuntimeError for a gradient of an integer dtype, or two wishes for the layout at once.
    """
    if len(shape) == 1 and isinstance(shape[0], collections.abc.Sequence):
        shape = tuple(shape[0])
    if noncontiguous and memory_format is not None:
        raise ValueError("make_tensor: noncontiguous and memory_format exclude each other")
    if requires_grad and not dtype.is_inexact:
        raise ValueError(
            f"`requires_grad=True` is only supported for floating and complex dtypes, not {dtype}"
        )
    bounds = _bounds(dtype, low, high)
    with no_grad():
        result = _drawn(shape, dtype, device, *bounds)
        if noncontiguous and result.numel() > 1:
            wide = empty((*shape[:-1], shape[-1], 2) if shape else (2,), dtype=dtype, device=device)
            wide[..., 0] = result
            result = wide[..., 0]
        elif memory_format is not None:
            result = result.clone(memory_format=memory_format)
        if exclude_zero:
            smallest = 1 if not dtype.is_inexact else finfo(dtype).tiny
            result[result == 0] = smallest
    if requires_grad:
        result.requires_grad_()
    return result


def _bounds(dtype: DType, low: float | None, high: float | None) -> tuple[float, float]:
    if dtype is bool_:
        default = (0.0, 2.0)
    elif dtype.is_inexact:
        default = (-9.0, 9.0)
    else:
        default = (-9.0, 10.0) if dtype.is_signed else (0.0, 10.0)
    chosen = (default[0] if low is None else low, default[1] if high is None else high)
    if any(isinstance(bound, float) and math.isnan(bound) for bound in chosen):
        raise ValueError(f"`low` and `high` cannot be NaN, but got {low=} and {high=}")
    if not chosen[0] < chosen[1]:
        raise ValueError(f"`low` must be less than `high`, but got {chosen[0]} >= {chosen[1]}")
    return chosen


def _drawn(shape: tuple, dtype: DType, device: Any, low: float, high: float) -> Tensor:
    if dtype.is_complex:
        real = float32_ if dtype.name in ("complex64", "complex32") else float64_
        pairs: Any = empty((*shape, 2), dtype=real, device=device).uniform_(low, high)
        return view_as_complex(pairs)
    if dtype.is_inexact:
        return empty(shape, dtype=dtype, device=device).uniform_(low, high)
    if dtype is bool_:
        return randint(0, 2, shape, device=device).bool()
    return randint(math.ceil(low), math.ceil(high), shape, dtype=dtype, device=device)
