"""Arithmetic on shapes and strides: tuples of ints in, tuples of ints out.  Level 0."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

from rushlight.base.hot import hot

Shape = tuple[int, ...]


@hot
def numel(shape: Sequence[int]) -> int:
    """Number of elements."""
    return math.prod(shape)


@hot
def contiguous_strides(shape: Sequence[int]) -> Shape:
    """Strides, in elements, of a row-major array (a size of 0 counts as 1, as in PyTorch)."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    return tuple(strides)


@hot
def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements follow one another in row-major order."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def broadcast_shapes(x: Shape, y: Shape) -> Shape:
    """The common shape of two operands.  Raises: RuntimeError with PyTorch's words."""
    if x == y:
        return x
    rank = max(len(x), len(y))
    x_padded = (1,) * (rank - len(x)) + tuple(x)
    y_padded = (1,) * (rank - len(y)) + tuple(y)
    result = []
    for axis, (m, n) in enumerate(zip(x_padded, y_padded)):
        if m != n and m != 1 and n != 1:
            raise RuntimeError(
                f"The size of tensor a ({m}) must match the size of tensor b ({n}) at "
                f"non-singleton dimension {axis}: shapes {list(x)} and {list(y)}"
            )
        result.append(n if m == 1 else m)
    return tuple(result)


def broadcast_all(shapes: Iterable[Shape]) -> Shape:
    """The common shape of any number of operands."""
    result: Shape = ()
    for shape in shapes:
        result = broadcast_shapes(result, tuple(shape))
    return result


@hot
def wrap_axis(axis: int, rank: int, *, what: str = "Dimension") -> int:
    """`axis` counted from the front.  A 0-d tensor has one virtual axis.  Raises: IndexError."""
    if axis.__class__ is not int:
        axis = _as_axis(axis)
    bound = rank or 1
    if not -bound <= axis < bound:
        raise IndexError(
            f"{what} out of range (expected to be in range of [{-bound}, {bound - 1}], "
            f"but got {axis})"
        )
    return axis + bound if axis < 0 else axis


def _as_axis(axis) -> int:
    try:
        return operator.index(axis)
    except TypeError:
        raise TypeError(f"dim: expected an int, got {type(axis).__name__}") from None


@hot
def wrap_axes(axes, rank: int, *, all_if_empty: bool = True) -> Shape:
    """Sorted distinct axes from None, an int or a sequence.  Raises: IndexError, RuntimeError."""
    if axes is None:
        return tuple(range(rank))
    if isinstance(axes, int) or not isinstance(axes, (tuple, list)):
        axes = (axes,)
    if not axes and all_if_empty:
        return tuple(range(rank))
    wrapped = [wrap_axis(a, rank) for a in axes]
    for axis in wrapped:
        if wrapped.count(axis) > 1:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    if rank == 0:
        return ()
    return tuple(sorted(wrapped))


def reduced_shape(shape: Shape, axes: Shape, keepdim: bool) -> Shape:
    """Shape after reducing over `axes`."""
    if keepdim:
        return tuple(1 if a in axes else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in axes)


@hot
def infer_size(shape: Sequence[int], total: int) -> Shape:
    """Replace one -1 in `shape` so that it holds `total` elements.  Raises: RuntimeError."""
    if shape.__class__ is tuple and math.prod(shape) == total:
        for n in shape:
            if n.__class__ is not int or n < 0:
                return _inferred_size(shape, total)
        return shape  # type: ignore[return-value]
    return _inferred_size(shape, total)


def _inferred_size(shape: Sequence[int], total: int) -> Shape:
    shape = tuple(operator.index(n) for n in shape)
    unknown = [a for a, n in enumerate(shape) if n == -1]
    if len(unknown) > 1:
        raise RuntimeError("only one dimension can be inferred")
    for n in shape:
        if n < -1:
            raise RuntimeError(f"invalid shape dimension {n}")
    if unknown:
        known = math.prod(n for n in shape if n != -1)
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if total % known == 0:
            filled = list(shape)
            filled[unknown[0]] = total // known
            return tuple(filled)
    elif math.prod(shape) == total:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {total}")


@hot
def view_strides(shape: Shape, strides: Shape, new_shape: Shape) -> Shape | None:
    """Strides that show the same memory with `new_shape`; None where a copy would be needed.

    Runs of axes that are contiguous among themselves may be split and joined freely.
    """
    if numel(shape) == 0:
        return contiguous_strides(new_shape) if shape != new_shape else strides
    result = [0] * len(new_shape)
    new_axis = len(new_shape) - 1
    run_size = 1
    if not shape:
        return (1,) * len(new_shape)
    run_stride = strides[-1]
    for axis in range(len(shape) - 1, -1, -1):
        run_size *= shape[axis]
        joins = axis > 0 and (shape[axis - 1] == 1 or strides[axis - 1] == run_size * run_stride)
        if joins:
            continue
        filled = 1
        while new_axis >= 0 and (filled != run_size or new_shape[new_axis] == 1):
            result[new_axis] = filled * run_stride
            filled *= new_shape[new_axis]
            new_axis -= 1
        if filled != run_size:
            return None
        if axis > 0:
            run_size = 1
            run_stride = strides[axis - 1]
    if new_axis != -1:
        return None
    return tuple(result)


def has_overlap(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two indices may name the same element (sound for views that PyTorch can make)."""
    if numel(shape) < 2:
        return False
    reach = 0
    for stride, size in sorted((abs(s), n) for s, n in zip(strides, shape) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Number of elements from the first to the last one touched (positive strides)."""
    if numel(shape) == 0:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(shape, strides))
