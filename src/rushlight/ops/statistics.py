"""Spread and order statistics: variance, median, quantiles, mode, covariance.  Level 11."""

from __future__ import annotations

import math
import warnings

import numpy as np

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel, reduced_shape, wrap_axes, wrap_axis
from rushlight.ops.arithmetic import mul, sub, true_divide
from rushlight.ops.beside import beside_input
from rushlight.ops.binary import interpolated
from rushlight.ops.creation import arithmetic_value
from rushlight.ops.extremum import selected, without_axis
from rushlight.ops.magnitude import root
from rushlight.ops.members import read
from rushlight.ops.pointwise import clamp
from rushlight.ops.promotion import (
    all_members,
    as_inexact,
    check_tensor,
    constant,
    is_followed,
    refuse,
    to_dtype,
    widened,
)
from rushlight.ops.reduction import count_along, numpy_names
from rushlight.ops.reduction import sum as sum_over
from rushlight.ops.return_types import return_type
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as e
from rushlight.primitives.contraction import matmul
from rushlight.primitives.indexing import gather
from rushlight.primitives.movement import expand, permute, reshape
from rushlight.primitives.ordering import argsort
from rushlight.primitives.reduction import reduce_max, reduce_sum
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor, tensor_from_numpy

# ---- variance ------------------------------------------------------------------------------------


def _moments(name: str, x, dim, unbiased, keepdim, correction) -> tuple[Tensor, Tensor]:
    """(variance, mean) under the overloads (x, unbiased), (x, dim, unbiased) and correction=."""
    check_tensor(name, x)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    own = x._node.dtype
    if not own.is_inexact:
        raise RuntimeError(f"{name} only support floating point and complex dtypes")
    axes = wrap_axes(dim, x.ndim)
    wide = widened(x)
    count = count_along(x, axes)
    if count - correction <= 0 and numel(x._node.shape):
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            f"reduction factor (input numel divided by output numel).",
            stacklevel=4,
        )
    keepdim = bool(keepdim)
    mean = reduce_sum(wide, axes, True)
    mean = e.div(mean, mean._scalar(count))
    centered = e.sub(wide, mean)
    if own.is_complex:
        square = e.real(e.mul(centered, e.conj(centered)))
    else:
        square = e.mul(centered, centered)
    total = reduce_sum(square, axes, keepdim)
    variance = e.div(total, total._scalar(max(count - correction, 0)))
    if not keepdim:
        mean = reshape(mean, reduced_shape(x._node.shape, axes, False))
    return to_dtype(variance, own.to_real()), to_dtype(mean, own)


@spelled(method=True, out=True)
@numpy_names
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None) -> Tensor:
    """Variance over `dim`, divided by the count less `correction` (1).  Source: torch.var."""
    return named(_moments("var", input, dim, unbiased, keepdim, correction)[0], "VarBackward0")


@spelled(method=True, out=True)
@numpy_names
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None) -> Tensor:
    """Standard deviation over `dim`; its slope at 0 counts as 0.  Source: torch.std."""
    variance = _moments("std", input, dim, unbiased, keepdim, correction)[0]
    return named(root(variance), "StdBackward0")


@spelled()
@numpy_names
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """(variance, mean) over `dim`.  Source: torch.var_mean."""
    variance, mean = _moments("var_mean", input, dim, unbiased, keepdim, correction)
    return named(variance, "VarMeanBackward0"), named(mean, "VarMeanBackward0")


@spelled()
@numpy_names
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """(standard deviation, mean) over `dim`.  Source: torch.std_mean."""
    variance, mean = _moments("std_mean", input, dim, unbiased, keepdim, correction)
    return named(root(variance), "StdMeanBackward0"), named(mean, "StdMeanBackward0")


# ---- order ---------------------------------------------------------------------------------------


def _as_line(x: Tensor) -> Tensor:
    return reshape(x, (numel(x._node.shape),))


def _middle(x: Tensor, axis: int, ignore_nan: bool) -> Tensor:
    """Index of the lower median along `axis`, which is kept."""
    order = argsort(x, axis, False)
    size = x._node.shape[axis]
    if not x._node.dtype.is_inexact:
        place = expand(order._scalar((size - 1) // 2), reduced_shape(x._node.shape, (axis,), True))
        return gather(order, place, axis)
    # Sorting puts NaN last, so the count of the others names the first NaN.
    present = reduce_sum(e.cast(e.eq(x, x), int64), (axis,), True)
    if ignore_nan:
        zero = present._scalar(0)
        last = e.maximum(e.sub(present, present._scalar(1)), zero)
        place = e.floor_divide(last, present._scalar(2))
    else:
        whole = e.eq(present, present._scalar(size))
        place = e.where(whole, present._scalar((size - 1) // 2), present)
    return gather(order, place, axis)


def _shared(line: Tensor, value: Tensor) -> Tensor:
    """`value`, one of the elements of `line`; all that equal it share its cotangent."""
    equal = e.bitwise_or(e.eq(line, value), e.bitwise_and(e.ne(line, line), e.ne(value, value)))
    return reduce_max(e.where(equal, line, line._scalar(-math.inf)), (0,), False)


def _median(name: str, ignore_nan: bool):
    result = return_type(name, "values", "indices")

    def compute(input, dim=None, keepdim=False):
        check_tensor(name, input)
        refuse(name, input, bool_=True, complex_=True)
        if dim is None:
            line = _as_line(input)
            if line._node.shape[0] == 0:
                if not line._node.dtype.is_inexact:
                    return line.new_full((), -(2**63))
                return line.new_full((), float("nan"))
            found = selected(line, _middle(constant(line), 0, ignore_nan), 0, False)
            if is_followed(line):
                found = _shared(line, constant(found))
            return named(found, f"{name.capitalize()}Backward0")
        axis = wrap_axis(dim, input.ndim)
        x = input if input.ndim else reshape(input, (1,))
        if x._node.shape[axis] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")
        index = _middle(constant(x), axis, ignore_nan)
        keepdim = bool(keepdim) and input.ndim > 0
        values = named(selected(x, index, axis, keepdim), f"{name.capitalize()}Backward1")
        return result(values, without_axis(index, axis, keepdim))

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        "The middle element, the lower of two"
        + (", NaN left out" if ignore_nan else "")
        + f"; along `dim` a named tuple (values, indices).  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(numpy_names(compute))


median = _median("median", False)
nanmedian = _median("nanmedian", True)


@spelled(method=True, out=True)
@numpy_names
@beside_input
def mode(input, dim: int = -1, keepdim=False):
    """The most frequent element along `dim`, the smallest of several; reads the values.

    Source: torch.mode.
    """
    check_tensor("mode", input)
    refuse("mode", input, complex_=True)
    axis = wrap_axis(dim, input.ndim)
    x = input if input.ndim else reshape(input, (1,))
    if x._node.shape[axis] == 0:
        raise IndexError(f"mode(): Expected reduction dim {axis} to have non-zero size.")

    def places(values: Tensor) -> Tensor:
        array = np.moveaxis(arithmetic_value(values), axis, -1)
        index = np.empty(array.shape[:-1], np.int64)
        for place in np.ndindex(*index.shape):
            found, counts = np.unique(array[place], return_counts=True)
            hits = np.flatnonzero(array[place] == found[counts.argmax()])
            index[place] = hits[-1] if hits.size else 0
        return tensor_from_numpy(np.array(np.expand_dims(index, axis), order="C"), int64)

    kept = read(places, constant(x))
    keepdim = bool(keepdim) and input.ndim > 0
    result = return_type("mode", "values", "indices")
    return result(selected(x, kept, axis, keepdim), without_axis(kept, axis, keepdim))


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name: str, x, q, interpolation: str) -> Tensor:
    check_tensor(name, x)
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if numel(x._node.shape) == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if x._node.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        return x._scalar(q)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q._node.dtype is not x._node.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not bool(((all_members(q) >= 0) & (all_members(q) <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def _quantile(name: str, ignore_nan: bool):
    def compute(input, q, dim=None, keepdim=False, *, interpolation="linear") -> Tensor:
        q = _check_quantile(name, input, q, interpolation)
        if dim is None:
            x, kept = _as_line(input), (1,) * input.ndim
        else:
            axis = wrap_axis(dim, input.ndim)
            x = input if input.ndim else reshape(input, (1,))
            others = tuple(a for a in range(x.ndim) if a != axis)
            x = permute(x, (*others, axis))
            kept = reduced_shape(input._node.shape, (axis,) if input.ndim else (), True)
        shape = kept if keepdim else x._node.shape[:-1]
        found = _sorted_quantile(x, q, interpolation, ignore_nan)  # (..., Q)
        if not q._node.shape:
            return reshape(found, shape)
        rank = found.ndim
        first = permute(found, (rank - 1, *range(rank - 1)))
        return reshape(first, (*q._node.shape, *shape))

    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = (
        "q-th quantiles over `dim`"
        + (", NaN left out" if ignore_nan else "")
        + f"; several q come first in the result.  Source: torch.{name}."
    )
    return spelled(method=True, out=True)(numpy_names(compute))


def _sorted_quantile(x: Tensor, q: Tensor, interpolation: str, ignore_nan: bool) -> Tensor:
    """Quantiles along the last axis; result (..., Q)."""
    rank = x.ndim
    still = constant(x)
    order = argsort(still, rank - 1, False)
    ordered = gather(x, order, rank - 1)
    size = x._node.shape[-1]
    dtype = x._node.dtype
    points = expand(reshape(q, (1,) * (rank - 1) + (numel(q._node.shape),)),
                    (*x._node.shape[:-1], numel(q._node.shape)))  # fmt: skip
    present = e.cast(reduce_sum(e.cast(e.eq(still, still), int64), (rank - 1,), True), dtype)
    last = e.maximum(e.sub(present, present._scalar(1.0)), present._scalar(0.0))
    if not ignore_nan:
        # With a NaN, every quantile is the NaN that sorting put last.
        whole = e.eq(present, present._scalar(float(size)))
        place = e.mul(points, points._scalar(float(size - 1)))
        place = e.where(whole, place, place._scalar(float(size - 1)))
    else:
        place = e.mul(points, last)
    return _interpolated(ordered, place, interpolation)


def _interpolated(ordered: Tensor, place: Tensor, interpolation: str) -> Tensor:
    axis = ordered.ndim - 1
    if interpolation == "nearest":
        place = e.round_even(place)
    elif interpolation == "lower":
        place = e.floor(place)
    elif interpolation == "higher":
        place = e.ceil(place)
    below = e.floor(constant(place))
    low = gather(ordered, e.cast(below, int64), axis)
    if interpolation in ("nearest", "lower", "higher"):
        return low
    above = e.ceil(constant(place))
    high = gather(ordered, e.cast(above, int64), axis)
    weight = e.sub(place, below)
    if interpolation == "midpoint":
        weight = weight._scalar(0.5)
    return interpolated(low, high, weight)


quantile = _quantile("quantile", False)
nanquantile = _quantile("nanquantile", True)


# ---- covariance ----------------------------------------------------------------------------------


@spelled(method=True)
def cov(input, *, correction: int = 1, fweights=None, aweights=None) -> Tensor:
    """Covariances of the rows (variables) over the columns (observations).  Source: torch.cov."""
    check_tensor("cov", input)
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    if input._node.dtype.name == "bool":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = as_inexact("cov", input)
    if x.ndim < 2:
        x = reshape(x, (1, numel(x._node.shape)))
    weights, total, norm = _observation_weights(x, correction, fweights, aweights)
    if weights is None:
        mean = e.div(reduce_sum(x, (1,), True), x._scalar(total))
        centered = e.sub(x, mean)
        right = centered
    else:
        mean = true_divide(sum_over(mul(x, weights), 1, True), total)
        centered = sub(x, mean)
        right = mul(centered, weights)
    if x._node.dtype.is_complex:
        right = e.conj(right)
    found = matmul(centered, right, False, True)
    found = true_divide(found, norm)
    return reshape(found, ()) if found._node.shape == (1, 1) else found


def _observation_weights(x: Tensor, correction, fweights, aweights):
    """(weights of the observations or None, their sum, what the products are divided by)."""
    count = x._node.shape[1]
    for label, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w.ndim > 1:
            raise RuntimeError(
                f"cov(): expected {label} to have one or fewer dimensions but got {label} with "
                f"{w.ndim} dimensions"
            )
        if numel(w._node.shape) != count:
            raise RuntimeError(
                f"cov(): expected {label} to have the same numel as there are observations in the "
                f"input but got {numel(w._node.shape)} != {count}"
            )
        if w._node.dtype.is_inexact and label == "fweights":
            raise RuntimeError(f"cov(): expected fweights to have integral dtype but got {w.dtype}")
        if numel(w._node.shape) and bool((all_members(constant(w)) < 0).any()):
            raise RuntimeError(f"cov(): {label} cannot be negative")
    if fweights is None and aweights is None:
        return None, count, max(count - correction, 0)
    weights = fweights if fweights is not None else aweights
    if fweights is not None and aweights is not None:
        weights = mul(fweights, aweights)
    weights = reshape(weights, (count,))
    total = sum_over(weights)
    if aweights is None or correction == 0:
        norm = sub(total, correction)
    else:
        heavy = sum_over(mul(weights, reshape(aweights, (count,))))
        norm = sub(total, mul(true_divide(heavy, total), correction))
    return weights, total, clamp(norm, 0)


@spelled(method=True)
def corrcoef(input) -> Tensor:
    """Correlations of the rows over the columns.  Source: torch.corrcoef."""
    check_tensor("corrcoef", input)
    if input.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    found = cov(input)
    if found.ndim == 0:
        return e.div(found, found)
    size = found._node.shape[0]
    deviation = e.sqrt(found.diagonal())
    if found._node.dtype.is_complex:
        deviation = to_dtype(e.real(deviation), found._node.dtype)
    found = e.div(found, reshape(deviation, (size, 1)))
    found = e.div(found, reshape(deviation, (1, size)))
    if found._node.dtype.is_complex:
        return e.make_complex(e.real(found).clamp(-1, 1), e.imag(found).clamp(-1, 1))
    return found.clamp(-1, 1)
