"""Running sums, products and extrema along an axis; differences and trapezoids.  Level 11."""

from __future__ import annotations

from rushlight.base.shapes import wrap_axis
from rushlight.ops.arithmetic import add, mul, ne, sub, true_divide
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
from rushlight.tensor.graph import named
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
        values = named(selected(input, index, axis, True), f"{name.capitalize()}Backward0")
        return result(values, index)

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
    if size <= 1:
        return copy(x)  # in memory of its own, as every result
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


# ---- slopes --------------------------------------------------------------------------------------


@spelled()
def gradient(input, *, spacing=None, dim=None, edge_order: int = 1) -> tuple:
    """Slopes along each axis by central differences; at the edges of order 1 or 2.

    spacing: one distance, one for each axis, or for each axis the coordinates of its points.
    Source: torch.gradient.
    """
    check_tensor("gradient", input)
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    axes = tuple(range(input.ndim)) if dim is None else dim
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    axes = tuple(wrap_axis(axis, input.ndim) for axis in axes)
    steps = [1] * len(axes) if spacing is None else spacing
    if is_number(steps):
        steps = [steps] * len(axes)
    if isinstance(steps, Tensor):
        steps = [steps]
    if len(steps) != len(axes):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar or a list of length "
            f"{len(axes)}, got {len(steps)}"
        )
    return tuple([_slopes(input, axis, h, edge_order) for axis, h in zip(axes, steps)])


def _slopes(x: Tensor, axis: int, step, order: int) -> Tensor:
    size = x._node.shape[axis]
    if size < order + 1:
        raise RuntimeError(
            "torch.gradient expected each dimension size to be at least edge_order+1"
        )
    if isinstance(step, Tensor):
        widths = reshape(diff(step), (size - 1,) + (1,) * (x.ndim - axis - 1))
    else:
        widths = None

    def part(start: int, length: int) -> Tensor:
        return narrow(x, axis, start, length)

    def width(start: int, length: int):
        return step if widths is None else narrow(widths, 0, start, length)

    before, after = width(0, size - 2), width(1, size - 2)
    total = add(after, before) if widths is not None else 2 * step
    # The parabola through three points.
    rises = sub(part(1, size - 1), part(0, size - 1))
    slopes = true_divide(rises, width(0, size - 1))
    inner = true_divide(
        add(
            mul(narrow(slopes, axis, 0, size - 2), after),
            mul(narrow(slopes, axis, 1, size - 2), before),
        ),
        total,
    )
    first, last = narrow(slopes, axis, 0, 1), narrow(slopes, axis, size - 2, 1)
    if order == 2:
        curve = sub(narrow(slopes, axis, 1, 1), first)
        first = sub(first, true_divide(mul(curve, width(0, 1)), _sum_of(width(0, 1), width(1, 1))))
        curve = sub(last, narrow(slopes, axis, size - 3, 1))
        near, far = width(size - 2, 1), width(size - 3, 1)
        last = add(last, true_divide(mul(curve, near), _sum_of(near, far)))
    return cat((first, inner, last), axis)


def _sum_of(x, y):
    return add(x, y) if isinstance(x, Tensor) else x + y
