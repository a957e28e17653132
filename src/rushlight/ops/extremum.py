"""Largest and smallest: `max`, `min`, `argmax`, `aminmax`, and the elementwise pairs.  Level 11."""

from __future__ import annotations

import operator

from rushlight.base.dtypes import bool_
from rushlight.base.shapes import numel, reduced_shape, wrap_axis
from rushlight.ops.promotion import check_tensor, check_tensors, constant, promote
from rushlight.ops.reduction import amax, amin, numpy_names
from rushlight.ops.return_types import return_type
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import reduction as p
from rushlight.primitives.indexing import gather
from rushlight.primitives.movement import reshape
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def selected(x: Tensor, index: Tensor, axis: int, keepdim: bool) -> Tensor:
    """The elements of x that `index` (with its axis kept) names; gradients reach only those."""
    found = gather(x, index, axis)
    return found if keepdim else reshape(found, reduced_shape(x._node.shape, (axis,), False))


def without_axis(index: Tensor, axis: int, keepdim: bool) -> Tensor:
    """An index with its axis kept, or dropped."""
    if keepdim:
        return index
    return reshape(index, reduced_shape(index._node.shape, (axis,), False))


def _refuse(name: str, x: Tensor, axis: int) -> None:
    if x._node.shape[axis] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


def _along(name: str, search, x: Tensor, dim, keepdim: bool):
    """(values, indices) of the extremum along an axis."""
    values, indices = _unnamed_along(name, search, x, dim, keepdim)
    return named(values, f"{name.capitalize()}Backward0"), indices


def _unnamed_along(name: str, search, x: Tensor, dim, keepdim: bool):
    if x._node.dtype.is_complex:
        raise NotImplementedError(f"{name} not implemented for '{x._node.dtype.name}'")
    axis = wrap_axis(dim, x.ndim)
    if x.ndim == 0:
        line = reshape(x, (1,))
        index = search(constant(line), 0, True)
        return selected(line, index, 0, False), without_axis(index, 0, False)
    _refuse(name, x, axis)
    index = search(constant(x), axis, True)
    return selected(x, index, axis, keepdim), without_axis(index, axis, keepdim)


def _overloaded(name: str, reduce, search, pairwise, what: str):
    """torch.max has three forms: (input), (input, dim, keepdim), (input, other)."""
    result = return_type(name, "values", "indices")

    def choose(input, *args, **kwargs):
        check_tensor(name, input)
        other = args[0] if args else kwargs.get("other", kwargs.get("dim"))
        if isinstance(other, Tensor) and not (other.ndim == 0 and "dim" in kwargs):
            return pairwise(input, other)
        if other is None and not args and "dim" not in kwargs:
            if kwargs:
                raise TypeError(f"{name}() got unexpected arguments {sorted(kwargs)}")
            if numel(input._node.shape) == 0:
                raise RuntimeError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            return named(reduce(input), f"{name.capitalize()}Backward1")
        return result(*_along(name, search, input, *_axis_arguments(name, args, kwargs)))

    choose.__name__ = choose.__qualname__ = name
    choose.__doc__ = (
        f"The {what} element; along `dim` a named tuple (values, indices); with a tensor `other`, "
        f"elementwise.  Raises: IndexError for an axis of size 0.  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(numpy_names(choose))


def _axis_arguments(name: str, args: tuple, kwargs: dict) -> tuple[int, bool]:
    given = dict(zip(("dim", "keepdim"), args))
    if len(args) > 2 or set(kwargs) & set(given) or set(kwargs) - {"dim", "keepdim"}:
        raise TypeError(f"{name}(): expected (input, dim, keepdim), got {args} and {kwargs}")
    given.update(kwargs)
    try:
        dim = operator.index(given["dim"])
    except TypeError:
        raise TypeError(
            f"{name}(): argument 'dim' must be int, not {type(given['dim']).__name__}"
        ) from None
    return dim, bool(given.get("keepdim", False))


def _pairwise(name: str, primitive, what: str):
    def compute(input, other) -> Tensor:
        check_tensors(name, input, other)
        x, y = promote(name, input, other)
        if x._node.dtype.is_complex:
            raise RuntimeError(f"{name} not implemented for complex tensors.")
        return primitive(x, y)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        f"Elementwise {what} of two tensors, NaN where either is.  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(compute)


maximum = _pairwise("maximum", e.maximum, "maximum")
minimum = _pairwise("minimum", e.minimum, "minimum")


def _ignoring_nan(name: str, wins, what: str):
    def compute(input, other) -> Tensor:
        check_tensors(name, input, other)
        x, y = promote(name, input, other)
        if x._node.dtype.is_complex:
            raise RuntimeError(f"{name} not implemented for complex tensors.")
        better = wins(x, y)
        if x._node.dtype.is_inexact:
            better = e.bitwise_or(better, e.ne(y, y))
        return e.where(better, x, y)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        f"Elementwise {what} of two tensors, the other one where one is NaN.  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(compute)


fmax = _ignoring_nan("fmax", e.ge, "maximum")
fmin = _ignoring_nan("fmin", e.le, "minimum")

max = _overloaded("max", amax, p.argmax, maximum, "largest")  # noqa: A001 - PyTorch's name
min = _overloaded("min", amin, p.argmin, minimum, "smallest")  # noqa: A001 - PyTorch's name


def _index(name: str, search, what: str):
    def find(input, dim=None, keepdim=False) -> Tensor:
        check_tensor(name, input)
        if input._node.dtype is bool_ or input._node.dtype.is_complex:
            what = "bool" if input._node.dtype is bool_ else "complex"
            raise RuntimeError(f"{name}(): does not support {what} input")
        x = constant(input)
        if dim is None:
            if numel(x._node.shape) == 0:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            found = search(reshape(x, (numel(x._node.shape),)), 0, False)
            return reshape(found, (1,) * x.ndim) if keepdim and x.ndim else found
        axis = wrap_axis(dim, x.ndim)
        if x.ndim == 0:
            return search(reshape(x, (1,)), 0, False)
        _refuse(name, x, axis)
        return search(x, axis, bool(keepdim))

    find.__name__ = find.__qualname__ = name
    find.__doc__ = (
        f"Index of the {what} element, the first of equal ones; of the flattened tensor without "
        f"`dim`.  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(numpy_names(find))


argmax = _index("argmax", p.argmax, "largest")
argmin = _index("argmin", p.argmin, "smallest")


@spelled(method=True, out=True)
@numpy_names
def aminmax(input, *, dim=None, keepdim=False):
    """(min, max) as a named tuple.  Source: torch.aminmax."""
    check_tensor("aminmax", input)
    if dim is None:
        if numel(input._node.shape) == 0:
            raise RuntimeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has "
                "no identity."
            )
        axes = tuple(range(input.ndim))
    else:
        axes = (wrap_axis(dim, input.ndim),) if input.ndim else ()
        if axes:
            _refuse("aminmax", input, axes[0])
    if input._node.dtype.is_complex:
        raise NotImplementedError("aminmax not implemented for complex tensors")
    result = return_type("aminmax", "min", "max")
    keepdim = bool(keepdim)
    return result(p.reduce_min(input, axes, keepdim), p.reduce_max(input, axes, keepdim))
