"""Views and copies of other shapes.  Level 11.

A view shares its tensor's storage (`tensor.storage.make_view`): each function here works out strides
and offset for the alias and names the movement primitive that gives the view its value.
"""

from __future__ import annotations

from rushlight.base.shapes import contiguous_strides, infer_size, numel, view_strides, wrap_axis
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives import movement as p
from rushlight.tensor.storage import make_view
from rushlight.tensor.tensor import Tensor, strides_of


def sizes_from(sizes) -> tuple[int, ...]:
    """Sizes given as separate arguments or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    return tuple(int(s) for s in sizes)


@spelled(method=True, function=False)
def view(input, *shape) -> Tensor:
    """The same memory with another shape.  Raises: RuntimeError if that needs a copy.

    Source: torch.Tensor.view.
    """
    new = infer_size(sizes_from(shape), numel(input._node.shape))
    strides = view_strides(input._node.shape, strides_of(input), new)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return make_view(input, new, strides, input.storage_offset(), lambda x: p.reshape(x, new))


def reshape(input, shape) -> Tensor:
    """The same elements with another shape: a view where possible.  Source: torch.reshape."""
    check_tensor("reshape", input)
    new = infer_size(shape, numel(input._node.shape))
    strides = view_strides(input._node.shape, strides_of(input), new)
    if strides is None:
        return p.reshape(input, new)
    return make_view(input, new, strides, input.storage_offset(), lambda x: p.reshape(x, new))


@spelled(method="reshape", function=False)
def _reshape_method(input, *shape) -> Tensor:
    """The same elements with another shape: a view where possible."""
    return reshape(input, sizes_from(shape))


spelled()(reshape)


def permuted(input: Tensor, axes: tuple[int, ...]) -> Tensor:
    """A view with the axes in another order."""
    strides = strides_of(input)
    shape = input._node.shape
    return make_view(
        input,
        tuple(shape[a] for a in axes),
        tuple(strides[a] for a in axes),
        input.storage_offset(),
        lambda x: p.permute(x, axes),
    )


@spelled(method=True, aliases=("swapaxes", "swapdims"))
def transpose(input, dim0, dim1) -> Tensor:
    """A view with two axes exchanged.  Raises: IndexError.  Source: torch.transpose."""
    check_tensor("transpose", input)
    rank = input.ndim
    first, second = wrap_axis(dim0, rank), wrap_axis(dim1, rank)
    axes = list(range(rank))
    if rank:
        axes[first], axes[second] = axes[second], axes[first]
    return permuted(input, tuple(axes))


@spelled(method=True)
def t(input) -> Tensor:
    """The transpose of a matrix; vectors and 0-d tensors as they are.  Source: torch.t."""
    check_tensor("t", input)
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permuted(input, tuple(reversed(range(input.ndim))))


def expanded(input: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A view repeating axes of size 1 without copying."""
    own = input._node.shape
    lead = len(shape) - len(own)
    strides = (0,) * lead + tuple(
        0 if n == 1 and shape[lead + axis] != 1 else s
        for axis, (n, s) in enumerate(zip(own, strides_of(input)))
    )
    return make_view(input, shape, strides, input.storage_offset(), lambda x: p.expand(x, shape))


@spelled(method=True, function=False)
def expand(input, *sizes, implicit=False) -> Tensor:
    """A view of a larger shape; -1 keeps an axis.  Raises: RuntimeError.  Source: torch.Tensor.expand."""
    given = sizes_from(sizes)
    own = input._node.shape
    lead = len(given) - len(own)
    if lead < 0:
        raise RuntimeError(
            f"expand: the number of sizes provided ({len(given)}) must be greater or equal to the "
            f"number of dimensions in the tensor ({len(own)})"
        )
    shape = []
    for axis, size in enumerate(given):
        if size == -1:
            if axis < lead:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {axis}"
                )
            size = own[axis - lead]
        elif axis >= lead and own[axis - lead] not in (1, size):
            raise RuntimeError(
                f"The expanded size of the tensor ({size}) must match the existing size "
                f"({own[axis - lead]}) at non-singleton dimension {axis}.  Target sizes: "
                f"{list(given)}.  Tensor sizes: {list(own)}"
            )
        shape.append(size)
    return expanded(input, tuple(shape))


def contiguous_layout(shape) -> tuple[int, ...]:
    """Row-major strides of a shape."""
    return contiguous_strides(shape)
