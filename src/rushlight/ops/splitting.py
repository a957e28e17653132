"""Cutting tensors into views, and views of arbitrary layout.  Level 11."""

from __future__ import annotations

import operator

from rushlight.base import formats
from rushlight.base.dtypes import DType, int64
from rushlight.base.hot import hot
from rushlight.base.orders import strides_in
from rushlight.base.shapes import numel, span
from rushlight.ops.creation import value_of
from rushlight.ops.formats import order_of_format, suggested_format
from rushlight.ops.indexing import select_view, slice_view
from rushlight.ops.promotion import check_tensor
from rushlight.ops.shaping import (
    axis_of,
    diagonal,
    expand,
    narrow,
    permute,
    reshape,
    select,
    sizes_from,
    squeeze,
    t,
    transpose,
    unfold,
    unsqueeze,
    view,
)
from rushlight.ops.spelling import PUBLIC, attach_method, spelled, write_out
from rushlight.primitives import movement as p
from rushlight.tape.tape import current_tape
from rushlight.tensor.graph import AccumulateGrad, named
from rushlight.tensor.memory import is_plain, storage_of
from rushlight.tensor.pieces import follow_pieces
from rushlight.tensor.reinterpret import grow_storage
from rushlight.tensor.storage import (
    become_own_view,
    current_edge,
    refuse_overlap,
    storage_with_history,
    window_of_storage,
)
from rushlight.tensor.tensor import Tensor, strides_of


@hot
def _with_axes(name: str, input: Tensor) -> None:
    check_tensor(name, input)
    if not input._node.shape:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor")


@hot
def pieces(input: Tensor, axis: int, sizes, label: str = "SplitBackward0") -> tuple[Tensor, ...]:
    """Views of consecutive stretches of an axis, all of it, which autograd calls `label`."""
    edge = current_edge(input)
    start = 0
    views = []
    for size in sizes:
        views.append(slice_view(input, axis, start, size))
        start += size
    if edge is not None:
        follow_pieces(views, edge, input._node.shape, axis, sizes, label)
    return tuple(views)


@spelled(method=True, aliases=("unsafe_split_with_sizes",))
def split_with_sizes(input, split_sizes, dim=0) -> tuple[Tensor, ...]:
    """Views of the given sizes along an axis.  Raises: RuntimeError unless they add up.

    Source: torch.split_with_sizes.
    """
    _with_axes("split_with_sizes", input)
    axis = axis_of(input, dim)
    sizes = sizes_from((tuple(split_sizes),))
    size = input._node.shape[axis]
    if any(n < 0 for n in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={list(sizes)}"
        )
    if sum(sizes) != size:
        raise RuntimeError(
            "split_with_sizes expects split_sizes to sum exactly to "
            f"{size} (input tensor's size at dimension {dim}), but got split_sizes={list(sizes)}"
        )
    return pieces(input, axis, sizes, "SplitWithSizesBackward0")


@spelled(method=True, aliases=("unsafe_split",))
@hot
def split(tensor, split_size_or_sections=None, dim=0, *, split_size=None) -> tuple[Tensor, ...]:
    """Views of `split_size` along an axis, the last one shorter; or of given sizes.

    Raises: RuntimeError.  Source: torch.split.
    """
    _with_axes("split", tensor)
    if split_size_or_sections is None:
        split_size_or_sections = split_size
    if isinstance(split_size_or_sections, (tuple, list)):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    axis = axis_of(tensor, dim)
    length = split_size_or_sections
    if length.__class__ is not int:
        length = operator.index(length)
    size = tensor._node.shape[axis]
    if length < 0 or (length == 0 and size):
        raise RuntimeError(
            "split expects split_size be non-negative, and 0 only if the dimension size is 0, but "
            f"got split_size={length} for a dimension of size {size}"
        )
    if size == 0:
        return pieces(tensor, axis, (0,))
    return pieces(tensor, axis, [min(length, size - i) for i in range(0, size, length)])


@spelled(method=True, aliases=("unsafe_chunk",))
def chunk(input, chunks, dim=0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size along an axis.  Source: torch.chunk."""
    _with_axes("chunk", input)
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    axis = axis_of(input, dim)
    size = input._node.shape[axis]
    length = (size + chunks - 1) // chunks
    if length == 0:
        return pieces(input, axis, [0] * chunks)
    return split(input, length, dim)


@spelled(method=True)
def tensor_split(
    input,
    indices_or_sections=None,
    dim=0,
    *,
    indices=None,
    sections=None,
    tensor_indices_or_sections=None,
) -> tuple[Tensor, ...]:
    """Views of nearly equal size, or cut at given positions.  Source: torch.tensor_split."""
    _with_axes("tensor_split", input)
    for given in (indices, sections, tensor_indices_or_sections):
        if indices_or_sections is None:
            indices_or_sections = given
    axis = axis_of(input, dim)
    if isinstance(indices_or_sections, Tensor):
        where = indices_or_sections
        if where._node.dtype.name != "int64" or len(where._node.shape) > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or "
                f"one-dimensional int64 tensor, but got {where._node.dtype} of "
                f"{len(where._node.shape)} dims"
            )
        indices_or_sections = value_of(where).tolist()
    size = input._node.shape[axis]
    if isinstance(indices_or_sections, int):
        return pieces(input, axis, _even_sizes(size, indices_or_sections), "SliceBackward0")
    bounds = [_cut_position(i, size) for i in sizes_from((tuple(indices_or_sections),))]
    starts = [0, *bounds]
    stops = [*bounds, size]
    views = [slice_view(input, axis, a, max(b - a, 0)) for a, b in zip(starts, stops)]
    return tuple([named(view, "SliceBackward0") for view in views])


def _even_sizes(size: int, sections: int) -> list[int]:
    if sections <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
    each, extra = divmod(size, sections)
    return [each + 1] * extra + [each] * (sections - extra)


def _cut_position(index: int, size: int) -> int:
    if index < 0:
        index += size
    return min(max(index, 0), size)


def _split_along(name: str, axis_for, least: int):
    def cut(input, indices_or_sections=None, *, indices=None, sections=None):
        check_tensor(name, input)
        for given in (indices, sections):
            if indices_or_sections is None:
                indices_or_sections = given
        rank = len(input._node.shape)
        if rank < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor "
                f"with {rank} dimensions!"
            )
        axis = axis_for(rank)
        if isinstance(indices_or_sections, int):
            size = input._node.shape[axis]
            if indices_or_sections <= 0 or size % indices_or_sections:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {axis}, but the size of the "
                    f"dimension {size} is not divisible by the split_size {indices_or_sections}!"
                )
        return tensor_split(input, indices_or_sections, axis)

    cut.__name__ = cut.__qualname__ = name
    cut.__doc__ = f"Views cut along a fixed axis.  Source: torch.{name}."
    return spelled(method=True)(cut)


hsplit = _split_along("hsplit", lambda rank: 0 if rank == 1 else 1, 1)
vsplit = _split_along("vsplit", lambda rank: 0, 2)
dsplit = _split_along("dsplit", lambda rank: 2, 3)


@spelled(method=True)
def unbind(input, dim=0) -> tuple[Tensor, ...]:
    """Views of all positions of an axis.  Source: torch.unbind."""
    check_tensor("unbind", input)
    if not input._node.shape:
        raise RuntimeError("unbind(): the input tensor cannot be 0-dimensional")
    axis = axis_of(input, dim)
    edge, shape = current_edge(input), input._node.shape
    views = [select_view(input, axis, i) for i in range(shape[axis])]
    follow_pieces(views, edge, shape, axis, [1] * shape[axis], "UnbindBackward0")
    return tuple(views)


@attach_method("__iter__")
def iterate(self):
    """The positions of the first axis.  Raises: TypeError for a 0-d tensor."""
    if not self._node.shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(self))


# ---- arbitrary layout ----------------------------------------------------------------------------


@spelled(method=True)
def as_strided(input, size, stride, storage_offset=None) -> Tensor:
    """A view of the tensor's storage with any sizes, strides and offset.

    Raises: RuntimeError if it would leave the storage.  Source: torch.as_strided.
    """
    check_tensor("as_strided", input)
    sizes, strides = sizes_from((size,)), sizes_from((stride,))
    offset = input.storage_offset() if storage_offset is None else operator.index(storage_offset)
    if len(sizes) != len(strides):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {list(strides)} and {list(sizes)}"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(strides)}"
        )
    if any(n < 0 for n in sizes) or offset < 0:
        raise RuntimeError(f"as_strided: negative size or offset: {list(sizes)}, {offset}")
    storage = storage_of(input)
    needed = offset + span(sizes, strides) if numel(sizes) else 0
    itemsize = input._node.dtype.itemsize
    held = storage.size * storage.dtype.itemsize
    if needed * itemsize > held:
        raise RuntimeError(
            f"setStorage: sizes {list(sizes)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {itemsize} requiring a storage size of {needed * itemsize} are out of "
            f"bounds for storage of size {held}"
        )
    return window_of_storage(input, sizes, strides, offset)


@spelled(method=True, out=True)
def as_strided_scatter(input, src, size, stride, storage_offset=None) -> Tensor:
    """A copy of `input` with the window that `as_strided` names replaced by `src`.

    The gradient is that of these values: nothing for the elements replaced.  In PyTorch it is the
    other way round for `input`, against its own `gradcheck`.

    Raises: RuntimeError if the window leaves the tensor, or names an element twice.
    Source: torch.as_strided_scatter.
    """
    check_tensor("as_strided_scatter", input)
    sizes, strides = sizes_from((size,)), sizes_from((stride,))
    offset = input.storage_offset() if storage_offset is None else operator.index(storage_offset)
    if tuple(src._node.shape) != sizes:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src._node.shape)}, slice size = {list(sizes)}"
        )
    if numel(sizes) and offset + span(sizes, strides) > numel(input._node.shape):
        raise RuntimeError(
            f"as_strided_scatter: sizes {list(sizes)}, strides {list(strides)} and offset {offset} "
            f"leave the tensor of {numel(input._node.shape)} elements"
        )
    refuse_overlap(sizes, strides)
    storage_of(input)
    begin = input._scalar(offset, int64)
    if input._layout is None:
        return p.strided_write(input, src, begin, sizes, strides)
    written = p.strided_write(storage_with_history(input), src, begin, sizes, strides)
    own = input._scalar(input.storage_offset(), int64)
    return p.strided_read(written, own, input._node.shape, strides_of(input))


# ---- copies of views -----------------------------------------------------------------------------


def _in_rows(x: Tensor) -> Tensor:
    return p.copy(x) if is_plain(x) else p.copy(x, tuple(range(len(x._node.shape))))


def _copying(name: str, function, *, method: bool = False):
    def copied(input, *args, out=None, **kwargs):
        found = function(input, *args, **kwargs)
        if isinstance(found, Tensor):
            made = _in_rows(found)
            return made if out is None else write_out(out, made)
        copies = [_in_rows(part) for part in found]
        if out is None:
            return tuple(copies)
        for target, part in zip(out, copies):
            write_out(target, part)
        return None

    copied.__name__ = copied.__qualname__ = name
    copied.__doc__ = f"As {name[:-5]}, but a copy.  Source: torch.{name}."
    PUBLIC[name] = copied
    if method:
        setattr(Tensor, name, copied)


def _viewed(input, size) -> Tensor:
    """A copy has a row-major shape of any kind."""
    return view(input, size) if isinstance(size, DType) else reshape(input, size)


def _alias(input) -> Tensor:
    return input


def _slice(input, dim=0, start=None, end=None, step=1) -> Tensor:
    axis = axis_of(input, dim)
    begin, stop, step = slice(start, end, step).indices(input._node.shape[axis])
    return slice_view(input, axis, begin, max(0, (stop - begin + step - 1) // step), step)


for _name, _function in (
    ("alias", _alias), ("as_strided", as_strided), ("diagonal", diagonal), ("expand", expand),
    ("permute", permute), ("select", select), ("slice", _slice), ("split", split),
    ("split_with_sizes", split_with_sizes), ("squeeze", squeeze), ("t", t),
    ("transpose", transpose), ("unbind", unbind), ("unfold", unfold), ("unsqueeze", unsqueeze),
    ("view", _viewed),
):  # fmt: skip
    _copying(f"{_name}_copy", _function)
_copying("narrow_copy", narrow, method=True)


# ---- shape changes in place ----------------------------------------------------------------------


def _refuse_leaf(self) -> None:
    if current_tape().grad_enabled and type(self._grad_fn) is AccumulateGrad:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )


def _attach_in_place(name: str, function) -> None:
    def method(self, *args, **kwargs):
        _refuse_leaf(self)
        become_own_view(self, function, args, kwargs)
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"As {name[:-1]}, changing the tensor itself.  Source: torch.Tensor.{name}."
    attach_method(name)(method)


for _name, _function in (
    ("t", t), ("transpose", transpose), ("swapaxes", transpose), ("swapdims", transpose),
    ("squeeze", squeeze), ("unsqueeze", unsqueeze), ("as_strided", as_strided),
):  # fmt: skip
    _attach_in_place(f"{_name}_", _function)


@attach_method("detach_")
def detach_(self) -> Tensor:
    """Cut the tensor itself from its graph.  Raises: RuntimeError for a view."""
    if self._base is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, use another wrapper."
        )
    self._grad_fn = None
    return self


@attach_method("resize_")
def resize_(self, *sizes, memory_format=None) -> Tensor:
    """Change the tensor's own size; new elements are unspecified (zero here).

    Raises: RuntimeError if it requires grad.  Source: torch.Tensor.resize_.
    """
    new = sizes_from(sizes)
    if current_edge(self) is not None:
        raise RuntimeError("cannot resize variables that require grad")
    if any(n < 0 for n in new):
        raise RuntimeError(f"resize_: negative dimension in {list(new)}")
    strides = strides_in(new, order_of_format(memory_format, len(new)))
    if new == self._node.shape:
        if memory_format is None or strides_of(self) == strides:
            return self
    missing = self.storage_offset() + numel(new) - storage_of(self).size
    if missing > 0:
        grow_storage(self, missing)
    return self.as_strided_(new, strides, self.storage_offset())


@spelled(method=True)
def resize_as_(self, the_template, *, memory_format=None) -> Tensor:
    """`resize_` to another tensor's shape.  Source: torch.Tensor.resize_as_."""
    if memory_format is formats.preserve_format:
        memory_format = suggested_format(the_template)
    return resize_(self, tuple(the_template._node.shape), memory_format=memory_format)
