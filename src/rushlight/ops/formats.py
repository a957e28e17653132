"""Memory formats: which order of axes a program asks for, and how a result gets it.  Level 11."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.orders import (
    Order,
    as_it_lies,
    channels_last_axes,
    dense_order,
    order_of,
    shows_channels_last,
    strides_in,
)
from rushlight.base.shapes import is_contiguous as strides_are_contiguous
from rushlight.primitives.movement import copy
from rushlight.tape.memo import BUFFER, LeafSpec, leaf_spec
from rushlight.tape.node import NO_ADDRESS
from rushlight.tensor.memory import is_plain, order_in_memory
from rushlight.tensor.tensor import Tensor, strides_of

CHANNELS_LAST_RANK = {formats.channels_last: 4, formats.channels_last_3d: 5}


def order_of_format(memory_format: Any, rank: int) -> Order | None:
    """The order of a new tensor in a format.  Raises: RuntimeError for another number of axes."""
    needed = CHANNELS_LAST_RANK.get(memory_format)
    if needed is None:
        return None
    if rank != needed:
        raise RuntimeError(f"required rank {needed} tensor to use {memory_format} format")
    return dense_order(channels_last_axes(rank))


def keeps_format(memory_format: Any) -> bool:
    """Whether a format asked for, or None, is that of the tensor which is copied."""
    return memory_format is None or memory_format is formats.preserve_format


def order_like(x: Tensor, memory_format: Any = None) -> Order | None:
    """The order of a new tensor of `x`'s shape: that of the format, or of `x`."""
    if keeps_format(memory_format):
        return as_it_lies(x._node.shape, order_in_memory(x))
    return order_of_format(memory_format, len(x._node.shape))


def lying(made: Tensor, order: Order | None) -> Tensor:
    """A new tensor that nobody else has, its axes in this order."""
    node = made._node
    if node.step.order is None and order is None:
        return made
    if node.address == NO_ADDRESS and node.step.__class__ is LeafSpec and made._storage is None:
        if node.step.primitive is BUFFER:
            node.step = leaf_spec(BUFFER, node.shape, node.dtype, node.step.device, order)
            return made
    strides = strides_in(node.shape, order)
    if strides_of(made) == strides and (made._layout is None or made._layout[1] == 0):
        return made
    return copy(made, tuple(range(len(node.shape))) if order is None else order.axes)


def order_of_data(data: Any) -> Order | None:
    """The order of a tensor that copies a tensor or an array."""
    if isinstance(data, Tensor):
        return order_like(data)
    if isinstance(data, np.ndarray) and data.itemsize and not data.flags.c_contiguous:
        if all(step >= 0 and step % data.itemsize == 0 for step in data.strides):
            strides = tuple([step // data.itemsize for step in data.strides])
            return as_it_lies(data.shape, order_of(data.shape, strides))
    return None


def copied_as(x: Tensor, memory_format: Any) -> Tensor:
    """A copy in a format."""
    if keeps_format(memory_format):
        return copy(x)
    order = order_of_format(memory_format, len(x._node.shape))
    return copy(x, tuple(range(len(x._node.shape))) if order is None else order.axes)


def row_major(x: Tensor) -> Tensor:
    """A result in row-major order, which a composition of operations may not have."""
    return x if x._node.step.order is None else lying(x, None)


def column_major(x: Tensor) -> Tensor:
    """Matrices whose columns are contiguous, as LAPACK leaves them."""
    rank = len(x._node.shape)
    return lying(x, dense_order((*range(rank - 2), rank - 1, rank - 2)))


def resulting(rule: Callable[[Tensor, Tensor], Tensor]) -> Callable:
    """Decorator: lay out results by a rule of a result and the function's first argument."""

    def decorate(function):
        @functools.wraps(function)
        def laid(*args, **kwargs):
            found = function(*args, **kwargs)
            x = args[0] if args else next(iter(kwargs.values()))
            if isinstance(found, Tensor):
                return rule(found, x)
            parts = [rule(part, x) for part in found]
            return type(found)(*parts) if hasattr(found, "_fields") else type(found)(parts)

        return laid

    return decorate


def in_rows(made: Tensor, x: Tensor) -> Tensor:
    """Rule for `resulting`: row-major."""
    return row_major(made)


def in_columns(made: Tensor, x: Tensor) -> Tensor:
    """Rule for `resulting`: matrices are column-major; what counts is left as it is."""
    node = made._node
    return column_major(made) if len(node.shape) > 1 and node.dtype.is_inexact else made


def lying_like(made: Tensor, x: Tensor) -> Tensor:
    """A result that lies as another tensor of its shape, without gaps."""
    if made._node.step.order is None and x._node.step.order is None and x._layout is None:
        return made
    return lying(made, as_it_lies(x._node.shape, order_in_memory(x)))


def as_picture(made: Tensor, x: Tensor) -> Tensor:
    """The result of an operation on pictures, in the memory format of the picture `x`."""
    order = order_in_memory(x)
    if made._node.step.order is None and order is None:
        return made
    if not shows_channels_last(x._node.shape, order):
        return lying(made, None)
    return lying(made, dense_order(channels_last_axes(len(made._node.shape))))


def suggested_format(x: Tensor) -> Any:
    """The format that operations on pictures take the tensor to be in."""
    shape = x._node.shape
    if shows_channels_last(shape, order_in_memory(x)):
        return formats.channels_last if len(shape) == 4 else formats.channels_last_3d
    return formats.contiguous_format


def lies_in(x: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements follow one another in the order of a format."""
    needed = CHANNELS_LAST_RANK.get(memory_format)
    if needed is None and is_plain(x):
        return True
    shape, strides = x._node.shape, strides_of(x)
    if needed is None:
        return strides_are_contiguous(shape, strides)
    if len(shape) != needed:
        return False
    expected = 1
    for axis in reversed(channels_last_axes(needed)):
        if shape[axis] != 1:
            if strides[axis] != expected:
                return False
            expected *= shape[axis]
    return True
