"""Windows: which elements of a tensor a view shows, and where they lie in its storage.

In: the shape and layout of a tensor, the number of elements of its storage, and what is asked of
it.  Out: the view's shape and layout, and for cuts the window of the tensor's own elements, as
primitives take it.  A layout is (strides, offset), or None for all of a storage in row-major order.

They follow from numbers alone, and programs ask for the same few at each step: each is worked out
once and remembered, those asked for last.  Callers pass exact ints, for 1 and True are equal.
Level 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from rushlight.base.hot import hot
from rushlight.base.shapes import (
    Shape,
    contiguous_strides,
    infer_size,
    is_contiguous,
    numel,
    view_strides,
    wrap_axis,
)

Layout = tuple[Shape, int] | None

# Windows of one kind that are remembered.
_MOST = 1 << 11
_remembered = lru_cache(_MOST)


@hot
def layout_of(size: int, shape: Shape, strides: Shape, offset: int) -> Layout:
    """The layout of a window with these strides in a storage of `size` elements."""
    if offset == 0 and numel(shape) == size and is_contiguous(shape, strides):
        if tuple(strides) == contiguous_strides(shape):
            return None
    return (tuple(strides), offset)


def strides_in(shape: Shape, layout: Layout) -> Shape:
    """Strides, in elements, of a tensor."""
    return contiguous_strides(shape) if layout is None else layout[0]


class Window(NamedTuple):
    """A view's shape and layout, and what it shows of the tensor's own row-major elements.

    whole: whether that is all of them, in their order.  label: what autograd calls the view.
    trivial: whether it shows the tensor as it is.  places, starts: of each index tensor, the axis
    of the view it stands at and the tensor's axis where that begins.
    """

    sizes: Shape
    layout: Layout
    value_strides: Shape
    value_offset: int
    whole: bool
    label: str = "AliasBackward0"
    trivial: bool = False
    places: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()


def given_window(
    shape: Shape, size: int, sizes, strides, offset: int, value_strides, value_offset: int
) -> Window:
    """A window whose strides and offsets are known, in the storage and among the tensor's elements.

    shape: of the tensor; size: of its storage.
    """
    sizes, value_strides = tuple(sizes), tuple(value_strides)
    whole = (
        value_offset == 0
        and numel(sizes) == numel(shape)
        and value_strides == contiguous_strides(sizes)
    )
    layout = layout_of(size, sizes, tuple(strides), offset)
    return Window(sizes, layout, value_strides, value_offset, whole)


@_remembered
def reshaped_window(shape: Shape, layout: Layout, size: int, sizes: Shape) -> tuple[Shape, Any]:
    """The shape that `sizes`, one of which may be -1, make of a tensor; and its layout, or False if
    no strides show the elements so.  Raises: RuntimeError if they do not fit."""
    new = infer_size(sizes, numel(shape))
    strides = contiguous_strides(new)
    offset = 0
    if layout is not None:
        found = view_strides(shape, *layout[:1], new)
        if found is None:
            return new, False
        strides, offset = found, layout[1]
    return new, layout_of(size, new, strides, offset)


@_remembered
def exchanged_window(
    shape: Shape, layout: Layout, size: int, first: int, second: int
) -> tuple[Shape, Shape, Layout]:
    """The axes with two exchanged, and the view's shape and layout.  Raises: IndexError."""
    rank = len(shape)
    axes = list(range(rank))
    first, second = wrap_axis(first, rank), wrap_axis(second, rank)
    if axes:
        axes[first], axes[second] = axes[second], axes[first]
    return (tuple(axes), *permuted_window(shape, layout, size, tuple(axes)))


@_remembered
def permuted_window(shape: Shape, layout: Layout, size: int, axes: Shape) -> tuple[Shape, Layout]:
    """Shape and layout with the axes in another order."""
    strides = strides_in(shape, layout)
    new = tuple([shape[a] for a in axes])
    offset = 0 if layout is None else layout[1]
    return new, layout_of(size, new, tuple([strides[a] for a in axes]), offset)


@_remembered
def slice_window(
    shape: Shape, layout: Layout, size: int, axis: int, start: int, count: int, step: int
) -> Window:
    """`count` positions of an axis, from `start` in steps."""
    strides, plain = strides_in(shape, layout), contiguous_strides(shape)
    return given_window(
        shape,
        size,
        (*shape[:axis], count, *shape[axis + 1 :]),
        (*strides[:axis], strides[axis] * step, *strides[axis + 1 :]),
        (0 if layout is None else layout[1]) + start * strides[axis],
        (*plain[:axis], plain[axis] * step, *plain[axis + 1 :]),
        start * plain[axis],
    )


@_remembered
def select_window(shape: Shape, layout: Layout, size: int, axis: int, index: int) -> Window:
    """One position of an axis; axis and index are in range and not negative."""
    strides, plain = strides_in(shape, layout), contiguous_strides(shape)
    return given_window(
        shape,
        size,
        shape[:axis] + shape[axis + 1 :],
        strides[:axis] + strides[axis + 1 :],
        (0 if layout is None else layout[1]) + index * strides[axis],
        plain[:axis] + plain[axis + 1 :],
        index * plain[axis],
    )


# ---- indices -------------------------------------------------------------------------------------


class IndexAxes(NamedTuple):
    """Stands for an index tensor that covers so many axes, 0 for one that brings its own."""

    axes: int


def checked_position(index: int, size: int, axis: int) -> int:
    """A position counted from the front.  Raises: IndexError with PyTorch's words."""
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {axis} with size {size}")
    return index + size if index < 0 else index


def slice_range(start, stop, step, size: int) -> tuple[int, int, int]:
    """(start, count, step) of a slice.  Raises: ValueError unless the step is positive."""
    step = 1 if step is None else step
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = slice(start, stop, step).indices(size)
    return start, max(0, (stop - start + step - 1) // step), step


def _axes_taken(item) -> int:
    if item is None or item is ...:
        return 0
    return item.axes if item.__class__ is IndexAxes else 1


class _Walk:
    """The axes of the view so far."""

    def __init__(self, shape: Shape, layout: Layout) -> None:
        self.shape = shape
        self.strides, self.plain = strides_in(shape, layout), contiguous_strides(shape)
        self.axis = 0
        self.sizes: list[int] = []
        self.own: list[int] = []
        self.values: list[int] = []
        self.offset = 0 if layout is None else layout[1]
        self.value_offset = 0

    def add(self, size: int, stride: int, value_stride: int) -> None:
        self.sizes.append(size)
        self.own.append(stride)
        self.values.append(value_stride)

    def keep(self, count: int) -> None:
        """Take axes as they are."""
        for axis in range(self.axis, self.axis + count):
            self.add(self.shape[axis], self.strides[axis], self.plain[axis])
        self.axis += count

    def insert(self) -> None:
        """A new axis of size 1."""
        axis = self.axis
        self.add(1, self.strides[axis] * self.shape[axis] if axis < len(self.shape) else 1, 1)

    def step(self, start: int) -> None:
        """Begin at a position of the axis."""
        self.offset += start * self.strides[self.axis]
        self.value_offset += start * self.plain[self.axis]


@_remembered
def index_window(shape: Shape, layout: Layout, size: int, items: tuple) -> Window:
    """What an index shows: ints, (start, stop, step) for slices, None, Ellipsis and IndexAxes.

    Raises: IndexError, ValueError.
    """
    rank = len(shape)
    taken = sum([_axes_taken(i) for i in items])
    if taken > rank:
        if rank == 0:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    walk = _Walk(shape, layout)
    places, starts = [], []
    trivial = True
    label = "AliasBackward0"
    for item in items:
        axis = walk.axis
        if item is ...:
            walk.keep(rank - taken)
            taken = rank  # a second Ellipsis stands for no axes
        elif item is None:
            walk.insert()
            trivial, label = False, "UnsqueezeBackward0"
        elif item.__class__ is IndexAxes:
            places.append(len(walk.sizes))
            starts.append(axis)
            if item.axes:
                walk.keep(item.axes)
            else:
                walk.insert()
                trivial, label = False, "UnsqueezeBackward0"
        elif item.__class__ is tuple:
            start, stop, step = item
            start, count, step = slice_range(start, stop, step, shape[axis])
            walk.step(start)
            walk.add(count, walk.strides[axis] * step, walk.plain[axis] * step)
            if count != shape[axis]:
                trivial, label = False, "SliceBackward0"
            walk.axis += 1
        else:
            walk.step(checked_position(item, shape[axis], axis))
            trivial, label = False, "SelectBackward0"
            walk.axis += 1
    walk.keep(rank - walk.axis)
    found = given_window(
        shape, size, walk.sizes, walk.own, walk.offset, walk.values, walk.value_offset
    )
    return found._replace(label=label, trivial=trivial, places=tuple(places), starts=tuple(starts))
