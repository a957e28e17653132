"""Views and copies of other shapes.  Level 11.

A view shares its tensor's storage (`tensor.storage.make_view`): each function here works out
strides and offset for the alias, and the same window of the tensor's own elements for its value.
"""

from __future__ import annotations

from rushlight.base.dtypes import DType
from rushlight.base.hot import hot
from rushlight.base.shapes import (
    broadcast_all,
    contiguous_strides,
    infer_size,
    is_contiguous,
    numel,
    wrap_axis,
)
from rushlight.base.windows import (
    checked_position,
    exchanged_window,
    layout_of,
    permuted_window,
    reshaped_window,
)
from rushlight.ops.formats import row_major
from rushlight.ops.indexing import select_view, slice_view, strided_view
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives import movement as p
from rushlight.primitives.elementwise import conj
from rushlight.tensor.graph import named
from rushlight.tensor.memory import is_plain
from rushlight.tensor.reinterpret import reinterpret
from rushlight.tensor.storage import make_view, storage_of
from rushlight.tensor.tensor import Size, Tensor, strides_of


@hot
def sizes_from(sizes, named=None) -> tuple[int, ...]:
    """Sizes given as separate arguments, as one sequence, or by name."""
    if not sizes and named is not None:
        sizes = (named,)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    for size in sizes:
        if size.__class__ is not int:
            return _as_ints(sizes)
    return tuple(sizes)


def _as_ints(sizes) -> tuple[int, ...]:
    for size in sizes:
        if isinstance(size, (float, str, bool)) or not hasattr(size, "__index__"):
            raise TypeError(f"sizes and dims must be ints, but found {type(size).__name__}")
    return tuple(int(s) for s in sizes)


@hot
def axis_of(input: Tensor, dim) -> int:
    """A wrapped axis of a tensor; of a 0-d tensor, 0."""
    return wrap_axis(dim, len(input._node.shape))


# ---- reshaping -----------------------------------------------------------------------------------


def view_as_shape(input: Tensor, new: tuple[int, ...], strides) -> Tensor:
    """A view of `new` shape with these strides; the elements keep their row-major order."""
    layout = layout_of(storage_of(input).size, new, strides, input.storage_offset())
    return make_view(input, new, layout, p.reshape, new)


@hot
def reshaped(input: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The same elements in another shape: a view where possible.  Raises: RuntimeError."""
    new, layout = _reshaped_window(input, sizes)
    if layout is False:
        return named(row_major(p.reshape(input, new)), "UnsafeViewBackward0")
    return make_view(input, new, layout, p.reshape, new)


@hot
def _reshaped_window(input: Tensor, sizes: tuple[int, ...]):
    shape = input._node.shape
    if is_plain(input):
        return reshaped_window(shape, None, numel(shape), sizes)
    size = storage_of(input).size
    return reshaped_window(shape, input._layout, size, sizes)


@spelled(method=True, function=False)
@hot
def view(input, *shape, dtype=None, size=None) -> Tensor:
    """The same memory with another shape, or read as another dtype.

    Raises: RuntimeError if that needs a copy.  Source: torch.Tensor.view.
    """
    if dtype is None and len(shape) == 1 and isinstance(shape[0], DType):
        dtype = shape[0]
    if dtype is not None:
        return reinterpret(input, dtype)
    new, layout = _reshaped_window(input, sizes_from(shape, size))
    if layout is False:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return make_view(input, new, layout, p.reshape, new)


@hot
def reshape(input, shape) -> Tensor:
    """The same elements with another shape: a view where possible.  Source: torch.reshape."""
    check_tensor("reshape", input)
    return reshaped(input, sizes_from((shape,)))


@spelled(method="reshape", function=False)
@hot
def _reshape_method(input, *shape, **named) -> Tensor:
    """The same elements with another shape: a view where possible."""
    return reshape(input, sizes_from(shape, named.get("shape")))


spelled()(reshape)


@spelled(method=True, function=False)
def view_as(input, other) -> Tensor:
    """`view` with the other tensor's shape.  Source: torch.Tensor.view_as."""
    return view(input, tuple(other._node.shape))


@spelled(method=True, function=False)
def reshape_as(input, other) -> Tensor:
    """`reshape` with the other tensor's shape.  Source: torch.Tensor.reshape_as."""
    return reshape(input, tuple(other._node.shape))


@spelled(method=True)
def flatten(input, start_dim=0, end_dim=-1) -> Tensor:
    """Join the axes from `start_dim` to `end_dim`.  Source: torch.flatten."""
    check_tensor("flatten", input)
    shape = input._node.shape
    first, last = axis_of(input, start_dim), axis_of(input, end_dim)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshaped(input, (1,))
    joined = numel(shape[first : last + 1])
    return reshaped(input, (*shape[:first], joined, *shape[last + 1 :]))


@spelled(method=True)
def ravel(input) -> Tensor:
    """All elements in one axis.  Source: torch.ravel."""
    check_tensor("ravel", input)
    if not is_plain(input) and not is_contiguous(input._node.shape, strides_of(input)):
        input = p.copy(input, tuple(range(len(input._node.shape))))
    return reshaped(input, (numel(input._node.shape),))


@spelled(method=True)
def unflatten(input, dim, sizes) -> Tensor:
    """Split one axis into several.  Raises: RuntimeError if they do not fit.

    Source: torch.unflatten.
    """
    check_tensor("unflatten", input)
    axis = axis_of(input, dim)
    shape = input._node.shape
    sizes = sizes_from((sizes,))
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    if not shape:
        raise IndexError("unflatten: a 0-d tensor has no dimension to split")
    try:
        new = infer_size(sizes, shape[axis])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} "
            f"({shape[axis]}) in the input tensor"
        ) from None
    return reshaped(input, (*shape[:axis], *new, *shape[axis + 1 :]))


def _squeezed_axes(shape, dim) -> set[int]:
    rank = len(shape)
    if dim is None:
        return {a for a in range(rank) if shape[a] == 1}
    axes = [wrap_axis(d, rank) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(axes)) != len(axes):
        raise RuntimeError("squeeze: a dim appears multiple times in the list of dims")
    return {a for a in axes if rank and shape[a] == 1}


@spelled(method=True)
def squeeze(input, dim=None) -> Tensor:
    """Without the axes of size 1 (or those of them named by `dim`).  Source: torch.squeeze."""
    check_tensor("squeeze", input)
    shape = input._node.shape
    gone = _squeezed_axes(shape, dim)
    strides = strides_of(input)
    kept = [a for a in range(len(shape)) if a not in gone]
    found = view_as_shape(input, tuple([shape[a] for a in kept]), tuple([strides[a] for a in kept]))
    return named(found, _squeeze_label(dim))


def _squeeze_label(dim) -> str:
    """PyTorch numbers its overloads: all axes, one, several."""
    if dim is None:
        return "SqueezeBackward0"
    return "SqueezeBackward2" if isinstance(dim, (tuple, list)) else "SqueezeBackward1"


@spelled(method=True)
def unsqueeze(input, dim) -> Tensor:
    """With a new axis of size 1 at `dim`.  Raises: IndexError.  Source: torch.unsqueeze."""
    check_tensor("unsqueeze", input)
    shape = input._node.shape
    strides = strides_of(input)
    axis = wrap_axis(dim, len(shape) + 1)
    stride = shape[axis] * strides[axis] if axis < len(shape) else 1
    found = view_as_shape(
        input,
        (*shape[:axis], 1, *shape[axis:]),
        (*strides[:axis], stride, *strides[axis:]),
    )
    return named(found, "UnsqueezeBackward0")


# ---- reordering axes -----------------------------------------------------------------------------


@hot
def permuted(input: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A view with the axes in another order."""
    size = storage_of(input).size  # which says how the tensor lies
    new, layout = permuted_window(input._node.shape, input._layout, size, axes)
    return make_view(input, new, layout, p.permute, axes)


def permute(input, dims) -> Tensor:
    """A view with the axes in the order `dims`.  Raises: RuntimeError.  Source: torch.permute."""
    check_tensor("permute", input)
    dims = sizes_from((dims,))
    rank = len(input._node.shape)
    if len(dims) != rank:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {rank} is not equal "
            f"to len(dims) = {len(dims)}"
        )
    axes = tuple([wrap_axis(d, rank) for d in dims])
    if len(set(axes)) != rank:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permuted(input, axes)


@spelled(method="permute", function=False)
def _permute_method(input, *dims, **named) -> Tensor:
    """A view with the axes in another order."""
    return permute(input, sizes_from(dims, named.get("dims")))


spelled()(permute)


@spelled(method=True, aliases=("swapaxes", "swapdims"))
@hot
def transpose(input, dim0=None, dim1=None, *, axis0=None, axis1=None) -> Tensor:
    """A view with two axes exchanged.  Raises: IndexError.  Source: torch.transpose."""
    check_tensor("transpose", input)
    first = axis0 if dim0 is None else dim0
    second = axis1 if dim1 is None else dim1
    if first.__class__ is not int or second.__class__ is not int:
        first, second = axis_of(input, first), axis_of(input, second)
    size = storage_of(input).size  # which says how the tensor lies
    axes, new, layout = exchanged_window(input._node.shape, input._layout, size, first, second)
    return named(make_view(input, new, layout, p.permute, axes), "TransposeBackward0")


@spelled(method=True)
def t(input) -> Tensor:
    """The transpose of a matrix; vectors and 0-d tensors as they are.  Source: torch.t."""
    check_tensor("t", input)
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return named(permuted(input, tuple(reversed(range(input.ndim)))), "TBackward0")


@spelled(method=True, aliases=("moveaxis",))
def movedim(input, source, destination) -> Tensor:
    """A view with axes moved to new places.  Raises: RuntimeError.  Source: torch.movedim."""
    check_tensor("movedim", input)
    rank = len(input._node.shape)
    sources = [source] if isinstance(source, int) else list(source)
    targets = [destination] if isinstance(destination, int) else list(destination)
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({sources} dims) should contain "
            f"the same number of dims as destination ({targets} dims)"
        )
    sources = [wrap_axis(a, rank) for a in sources]
    targets = [wrap_axis(a, rank) for a in targets]
    if len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise RuntimeError(f"movedim: repeated dim in source ({source}) or destination")
    if not rank:
        return permuted(input, ())
    order = [-1] * rank
    for origin, target in zip(sources, targets):
        order[target] = origin
    rest = iter([a for a in range(rank) if a not in sources])
    return permuted(input, tuple([next(rest) if a < 0 else a for a in order]))


def _transposed(self) -> Tensor:
    return permuted(self, tuple(reversed(range(len(self._node.shape)))))


def _matrix_transposed(self) -> Tensor:
    if len(self._node.shape) < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{len(self._node.shape)}-D tensor."
        )
    return transpose(self, -2, -1)


@spelled(method=True)
def adjoint(input) -> Tensor:
    """The conjugate transpose of matrices.  Source: torch.adjoint."""
    check_tensor("adjoint", input)
    if len(input._node.shape) < 2:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got "
            f"{len(input._node.shape)}-D tensor."
        )
    turned = transpose(input, -2, -1)
    return conj(turned) if input._node.dtype.is_complex else turned


def _conjugate_transposed(self) -> Tensor:
    if len(self._node.shape) not in (0, 2):
        raise RuntimeError(
            "tensor.H is only supported on matrices (2-D tensors). Got "
            f"{len(self._node.shape)}-D tensor."
        )
    turned = permuted(self, tuple(reversed(range(len(self._node.shape)))))
    return conj(turned) if self._node.dtype.is_complex else turned


Tensor.T = property(_transposed, doc="The axes in reversed order, a view.")
Tensor.mT = property(_matrix_transposed, doc="The last two axes exchanged, a view.")
Tensor.mH = property(adjoint, doc="The conjugate transpose of matrices.")
Tensor.H = property(_conjugate_transposed, doc="The conjugate transpose of a matrix.")


# ---- repeating without copying -------------------------------------------------------------------


def expanded(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view repeating axes of size 1 without copying."""
    own = input._node.shape
    lead = len(shape) - len(own)
    strides = (0,) * lead + tuple(
        0 if n == 1 and shape[lead + axis] != 1 else s
        for axis, (n, s) in enumerate(zip(own, strides_of(input)))
    )
    layout = layout_of(storage_of(input).size, shape, strides, input.storage_offset())
    return make_view(input, shape, layout, p.expand, shape)


@spelled(method=True, function=False)
def expand(input, *sizes, size=None, implicit=False) -> Tensor:
    """A view of a larger shape; -1 keeps an axis.  Raises: RuntimeError.

    Source: torch.Tensor.expand.
    """
    given = sizes_from(sizes, size)
    own = input._node.shape
    lead = len(given) - len(own)
    if lead < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(given)}) must be greater or equal to the "
            f"number of dimensions in the tensor ({len(own)})"
        )
    shape = []
    for axis, count in enumerate(given):
        if count == -1:
            if axis < lead:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {axis}"
                )
            count = own[axis - lead]
        elif axis >= lead and own[axis - lead] not in (1, count):
            raise RuntimeError(
                f"The expanded size of the tensor ({count}) must match the existing size "
                f"({own[axis - lead]}) at non-singleton dimension {axis}.  Target sizes: "
                f"{list(given)}.  Tensor sizes: {list(own)}"
            )
        elif count < 0:
            raise RuntimeError(f"expand: invalid size {count} at dimension {axis}")
        shape.append(count)
    return expanded(input, tuple(shape))


@spelled(method=True, function=False)
def expand_as(input, other) -> Tensor:
    """`expand` to the other tensor's shape.  Source: torch.Tensor.expand_as."""
    return expand(input, tuple(other._node.shape))


@spelled(method=True)
def broadcast_to(input, *sizes, size=None) -> Tensor:
    """A view of shape `size`.  Source: torch.broadcast_to."""
    check_tensor("broadcast_to", input)
    return expand(input, sizes_from(sizes, size))


@spelled()
def broadcast_tensors(*tensors) -> tuple[Tensor, ...]:
    """Views of all tensors in their common shape.  Source: torch.broadcast_tensors."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    shape = broadcast_all([x._node.shape for x in tensors])
    return tuple([expanded(x, shape) for x in tensors])


@spelled()
def broadcast_shapes(*shapes) -> Size:
    """The shape that tensors of these shapes broadcast to.  Source: torch.broadcast_shapes."""
    plain = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for shape in plain:
        if any(n < 0 for n in shape):
            raise RuntimeError(f"Trying to create tensor with negative dimension: {list(shape)}")
    return Size(broadcast_all(plain))


def _at_least(rank: int, shape_for):
    def at_least(*tensors):
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
            return tuple([one(x) for x in tensors[0]])
        if len(tensors) == 1:
            return one(tensors[0])
        return tuple([one(x) for x in tensors])

    def one(x: Tensor) -> Tensor:
        check_tensor(f"atleast_{rank}d", x)
        shape = x._node.shape
        return x if len(shape) >= rank else reshaped(x, shape_for(shape))

    at_least.__name__ = at_least.__qualname__ = f"atleast_{rank}d"
    at_least.__doc__ = f"Views with at least {rank} axes.  Source: torch.atleast_{rank}d."
    return spelled()(at_least)


atleast_1d = _at_least(1, lambda shape: (1,))
atleast_2d = _at_least(2, lambda shape: (1, *shape) if shape else (1, 1))
atleast_3d = _at_least(3, lambda shape: ((1, 1, 1), (1, *shape, 1), (*shape, 1))[len(shape)])


# ---- parts ---------------------------------------------------------------------------------------


@spelled(method=True)
def select(input, dim, index) -> Tensor:
    """The view at one position of an axis.  Raises: IndexError.  Source: torch.select."""
    check_tensor("select", input)
    if not input._node.shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    axis = axis_of(input, dim)
    index = index.__index__()
    size = input._node.shape[axis]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size "
            f"{list(input._node.shape)} at dimension {axis}"
        )
    found = select_view(input, axis, checked_position(index, size, axis))
    return named(found, "SelectBackward0")


@spelled(method=True)
def narrow(input, dim, start, length) -> Tensor:
    """The view of `length` positions of an axis.  Raises: RuntimeError, IndexError.

    Source: torch.narrow.
    """
    check_tensor("narrow", input)
    if not input._node.shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (
        start._node.shape or start._node.dtype.is_inexact or start._node.dtype.name == "bool"
    ):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    axis = axis_of(input, dim)
    start, length = start.__index__(), length.__index__()
    size = input._node.shape[axis]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return named(slice_view(input, axis, start, length), "SliceBackward0")


@spelled(method=True)
def diagonal(input, offset=0, dim1=0, dim2=1) -> Tensor:
    """The diagonal of two axes, as a new last axis; a view.  Source: torch.diagonal."""
    check_tensor("diagonal", input)
    shape = input._node.shape
    rank = len(shape)
    first, second = wrap_axis(dim1, rank), wrap_axis(dim2, rank)
    if first == second or rank < 2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = shape[first], shape[second]
    if offset >= 0:
        count = max(min(rows, columns - offset), 0)
        start = (0, offset)
    else:
        count = max(min(rows + offset, columns), 0)
        start = (-offset, 0)
    if count == 0:
        start = (0, 0)
    kept = [a for a in range(rank) if a not in (first, second)]
    layouts = []
    for strides in (strides_of(input), contiguous_strides(shape)):
        along = strides[first] + strides[second]
        begin = start[0] * strides[first] + start[1] * strides[second]
        layouts.append(((*[strides[a] for a in kept], along), begin))
    (own, begin), (plain, value_begin) = layouts
    sizes = (*[shape[a] for a in kept], count)
    found = strided_view(input, sizes, own, input.storage_offset() + begin, plain, value_begin)
    return named(found, "DiagonalBackward0")


@spelled(method=True, function=False)
def unfold(input, dimension, size, step) -> Tensor:
    """A view of windows of `size`, `step` apart, as a new last axis; windows may overlap.

    Raises: RuntimeError.  Source: torch.Tensor.unfold.
    """
    axis = axis_of(input, dimension)
    shape = input._node.shape
    length = shape[axis] if shape else 1
    if size < 0 or size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {axis} is {length} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    layouts = []
    for strides in (strides_of(input), contiguous_strides(shape)):
        if not shape:
            layouts.append((1,))
            continue
        layouts.append((*strides[:axis], strides[axis] * step, *strides[axis + 1 :], strides[axis]))
    sizes = (size,)
    if shape:
        sizes = (*shape[:axis], (length - size) // step + 1, *shape[axis + 1 :], size)
    found = strided_view(input, sizes, layouts[0], input.storage_offset(), layouts[1], 0)
    return named(found, "UnfoldBackward0")
