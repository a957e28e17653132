"""`tensor[index]` and `tensor[index] = value` in all of PyTorch's forms.  Level 11.

Ints, slices, None and Ellipsis make a view, worked out at once as sizes, strides and offset; what
remains (lists, arrays, integer and boolean tensors) is gathered from that view.  Masks need their
values (a flush), except where one mask is assigned one value: that is a `where`.
"""

from __future__ import annotations

import operator
import warnings

import numpy as np

from rushlight.base.dtypes import bool_, int64, uint8
from rushlight.base.errors import OutOfBounds
from rushlight.base.shapes import broadcast_shapes, contiguous_strides, numel
from rushlight.ops.creation import tensor, value_of
from rushlight.ops.promotion import is_number, refuse_overflow
from rushlight.ops.spelling import attach_method
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as pm
from rushlight.primitives.elementwise import cast, where
from rushlight.tensor.graph import named
from rushlight.tensor.storage import check_writable, make_view, unread_view, write
from rushlight.tensor.tensor import Tensor, scalar_tensor, strides_of, tensor_from_numpy

_INDEX_DTYPES = ("int64", "int32", "bool", "uint8")


class Window:
    """The view that the basic part of an index describes, and the index tensors left over.

    tensors: (axis of the view, tensor) pairs; a mask covers as many axes as it has.
    label: what autograd calls the view: the last of the steps that PyTorch would take.
    """

    __slots__ = (
        "label",
        "offset",
        "sizes",
        "strides",
        "tensors",
        "trivial",
        "value_offset",
        "value_strides",
    )  # fmt: skip

    def __init__(self, offset: int) -> None:
        self.sizes: list[int] = []
        self.strides: list[int] = []
        self.value_strides: list[int] = []
        self.offset = offset
        self.value_offset = 0
        self.tensors: list[tuple[int, Tensor]] = []
        self.trivial = True
        self.label = "AliasBackward0"

    def add(self, size: int, stride: int, value_stride: int) -> None:
        self.sizes.append(size)
        self.strides.append(stride)
        self.value_strides.append(value_stride)

    def view(self, x: Tensor) -> Tensor:
        """The window as a view of x."""
        found = strided_view(
            x, self.sizes, self.strides, self.offset, self.value_strides, self.value_offset
        )
        return named(found, self.label)


def strided_view(x: Tensor, sizes, strides, offset, value_strides, value_offset) -> Tensor:
    """A view given by its layout in x's storage and by its window of x's own elements."""
    sizes = tuple(sizes)
    value_strides = tuple(value_strides)

    def read(source: Tensor) -> Tensor:
        if value_offset == 0 and numel(sizes) == numel(source._node.shape):
            if value_strides == contiguous_strides(sizes):
                return pm.reshape(source, sizes)
        return pm.strided_read(source, source._scalar(value_offset, int64), sizes, value_strides)

    return make_view(x, sizes, tuple(strides), offset, read)


def select_view(x: Tensor, axis: int, index: int) -> Tensor:
    """The view at one position of an axis; axis and index are in range and not negative."""
    shape = x._node.shape
    strides = strides_of(x)
    plain = contiguous_strides(shape)
    return strided_view(
        x,
        shape[:axis] + shape[axis + 1 :],
        strides[:axis] + strides[axis + 1 :],
        x.storage_offset() + index * strides[axis],
        plain[:axis] + plain[axis + 1 :],
        index * plain[axis],
    )


def slice_view(x: Tensor, axis: int, start: int, count: int, step: int = 1) -> Tensor:
    """The view of `count` positions of an axis, from `start` in steps."""
    shape = x._node.shape
    strides = strides_of(x)
    plain = contiguous_strides(shape)
    return strided_view(
        x,
        (*shape[:axis], count, *shape[axis + 1 :]),
        (*strides[:axis], strides[axis] * step, *strides[axis + 1 :]),
        x.storage_offset() + start * strides[axis],
        (*plain[:axis], plain[axis] * step, *plain[axis + 1 :]),
        start * plain[axis],
    )


def checked_position(index: int, size: int, axis: int) -> int:
    """A position counted from the front.  Raises: IndexError with PyTorch's words."""
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {axis} with size {size}")
    return index + size if index < 0 else index


def slice_range(item: slice, size: int) -> tuple[int, int, int]:
    """(start, count, step).  Raises: ValueError unless the step is positive."""
    start, stop, step = item.start, item.stop, item.step
    step = 1 if step is None else operator.index(step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = slice(
        None if start is None else operator.index(start),
        None if stop is None else operator.index(stop),
        step,
    ).indices(size)
    return start, max(0, (stop - start + step - 1) // step), step


# ---- reading an index ----------------------------------------------------------------------------


def _nests(item) -> bool:
    return isinstance(item, (list, tuple, slice, Tensor, np.ndarray)) or item is None


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


def _axes_taken(item) -> int:
    if item is None or item is ... or isinstance(item, bool):
        return 0
    if isinstance(item, Tensor) and _is_mask(item):
        return len(item._node.shape)
    return 1


def resolve(x: Tensor, items: tuple) -> Window:
    """Work out the basic part of an index.  Raises: IndexError, ValueError."""
    shape = x._node.shape
    rank = len(shape)
    taken = sum([_axes_taken(i) for i in items])
    if taken > rank:
        if rank == 0:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    strides = strides_of(x)
    plain = contiguous_strides(shape)
    window = Window(x.storage_offset())
    checks: list[tuple[Tensor, int]] = []
    axis = 0
    for item in items:
        if item is ...:
            # A second Ellipsis stands for no axes.
            for _ in range(rank - taken):
                window.add(shape[axis], strides[axis], plain[axis])
                axis += 1
            taken = rank
        elif item is None or isinstance(item, bool):
            stride = strides[axis] * shape[axis] if axis < rank else 1
            if isinstance(item, bool):
                window.tensors.append((len(window.sizes), _flag(item)))
            window.add(1, stride, 1)
            window.trivial = False
            window.label = "UnsqueezeBackward0"
        elif isinstance(item, Tensor):
            checks.append((item, axis))
            window.tensors.append((len(window.sizes), item))
            for _ in range(_axes_taken(item)):
                window.add(shape[axis], strides[axis], plain[axis])
                axis += 1
        elif isinstance(item, slice):
            start, count, step = slice_range(item, shape[axis])
            window.offset += start * strides[axis]
            window.value_offset += start * plain[axis]
            window.add(count, strides[axis] * step, plain[axis] * step)
            if count != shape[axis]:
                window.trivial = False
                window.label = "SliceBackward0"
            axis += 1
        else:
            position = checked_position(item, shape[axis], axis)
            window.offset += position * strides[axis]
            window.value_offset += position * plain[axis]
            window.trivial = False
            window.label = "SelectBackward0"
            axis += 1
    for rest in range(axis, rank):
        window.add(shape[rest], strides[rest], plain[rest])
    for item, at in checks:
        if _is_mask(item):
            _check_mask(item, shape, at)
        else:
            _check_known(item, shape[at], at)
    return window


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
def getitem(self, index):
    """A view for ints, slices, None and Ellipsis; a copy where tensors or lists take part."""
    kind = type(index)
    shape = self._node.shape
    if kind is int and shape:
        found = select_view(self, 0, checked_position(index, shape[0], 0))
        return named(found, "SelectBackward0")
    if kind is slice and shape:
        start, count, step = slice_range(index, shape[0])
        found = slice_view(self, 0, start, count, step)
        return named(found, "SliceBackward0")
    window = resolve(self, items_of(index))
    if not window.tensors:
        return window.view(self)
    x = self if window.trivial else window.view(self)
    gathering = Gathering(tuple(window.sizes), integer_indices(window.tensors, window.sizes))
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
    window = resolve(self, items_of(None if index is True else index))
    target = self
    if not window.trivial:
        target = unread_view(self, window.sizes, window.strides, window.offset)
    if not window.tensors:
        check_writable(target)
        found = _assigned(value, target)
        write(target, pm.copy(found) if found is value else found)
        return
    if not window.trivial:
        target = window.view(self)
    check_writable(target)
    write(target, _with_elements_set(target, window.tensors, value))


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
