"""From arguments to operands: tensors and numbers of one dtype, by PyTorch's promotion.

Level 11.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.base.dtypes import (
    BOOL,
    COMPLEX,
    FLOATING,
    HALVES,
    DType,
    dtype_of_number,
    float32,
    get_default_dtype,
    promote_types,
)
from rushlight.base.hot import hot
from rushlight.base.limits import finfo, iinfo
from rushlight.primitives.elementwise import cast
from rushlight.primitives.movement import expand
from rushlight.tape.tape import current_tape
from rushlight.tensor.autodiff import CustomNode
from rushlight.tensor.storage import current_edge, refresh
from rushlight.tensor.tensor import Tensor, scalar_tensor, wrap

NUMBERS = (int, float, complex, bool, np.number, np.bool_)


def is_number(value) -> bool:
    """Whether `value` is a Python or NumPy scalar."""
    return isinstance(value, NUMBERS)


def result_dtype(*operands) -> DType:
    """PyTorch's result type: tensors with axes decide, then 0-d tensors, then numbers."""
    ranked: list[DType | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, Tensor):
            place = 0 if operand._node.shape else 1
            dtype = operand._node.dtype
        else:
            place, dtype = 2, dtype_of_number(operand)
        known = ranked[place]
        ranked[place] = dtype if known is None else promote_types(known, dtype)
    return _combine(ranked[0], _combine(ranked[1], ranked[2]))


def _combine(higher: DType | None, lower: DType | None) -> Any:
    """A lower group changes the result only by being of a higher category."""
    if higher is None:
        return lower
    if lower is None or higher.category == COMPLEX:
        return higher
    if higher.category == FLOATING:
        return higher.to_complex() if lower.category == COMPLEX else higher
    if higher.category == BOOL or lower.category >= FLOATING:
        return promote_types(higher, lower)
    return higher


def inexact(dtype: DType) -> DType:
    """The dtype itself, or the default floating dtype for integers and bool."""
    return dtype if dtype.is_inexact else get_default_dtype()


@hot
def to_dtype(operand, dtype: DType) -> Tensor:
    """A tensor of `dtype` from a tensor or a number."""
    if isinstance(operand, Tensor):
        return operand if operand._node.dtype is dtype else cast(operand, dtype)
    return scalar_tensor(operand, dtype)


def check_operand(name: str, value, position: str = "other") -> None:
    """Raise PyTorch's TypeError unless `value` is a tensor or a number."""
    if not isinstance(value, Tensor) and not is_number(value):
        raise TypeError(
            f"{name}(): argument '{position}' must be Tensor or Number, not {type(value).__name__}"
        )


@hot
@hot
def check_tensor(name: str, value, position: str = "input") -> None:
    """Raise PyTorch's TypeError unless `value` is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name}(): argument '{position}' (position 1) must be Tensor, not "
            f"{type(value).__name__}"
        )


def check_tensors(name: str, x, y) -> None:
    """Raise PyTorch's TypeError unless both are tensors, for functions that take no numbers."""
    check_tensor(name, x)
    if not isinstance(y, Tensor):
        raise TypeError(
            f"{name}(): argument 'other' (position 2) must be Tensor, not {type(y).__name__}"
        )


def refuse_overflow(value, dtype: DType) -> None:
    """Raise PyTorch's RuntimeError for a number that a dtype cannot hold.

    An unsigned dtype takes negative numbers of a size it can hold, and wraps them.  Infinities and
    NaN are numbers of every floating dtype.
    """
    if dtype.is_inexact:
        if isinstance(value, (complex, np.complexfloating)) or -65504 <= value <= 65504:
            return
        limits = finfo(dtype)
        if math.isfinite(value) and not limits.min <= value <= limits.max:
            raise RuntimeError(
                f"value cannot be converted to type {dtype.name} without overflow: {value} is not "
                f"in [{limits.min}, {limits.max}]"
            )
        return
    if dtype.name == "bool":
        return
    limits = iinfo(dtype)
    lowest = limits.min if limits.min < 0 else -limits.max
    if isinstance(value, complex):
        fits = False
    elif isinstance(value, (float, np.floating)):
        value = float(value)
        fits = math.isfinite(value) and lowest <= math.trunc(value) <= limits.max
        fits = fits and (limits.min < 0 or value > -1 or value == math.trunc(value))
    else:
        fits = lowest <= value <= limits.max
    if not fits:
        raise RuntimeError(
            f"value cannot be converted to type {dtype.name} without overflow: {value} is not in "
            f"[{limits.min}, {limits.max}]"
        )


def refuse(name: str, x: Tensor, *, bool_: bool = False, complex_: bool = False) -> None:
    """Raise PyTorch's NotImplementedError for bool or complex operands."""
    dtype = x._node.dtype
    if (bool_ and dtype.name == "bool") or (complex_ and dtype.is_complex):
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{dtype.name}'")


@hot
def promote(name: str, x, y, *, floating: bool = False) -> tuple[Tensor, Tensor]:
    """Two operands of one dtype.  floating: integers become the default floating dtype."""
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        own = x._node.dtype
        if own is y._node.dtype and (own.is_inexact or not floating):
            return x, y
    check_operand(name, x, "input")
    check_operand(name, y)
    dtype = result_dtype(x, y)
    if floating:
        dtype = inexact(dtype)
    return to_dtype(x, dtype), to_dtype(y, dtype)


@hot
def as_inexact(name: str, x) -> Tensor:
    """The operand, with integers and bool converted to the default floating dtype."""
    if isinstance(x, Tensor) and x._node.dtype.is_inexact:
        return x
    check_tensor(name, x)
    return cast(x, get_default_dtype())


def constant(x: Tensor) -> Tensor:
    """The tensor's present value without history; not an alias (see `detach` for one)."""
    transforms = current_tape().transforms
    if transforms is not None and transforms.knowing((x,)) is not None:
        return transforms.detached(x)
    if current_edge(x) is None:
        return x
    if x._storage is not None and x._storage.stamp != x._seen:
        refresh(x)
    return wrap(x._node)


def is_followed(x: Tensor) -> bool:
    """Whether derivatives by `x` may be taken: a graph leads to it, or a transform is active."""
    return current_edge(x) is not None or current_tape().transforms is not None


def all_members(x: Tensor) -> Tensor:
    """Under vmap, the batch that `x` is a member of; else `x`.

    For questions about all members at once: their largest value, or whether any is negative.
    """
    while True:
        payload = getattr(x._node, "payload", None)
        if payload is None:
            return x
        x = payload


def without_derivative(name: str, result: Tensor, *operands: Tensor) -> Tensor:
    """The result of an operation on `constant` operands, through which backward must not go.

    It requires a gradient if an operand does, and backward raises where it gets there: PyTorch's
    answer for operations that it gives no derivative, not even zeros.
    """
    edges = tuple([current_edge(x) for x in operands])
    follows = current_tape().grad_enabled and any(edge is not None for edge in edges)
    if follows and result._node.dtype.is_inexact:
        kind = (result._node.shape, result._node.dtype)

        def refused(given, retain_graph):
            raise RuntimeError(f"derivative for aten::{name} is not implemented")

        result._grad_fn = CustomNode("torch::autograd::NotImplemented", edges, [kind], refused)
    return result


def without_slope(name: str, result: Tensor, *operands: Tensor) -> Tensor:
    """The result of a step function of `constant` operands: its derivative is 0 everywhere.

    Through the rules of what it is made of, that 0 would meet infinite slopes and become NaN.
    """
    edges = tuple([current_edge(x) for x in operands])
    follows = current_tape().grad_enabled and any(edge is not None for edge in edges)
    if follows and result._node.dtype.is_inexact:
        kinds = [(x._node.shape, x._node.dtype) for x in operands]

        def nothing(given, retain_graph):
            return [expand(scalar_tensor(0, dtype), shape) for shape, dtype in kinds]

        kind = (result._node.shape, result._node.dtype)
        result._grad_fn = CustomNode(name, edges, [kind], nothing)
    return result


@hot
def widened(x: Tensor) -> Tensor:
    """16-bit floats as float32, for operations that accumulate; the rest unchanged."""
    return cast(x, float32) if x._node.dtype in HALVES else x
