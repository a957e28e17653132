"""`tensor[index]` and `tensor[index] = value` in all of PyTorch's forms.  Level 11.

Ints, slices, None and Ellipsis make a view, worked out at once as sizes, strides and offset; what
remains (lists, arrays, integer and boolean tensors) is gathered from that view.  Masks need their
values (a flush), except where one mask is assigned one value: that is a `where`.
"""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from rushlight.base.dtypes import bool_, int64, uint8
from rushlight.base.errors import OutOfBounds
from rushlight.base.hot import hot
from rushlight.base.shapes import broadcast_shapes, numel
from rushlight.base.windows import (
    IndexAxes,
    Window,
    checked_position,
    given_window,
    index_window,
    select_window,
    slice_window,
)
from rushlight.ops.creation import tensor, value_of
from rushlight.ops.promotion import is_number, refuse_overflow
from rushlight.ops.spelling import attach_method
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as pm
from rushlight.primitives.elementwise import cast, where
from rushlight.tensor.graph import named
from rushlight.tensor.storage import check_writable, make_view, storage_of, unread_view, write
from rushlight.tensor.tensor import Tensor, scalar_tensor, tensor_from_numpy

_INDEX_DTYPES = ("int64", "int32", "bool", "uint8")


@hot
def strided_view(x: Tensor, sizes, strides, offset, value_strides, value_offset) -> Tensor:
    """A view given by its layout in x's storage and by its window of x's own elements."""
    size = storage_of(x).size
    return _view(
        x,
        given_window(x._node.shape, size, sizes, strides, offset, value_strides, value_offset),
    )


@hot
def _view(x: Tensor, window: Window) -> Tensor:
    return make_view(x, window.sizes, window.layout, _read_window, window)


@hot
def _read_window(source: Tensor, window: Window) -> Tensor:
    """Record reading a window of a tensor's own elements."""
    if window.whole:
        return pm.reshape(source, window.sizes)
    offset = source._scalar(window.value_offset, int64)
    return pm.strided_read(source, offset, window.sizes, window.value_strides)


@hot
def select_view(x: Tensor, axis: int, index: int) -> Tensor:
    """The view at one position of an axis; axis and index are in range and not negative."""
    size = storage_of(x).size  # which says how the tensor lies
    return _view(x, select_window(x._node.shape, x._layout, size, axis, index))


@hot
def slice_view(x: Tensor, axis: int, start: int, count: int, step: int = 1) -> Tensor:
    """The view of `count` positions of an axis, from `start` in steps."""
    size = storage_of(x).size
    return _view(x, slice_window(x._node.shape, x._layout, size, axis, start, count, step))


# ---- reading an index ----------------------------------------------------------------------------


def _nests(item) -> bool:
    return isinstance(item, (list, tuple, slice, Tensor, np.ndarray)) or item is None


@hot
def _plain_items(index: tuple) -> tuple | None:
    """An index of ints and slices of ints as `index_window` takes it; None for any other."""
    items: list = []
    for item in index:
        if item.__class__ is int:
            items.append(item)
        elif item.__class__ is slice:
            start, stop, step = item.start, item.stop, item.step
            if start is not None and start.__class__ is not int:
                return None
            if stop is not None and stop.__class__ is not int:
                return None
            if step is not None and step.__class__ is not int:
                return None
            items.append((start, stop, step))
        else:
            return None
    return tuple(items)


def items_of(index) -> tuple:
    """The index as a tuple of ints, slices, None, Ellipsis, bools and tensors."""
    if isinstance(index, list) and len(index) < 32 and any(_nests(i) or i is ... for i in index):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated; use "
            "x[tuple(seq)] instead of x[seq].",
            UserWarning,
            stacklevel=4,
        )
        index = tuple(index)
    if not isinstance(index, tuple):
        index = (index,)
    return tuple([_item(i) for i in index])


def _item(item):
    if item is None or item is ... or isinstance(item, (bool, int, slice)):
        return item
    if isinstance(item, Tensor):
        dtype = item._node.dtype
        if dtype.name not in _INDEX_DTYPES:
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors, got "
                f"{dtype}; convert with .long()"
            )
        if not item._node.shape:
            if getattr(item._node, "mapped", False) and not _is_mask(item):
                return item  # each member of a batch takes its own element
            value = value_of(item).item()
            return bool(value) if dtype is bool_ or dtype is uint8 else value
        return item
    if isinstance(item, (list, tuple, range, np.ndarray)):
        made = tensor(list(item) if isinstance(item, range) else item)
        if numel(made._node.shape) == 0 and made._node.dtype.is_inexact:
            made = cast(made, int64)
        return _item(made)
    if isinstance(item, np.bool_) or not hasattr(item, "__index__"):
        if isinstance(item, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(item).__name__}'")
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are "
            f"valid indices (got {type(item).__name__})"
        )
    return operator.index(item)


def _is_mask(item) -> bool:
    return item._node.dtype is bool_ or item._node.dtype is uint8


def resolve(x: Tensor, items: tuple) -> tuple[Window, list[tuple[int, Tensor]]]:
    """Work out an index: the view that its basic part describes, and the index tensors left over
    with the axes of that view at which they stand.  A mask covers as many axes as it has.

    Raises: IndexError, ValueError.
    """
    shape = x._node.shape
    tensors: list[Tensor] = []
    plain: list[Any] = []
    for item in items:
        if isinstance(item, bool):
            tensors.append(_flag(item))
            plain.append(IndexAxes(0))
        elif isinstance(item, Tensor):
            tensors.append(item)
            plain.append(IndexAxes(len(item._node.shape) if _is_mask(item) else 1))
        elif isinstance(item, slice):
            plain.append(tuple(map(_bound, (item.start, item.stop, item.step))))
        else:
            plain.append(item)
    size = storage_of(x).size  # which says how the tensor lies
    window = index_window(shape, x._layout, size, tuple(plain))
    covered = [item.axes for item in plain if item.__class__ is IndexAxes]
    for index, count, start in zip(tensors, covered, window.starts):
        if count and _is_mask(index):
            _check_mask(index, shape, start)
        elif count:
            _check_known(index, shape[start], start)
    return window, list(zip(window.places, tensors))


def _bound(value) -> int | None:
    return None if value is None else int(operator.index(value))


def _flag(value: bool) -> Tensor:
    """The index tensor that a Python bool stands for: position 0, or none."""
    return tensor_from_numpy(np.zeros(1 if value else 0, np.int64), int64)


def _check_mask(item: Tensor, shape, axis: int) -> None:
    own = item._node.shape
    if own != tuple(shape[axis : axis + len(own)]):
        raise IndexError(
            f"The shape of the mask {list(own)} at index {axis} does not match the shape of the "
            f"indexed tensor {list(shape)} at index {axis}"
        )


# Index tensors of at most so many elements are checked at once if their values are there; longer
# and pending ones are checked when the tape is executed.
_CHECKED_AT_ONCE = 64


def _check_known(item: Tensor, size: int, axis: int) -> None:
    array = item._node.value
    if not isinstance(array, np.ndarray) or not 0 < array.size <= _CHECKED_AT_ONCE:
        return
    low, high = int(array.min()), int(array.max())
    if low < -size or high >= size:
        first = int(np.argmax((array < -size) | (array >= size)))
        position = tuple(int(i) for i in np.unravel_index(first, array.shape))
        raise OutOfBounds.at(int(array[position]), size, axis, position)


def positions_of_mask(mask: Tensor) -> list[Tensor]:
    """One index tensor for each axis of a mask; reads its values."""
    found = np.nonzero(value_of(mask))
    return [tensor_from_numpy(np.ascontiguousarray(i, np.int64), int64) for i in found]


def integer_indices(pairs, shape) -> list[tuple[int, Tensor]]:
    """(axis, int64 tensor) pairs, with masks replaced by the positions they select.

    A lone index counts from 0 then; several are brought there by `ravel_index` together.
    """
    found: list[tuple[int, Tensor]] = []
    for axis, index in pairs:
        if _is_mask(index):
            parts = positions_of_mask(index)
            found.extend((axis + k, part) for k, part in enumerate(parts))
            continue
        if index._node.dtype is not int64:
            index = cast(index, int64)
        if len(pairs) == 1:
            index = from_zero(index, shape[axis])
        found.append((axis, index))
    return found


def from_zero(index: Tensor, size: int) -> Tensor:
    """Positions with negative ones, which count from the end of `size`, made non-negative."""
    array = index._node.value
    if isinstance(array, np.ndarray) and 0 < array.size <= _CHECKED_AT_ONCE and array.min() >= 0:
        return index
    return pi.ravel_index([index], (size,))


# ---- gathering -----------------------------------------------------------------------------------


class Gathering:
    """Index tensors turned into one flat index along one axis of a permuted and merged tensor.

    order: permutation of the axes that brings the indexed ones together, or None.
    merged: shape after merging them.
    axis: where they are then.
    index: flat positions along that axis, of the indices' common shape.
    shape: shape of what is gathered.
    """

    __slots__ = ("axis", "index", "merged", "order", "permuted", "shape")

    def __init__(self, shape: tuple[int, ...], pairs: list[tuple[int, Tensor]]) -> None:
        axes = [axis for axis, _ in pairs]
        common = _common_shape([index._node.shape for _, index in pairs])
        adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
        self.order = None
        self.permuted = shape
        self.axis = axes[0]
        if not adjacent:
            rest = [a for a in range(len(shape)) if a not in axes]
            self.order = (*axes, *rest)
            self.permuted = tuple(shape[a] for a in self.order)
            self.axis = 0
        sizes = tuple(shape[a] for a in axes)
        before = self.permuted[: self.axis]
        after = self.permuted[self.axis + len(axes) :]
        self.merged = (*before, numel(sizes), *after)
        self.shape = (*before, *common, *after)
        self.index = pairs[0][1]
        if len(pairs) > 1:
            self.index = pi.ravel_index([index for _, index in pairs], sizes)

    def arranged(self, x: Tensor) -> Tensor:
        """x with the indexed axes merged into one."""
        if self.order is not None:
            x = pm.permute(x, self.order)
        return x if x._node.shape == self.merged else pm.reshape(x, self.merged)

    def restored(self, x: Tensor) -> Tensor:
        """The inverse of `arranged`."""
        if x._node.shape != self.permuted:
            x = pm.reshape(x, self.permuted)
        if self.order is None:
            return x
        inverse = [0] * len(self.order)
        for position, axis in enumerate(self.order):
            inverse[axis] = position
        return pm.permute(x, tuple(inverse))

    def read(self, x: Tensor) -> Tensor:
        """The elements of x that the indices name."""
        return pi.take(self.arranged(x), self.index, self.axis)

    def written(self, x: Tensor, source: Tensor, mode: str) -> Tensor:
        """x with those elements combined with source, which broadcasts to `shape`."""
        index = self.index
        count = numel(index._node.shape)
        if source._node.shape != self.shape:
            source = pm.expand(source, self.shape)
        flat = (*self.merged[: self.axis], count, *self.merged[self.axis + 1 :])
        if self.shape != flat:
            source = pm.reshape(source, flat)
        if len(index._node.shape) != 1:
            index = pm.reshape(index, (count,))
        return self.restored(pi.put(self.arranged(x), index, source, self.axis, mode))


def _common_shape(shapes) -> tuple[int, ...]:
    common: tuple[int, ...] = ()
    try:
        for shape in shapes:
            common = broadcast_shapes(common, shape)
    except RuntimeError:
        given = ", ".join(str(list(s)) for s in shapes)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {given}"
        ) from None
    return common


@attach_method("__getitem__")
@hot
def getitem(self, index):
    """A view for ints, slices, None and Ellipsis; a copy where tensors or lists take part."""
    shape = self._node.shape
    if shape:
        if index.__class__ is int:
            found = select_view(self, 0, checked_position(index, shape[0], 0))
            return named(found, "SelectBackward0")
        items = _plain_items(index if index.__class__ is tuple else (index,))
        if items is not None:
            size = storage_of(self).size  # which says how the tensor lies
            window = index_window(shape, self._layout, size, items)
            whole = window.trivial and index.__class__ is slice
            return named(_view(self, window), "SliceBackward0" if whole else window.label)
    return _getitem(self, index)


def _getitem(self, index):
    window, tensors = resolve(self, items_of(index))
    if not tensors:
        return named(_view(self, window), window.label)
    x = self if window.trivial else named(_view(self, window), window.label)
    gathering = Gathering(window.sizes, integer_indices(tensors, window.sizes))
    return named(gathering.read(x), "IndexBackward0")


# ---- assignment ----------------------------------------------------------------------------------


@attach_method("__setitem__")
def setitem(self, index, value) -> None:
    """Write `value` (a number or a tensor that broadcasts) where the index points.

    Raises: RuntimeError for shapes that do not fit, and for another dtype where index tensors take
    part; IndexError for a bad index.
    """
    if not isinstance(value, Tensor) and not is_number(value):
        if not isinstance(value, np.ndarray):
            raise TypeError(
                f"can't assign a {type(value).__name__} to a tensor of {self._node.dtype}"
            )
        value = tensor(value)
    if index is False:
        if is_number(value):
            number_as(value, self._node.dtype)
        return
    # A lone True assigns to the whole tensor, converting the value as basic indices do.
    window, tensors = resolve(self, items_of(None if index is True else index))
    target = self
    if not window.trivial:
        target = unread_view(self, window.sizes, window.layout)
    if not tensors:
        check_writable(target)
        found = _assigned(value, target)
        write(target, pm.copy(found) if found is value else found)
        return
    if not window.trivial:
        target = named(_view(self, window), window.label)
    check_writable(target)
    write(target, _with_elements_set(target, tensors, value))


def _assigned(value, target: Tensor) -> Tensor:
    """The value cast and expanded to the target's dtype and shape."""
    shape = target._node.shape
    dtype = target._node.dtype
    if not isinstance(value, Tensor):
        value = number_as(value, dtype)
    elif value._node.dtype is not dtype:
        value = cast(value, dtype)
    given = value._node.shape
    if given == shape:
        return value
    if len(given) > len(shape):
        value = pm.reshape(value, without_leading_ones(given, len(shape)))
        given = value._node.shape
    _check_fits(given, shape)
    return pm.expand(value, shape) if given != shape else value


def number_as(value, dtype) -> Tensor:
    """A Python number as a scalar of `dtype`.  Raises: RuntimeError for complex into real."""
    if isinstance(value, (complex, np.complexfloating)) and not dtype.is_complex:
        raise RuntimeError("value cannot be converted to a real dtype without overflow")
    if not dtype.is_inexact:
        refuse_overflow(value, dtype)
        if isinstance(value, (float, np.floating)):
            value = int(value) if dtype is not bool_ else value != 0
    return scalar_tensor(value, dtype)


def without_leading_ones(shape, rank: int) -> tuple[int, ...]:
    """Drop leading axes of size 1 until `rank` axes remain, as assignment does."""
    shape = tuple(shape)
    while len(shape) > rank and shape[0] == 1:
        shape = shape[1:]
    return shape


def _check_fits(given, shape) -> None:
    lead = len(shape) - len(given)
    if lead < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(shape)}) must be greater or equal to the "
            f"number of dimensions in the tensor ({len(given)})"
        )
    for axis, size in enumerate(given):
        if size != 1 and size != shape[lead + axis]:
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[lead + axis]}) must match the existing "
                f"size ({size}) at non-singleton dimension {lead + axis}.  Target sizes: "
                f"{list(shape)}.  Tensor sizes: {list(given)}"
            )


def _with_elements_set(target: Tensor, pairs, value) -> Tensor:
    """target's value with the elements that index tensors name set."""
    dtype = target._node.dtype
    single = not isinstance(value, Tensor) or numel(value._node.shape) == 1
    if single and len(pairs) == 1 and _is_mask(pairs[0][1]):
        axis, mask = pairs[0]
        return where(_spread_mask(mask, axis, target), _as_one(value, dtype), target)
    if not isinstance(value, Tensor):
        value = number_as(value, dtype)
    if value._node.dtype is not dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{dtype} for the destination and {value._node.dtype} for the source; convert with "
            ".to(dtype)"
        )
    gathering = Gathering(target._node.shape, integer_indices(pairs, target._node.shape))
    return gathering.written(target, fitted_source(value, gathering.shape), "set")


def fitted_source(value: Tensor, shape) -> Tensor:
    """A source for `Gathering.written`.  Raises: RuntimeError unless it broadcasts to `shape`."""
    given = value._node.shape
    if len(given) > len(shape):
        given = without_leading_ones(given, len(shape))
        value = pm.reshape(value, given)
    try:
        fits = broadcast_shapes(given, tuple(shape)) == tuple(shape)
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(given)} cannot be broadcast to indexing "
            f"result of shape {list(shape)}"
        )
    return value


def _as_one(value, dtype) -> Tensor:
    if not isinstance(value, Tensor):
        return number_as(value, dtype)
    if value._node.dtype is not dtype:
        value = cast(value, dtype)
    return pm.reshape(value, ()) if value._node.shape else value


def _spread_mask(mask: Tensor, axis: int, target: Tensor) -> Tensor:
    """The mask with axes of size 1 for those of `target` it does not cover."""
    if mask._node.dtype is not bool_:
        mask = cast(mask, bool_)
    rank = len(target._node.shape)
    own = mask._node.shape
    after = rank - axis - len(own)
    return pm.reshape(mask, (*own, *(1,) * after)) if after else mask
