"""Running sums, products and extrema along an axis; differences and trapezoids.  Level 11."""

from __future__ import annotations

from rushlight.base.shapes import wrap_axis
from rushlight.ops.arithmetic import add, mul, ne, sub
from rushlight.ops.extremum import selected
from rushlight.ops.joining import cat
from rushlight.ops.promotion import as_inexact, check_tensor, constant, is_number, refuse, to_dtype
from rushlight.ops.reduction import accumulating_dtype, numpy_names
from rushlight.ops.reduction import sum as sum_over
from rushlight.ops.return_types import return_type
from rushlight.ops.shaping import narrow
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives import reduction as p
from rushlight.primitives.movement import concatenate, copy, expand, reshape
from rushlight.primitives.source import iota
from rushlight.tensor.apply import apply_source
from rushlight.tensor.tensor import Tensor


def _on_axis(x: Tensor, dim, scan) -> Tensor:
    """scan(x, axis), a 0-d tensor being taken as one element."""
    axis = wrap_axis(dim, x.ndim)
    if x.ndim == 0:
        return reshape(scan(reshape(x, (1,)), 0), ())
    return scan(x, axis)


def _running(name: str, primitive, what: str):
    def compute(input, dim, *, dtype=None) -> Tensor:
        check_tensor(name, input)
        x = to_dtype(input, accumulating_dtype(input, dtype))
        return _on_axis(x, dim, primitive)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        f"Running {what} along `dim`.  Dtypes: integers accumulate in int64.  Source: torch.{name}."
    )
    return spelled(method=True, inplace=True, out=True)(numpy_names(compute))


cumsum = _running("cumsum", p.cumsum, "sum")
cumprod = _running("cumprod", p.cumprod, "product")


def _running_extremum(name: str, primitive, what: str):
    result = return_type(name, "values", "indices")

    def compute(input, dim):
        check_tensor(name, input)
        refuse(name, input, complex_=True)
        axis = wrap_axis(dim, input.ndim)
        if input.ndim == 0:
            return result(reshape(input, ()), reshape(apply_source(iota, (1,)), ()))
        x = constant(input)
        size = x._node.shape[axis]
        best = primitive(x, axis)
        # Where an element equals the running extremum, it is the latest to reach it; a NaN always
        # is.
        reached = e.bitwise_or(e.eq(x, best), e.ne(x, x))
        along = (size,) + (1,) * (x.ndim - axis - 1)
        places = expand(reshape(apply_source(iota, (size,)), along), x._node.shape)
        index = p.cummax(e.where(reached, places, places._scalar(0)), axis)
        return result(selected(input, index, axis, True), index)

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        f"Running {what} along `dim`, as a named tuple (values, indices).  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(numpy_names(compute))


cummax = _running_extremum("cummax", p.cummax, "maximum")
cummin = _running_extremum("cummin", p.cummin, "minimum")


def log_add_exp(x: Tensor, y: Tensor) -> Tensor:
    """log(exp(x) + exp(y)) of two tensors of one floating dtype, without overflow."""
    if x._node.dtype.is_complex:
        return _complex_log_add(x, y)
    first = e.ge(x, y)
    larger = e.where(first, x, y)
    difference = e.where(first, e.sub(y, x), e.sub(x, y))
    # Equal infinities: their difference would be NaN.
    infinite = e.bitwise_and(e.eq(x, y), e.eq(e.absolute(x), x._scalar(float("inf"))))
    difference = e.where(infinite, x._scalar(-float("inf")), difference)
    return e.add(larger, e.log1p(e.exp(difference)))


def _complex_log_add(x: Tensor, y: Tensor) -> Tensor:
    first = e.ge(e.real(x), e.real(y))
    larger, smaller = e.where(first, x, y), e.where(first, y, x)
    return e.add(larger, e.log1p(e.exp(e.sub(smaller, larger))))


@spelled(method=True, out=True)
@numpy_names
def logcumsumexp(input, dim) -> Tensor:
    """log of the running sum of exp, without overflow.  Source: torch.logcumsumexp."""
    check_tensor("logcumsumexp", input)
    if not input._node.dtype.is_inexact:
        raise NotImplementedError(
            f"\"logcumsumexp_out_cpu\" not implemented for '{input._node.dtype.name}'"
        )
    return _on_axis(input, dim, _log_scan)


def _log_scan(x: Tensor, axis: int) -> Tensor:
    """Doubling: after step s each element has combined the s elements before it."""
    size = x._node.shape[axis]
    if x._node.dtype.is_complex and size:
        # A complex logarithm's branch depends on the order: one element after the other.
        parts = [narrow(x, axis, 0, 1)]
        for position in range(1, size):
            parts.append(log_add_exp(narrow(x, axis, position, 1), parts[-1]))
        return concatenate(tuple(parts), axis)
    step = 1
    while step < size:
        head = narrow(x, axis, 0, step)
        combined = log_add_exp(narrow(x, axis, step, size - step), narrow(x, axis, 0, size - step))
        x = concatenate((head, combined), axis)
        step *= 2
    return x


# ---- differences ---------------------------------------------------------------------------------


@spelled(method=True, out=True)
def diff(input, n: int = 1, dim: int = -1, prepend=None, append=None) -> Tensor:
    """n-th differences of neighbours along `dim`.  Source: torch.diff."""
    check_tensor("diff", input)
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    axis = wrap_axis(dim, input.ndim)
    if n == 0:
        return copy(input)
    pieces = [piece for piece in (prepend, input, append) if piece is not None]
    if len(pieces) > 1:
        input = cat(pieces, axis)
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    for _ in range(min(n, input._node.shape[axis])):
        size = input._node.shape[axis]
        if size == 0:
            break
        later, earlier = narrow(input, axis, 1, size - 1), narrow(input, axis, 0, size - 1)
        input = ne(later, earlier) if input._node.dtype.name == "bool" else sub(later, earlier)
    return input


def _trapezoids(name: str, y, x, dx, dim) -> tuple[Tensor, int]:
    """The areas between neighbours along `dim`."""
    check_tensor(name, y)
    axis = wrap_axis(dim, y.ndim)
    size = y._node.shape[axis]
    if size == 0:
        return as_inexact(name, y), axis
    sums = add(narrow(y, axis, 1, size - 1), narrow(y, axis, 0, size - 1))
    if x is None:
        if not is_number(dx):
            raise RuntimeError(f"{name}: Currently, we only support dx as a real number.")
        return mul(sums, dx / 2), axis
    if x.ndim == 1:
        if x._node.shape[0] != size:
            raise RuntimeError(
                f"{name}: There must be one `x` value for each sample point, got "
                f"{x._node.shape[0]} for {size}"
            )
        widths = reshape(diff(x), (size - 1,) + (1,) * (y.ndim - axis - 1))
    else:
        widths = diff(x, 1, axis - y.ndim if x.ndim < y.ndim else axis)
    return mul(mul(sums, widths), 0.5), axis


@spelled(method=False, aliases=("trapz",))
def trapezoid(y, x=None, *, dx=1, dim: int = -1) -> Tensor:
    """Area under a line through points, along `dim`.  Source: torch.trapezoid."""
    areas, axis = _trapezoids("trapezoid", y, x, dx, dim)
    return sum_over(areas, axis)


@spelled()
def cumulative_trapezoid(y, x=None, *, dx=1, dim: int = -1) -> Tensor:
    """Running area under a line through points, along `dim`.

    Source: torch.cumulative_trapezoid.
    """
    areas, axis = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, axis)
