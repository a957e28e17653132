"""Making tensors after the example of others: `zeros_like`, `new_zeros` and their kin.

Level 11.
"""

from __future__ import annotations

from rushlight.base.dtypes import dtype_argument, get_default_dtype
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.base.windows import layout_of
from rushlight.ops.creation import (
    empty_array,
    empty_on,
    filled,
    made,
    shape_from,
    shape_of_argument,
    tensor,
)
from rushlight.ops.formats import order_like
from rushlight.ops.promotion import check_tensor, refuse_overflow
from rushlight.ops.spelling import attach_method, spelled
from rushlight.tensor.memory import Storage
from rushlight.tensor.tensor import Tensor, tensor_from_numpy


def _like(name: str, value: int, what: str):
    def make(input, *, dtype=None, memory_format=None, **keywords) -> Tensor:
        check_tensor(name, input)
        dtype = dtype_argument(dtype) or input._node.dtype
        keywords.setdefault("device", input.device)
        order = order_like(input, memory_format)
        new = filled(input._node.shape, value, dtype)
        return made(name, new, dtype, order=order, **keywords)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"A tensor of the input's shape and dtype filled with {what}.  Source: torch.{name}."
    )
    return spelled()(make)


zeros_like = _like("zeros_like", 0, "0")
ones_like = _like("ones_like", 1, "1")


@spelled()
def empty_like(input, *, dtype=None, memory_format=None, **keywords) -> Tensor:
    """A tensor of the input's shape with unspecified values.  Source: torch.empty_like."""
    check_tensor("empty_like", input)
    dtype = dtype_argument(dtype) or input._node.dtype
    keywords.setdefault("device", input.device)
    order = order_like(input, memory_format)
    new = empty_on(keywords["device"], input._node.shape, dtype)
    return made("empty_like", new, dtype, order=order, **keywords)


@spelled()
def full_like(input, fill_value, *, dtype=None, memory_format=None, **keywords) -> Tensor:
    """A tensor of the input's shape and dtype with one value.  Source: torch.full_like."""
    check_tensor("full_like", input)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    dtype = dtype_argument(dtype) or input._node.dtype
    refuse_overflow(fill_value, dtype)
    keywords.setdefault("device", input.device)
    order = order_like(input, memory_format)
    new = filled(input._node.shape, fill_value, dtype)
    return made("full_like", new, dtype, order=order, **keywords)


def _new(name: str, value: int):
    def make(self, *size, dtype=None, **keywords) -> Tensor:
        if "size" in keywords:
            size = (keywords.pop("size"),)
        dtype = dtype_argument(dtype) or self._node.dtype
        keywords.setdefault("device", self.device)
        return made(name, filled(shape_from(size), value, dtype), dtype, **keywords)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"A tensor of the given shape filled with {value}, of this tensor's dtype."
    return attach_method(name)(make)


_new("new_zeros", 0)
_new("new_ones", 1)


@attach_method("new_empty")
def new_empty(self, *size, dtype=None, **keywords) -> Tensor:
    """A tensor of the given shape with unspecified values, of this tensor's dtype."""
    if "size" in keywords:
        size = (keywords.pop("size"),)
    dtype = dtype_argument(dtype) or self._node.dtype
    keywords.setdefault("device", self.device)
    return made(
        "new_empty", empty_on(keywords["device"], shape_from(size), dtype), dtype, **keywords
    )


@attach_method("new_full")
def new_full(self, size, fill_value, *, dtype=None, **keywords) -> Tensor:
    """A tensor of the given shape with one value, of this tensor's dtype."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    dtype = dtype_argument(dtype) or self._node.dtype
    refuse_overflow(fill_value, dtype)
    keywords.setdefault("device", self.device)
    return made("new_full", filled(shape_of_argument(size), fill_value, dtype), dtype, **keywords)


@attach_method("new_tensor")
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False, layout=None,
               pin_memory=False) -> Tensor:  # fmt: skip
    """A tensor that copies `data`, of this tensor's dtype unless told otherwise."""
    dtype = dtype_argument(dtype) or self._node.dtype
    device = self.device if device is None else device
    return tensor(
        data, dtype=dtype, device=device, requires_grad=requires_grad, pin_memory=pin_memory
    )


def strided_memory(shape, strides, dtype) -> Tensor:
    """A tensor of this layout over new memory.  Raises: RuntimeError for negative strides."""
    shape = shape_of_argument(shape)
    strides = tuple(int(s) for s in strides)
    if len(strides) != len(shape):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {list(strides)} and {list(shape)}"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(f"strides must be non-negative, got {list(strides)}")
    result = tensor_from_numpy(empty_array(shape, dtype), dtype)
    if strides == contiguous_strides(shape):
        return result
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides))
    size = span if numel(shape) else 0
    memory = tensor_from_numpy(empty_array((size,), dtype), dtype)
    storage = Storage(memory._node, dtype, size)
    memory._node.home = (storage.writes, 0)
    result._storage = storage
    result._layout = layout_of(storage.size, shape, strides, 0)
    result._seen = storage.stamp
    return result


@spelled()
def empty_strided(size, stride, *, dtype=None, **keywords) -> Tensor:
    """A tensor of the given layout with unspecified values.  Source: torch.empty_strided."""
    dtype = dtype_argument(dtype) or get_default_dtype()
    return made("empty_strided", strided_memory(size, stride, dtype), dtype, **keywords)


@attach_method("new_empty_strided")
def new_empty_strided(self, size, stride, *, dtype=None, **keywords) -> Tensor:
    """A tensor of the given layout with unspecified values, of this tensor's dtype."""
    dtype = dtype_argument(dtype) or self._node.dtype
    keywords.setdefault("device", self.device)
    return made("new_empty_strided", strided_memory(size, stride, dtype), dtype, **keywords)


@spelled()
def empty_permuted(size, physical_layout, *, dtype=None, **keywords) -> Tensor:
    """A tensor whose axes lie in memory in the order given.  Source: torch.empty_permuted."""
    shape = shape_of_argument(size)
    order = tuple(int(a) for a in physical_layout)
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(
            f"Number of dimensions in size does not match the permutation {list(order)} of "
            f"{list(shape)}"
        )
    packed = contiguous_strides(tuple(shape[a] for a in order))
    strides = [0] * len(shape)
    for axis, stride in zip(order, packed):
        strides[axis] = stride
    dtype = dtype_argument(dtype) or get_default_dtype()
    return made("empty_permuted", strided_memory(shape, strides, dtype), dtype, **keywords)
