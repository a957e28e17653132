"""Counting values in bins; index tables of triangles and of flat positions.  Level 11."""

from __future__ import annotations

import numpy as np

from rushlight.base.dtypes import bool_
from rushlight.base.shapes import numel
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import arithmetic_value, value_of
from rushlight.ops.indexing import select_view
from rushlight.ops.members import each_member
from rushlight.ops.promotion import check_tensor
from rushlight.ops.return_types import return_type
from rushlight.ops.selection import from_array, positions
from rushlight.ops.shaping import sizes_from
from rushlight.ops.spelling import spelled
from rushlight.tensor.tensor import Tensor

_Histogram = return_type("histogram", "hist", "bin_edges")
_HistogramDD = return_type("histogramdd", "hist", "bin_edges")


def _check_floating(name: str, input) -> None:
    check_tensor(name, input)
    if input._node.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f'"{name}_cpu" not implemented for {input._node.dtype}')


def _weights(name: str, input, weight, count: int):
    if weight is None:
        return None
    if weight._node.dtype is not input._node.dtype:
        raise RuntimeError(
            f"torch.{name}: if weight tensor is provided, input tensor and weight tensor should "
            f"have the same dtype, got {input._node.dtype} and {weight._node.dtype}"
        )
    if numel(weight._node.shape) != count:
        raise RuntimeError(
            f"torch.{name}: if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension"
        )
    return arithmetic_value(weight).reshape(-1)


def _edges_between(bins: int, low: float, high: float, kind) -> np.ndarray:
    """bins + 1 edges, counted from the nearer end, as PyTorch's linspace does."""
    step = kind.type(high - low) / kind.type(bins)
    at = np.arange(bins + 1).astype(kind)
    from_low = kind.type(low) + at * step
    from_high = kind.type(high) - (kind.type(bins) - at) * step
    return np.where(at < (bins + 1) // 2, from_low, from_high).astype(kind)


def _given_edges(name: str, edges: Tensor, input: Tensor) -> np.ndarray:
    if len(edges._node.shape) != 1 or not numel(edges._node.shape):
        raise RuntimeError(
            f"torch.{name}: bin edges must be a non-empty vector, got {list(edges._node.shape)}"
        )
    if edges._node.dtype is not input._node.dtype:
        raise RuntimeError(
            f"torch.{name}: input tensor and bins tensors should have the same dtype, but got "
            f"input with {input._node.dtype} and bins with {edges._node.dtype}"
        )
    return arithmetic_value(edges)


def _range_of(name: str, array, given) -> tuple[float, float]:
    """The outermost edges: given, or the data's own; never equal."""
    low, high = given or (0.0, 0.0)
    if low == high:
        if not array.size:
            return 0.0, 1.0
        low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise RuntimeError(f"{name}: dimension's range [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: min should not exceed max, but got {low} and {high}")
    return (low - 0.5, high + 0.5) if low == high else (low, high)


def _counted(points, edges: list, weights, density: bool):
    """Histogram of points (n, d); the last bin of each axis holds its upper edge."""
    sizes = [len(e) - 1 for e in edges]
    inside = np.ones(len(points), bool)
    places = []
    for axis, e in enumerate(edges):
        column = points[:, axis]
        # Edges are searched by halving even if they do not ascend, as PyTorch does.
        place = np.searchsorted(e, column, side="right") - 1
        place[column == e[-1]] = sizes[axis] - 1
        inside &= (column >= e[0]) & (column <= e[-1]) & (place < sizes[axis])
        places.append(place)
    hist = np.zeros(sizes)
    chosen = tuple([place[inside] for place in places])
    np.add.at(hist, chosen, 1.0 if weights is None else weights[inside])
    if density:
        volume = np.ones(())
        for e in edges:
            volume = np.multiply.outer(volume, np.diff(e.astype(np.float64)))
        with np.errstate(all="ignore"):
            hist = hist / hist.sum() / volume
    return hist


@spelled(method=True, out=True)
@each_member
@beside_input
def histogram(input, bins, *, range=None, weight=None, density=False):
    """(hist, bin_edges): counts between edges, given or evenly spaced.  Source: torch.histogram."""
    _check_floating("histogram", input)
    array = arithmetic_value(input).reshape(-1)
    weights = _weights("histogram", input, weight, array.size)
    if isinstance(bins, Tensor):
        edges = _given_edges("histogram", bins, input)
    else:
        if bins <= 0:
            raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins}")
        low, high = _range_of("torch.histogram", array, range)
        edges = _edges_between(int(bins), low, high, array.dtype)
    hist = _counted(array.reshape(-1, 1), [edges], weights, density)
    dtype = input._node.dtype
    return _Histogram(from_array(hist, dtype), from_array(edges, dtype))


@spelled()
@beside_input
def histogramdd(input, bins, range=None, weight=None, density=False):
    """(hist, bin_edges) of points in several dimensions.  Shapes: input (..., d).

    Source: torch.histogramdd.
    """
    _check_floating("histogramdd", input)
    if len(input._node.shape) < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{len(input._node.shape)}"
        )
    axes = input._node.shape[-1]
    points = arithmetic_value(input).reshape(-1, axes)
    weights = _weights("histogramdd", input, weight, len(points))
    bins = [bins] * axes if isinstance(bins, int) else list(bins)
    if len(bins) != axes:
        raise RuntimeError(
            f"torch.histogramdd: The size of bins must be equal to the innermost dimension of the "
            f"input: {len(bins)} and {axes}"
        )
    edges = []
    for axis, count in enumerate(bins):
        if isinstance(count, Tensor):
            edges.append(_given_edges("histogramdd", count, input))
            continue
        if count <= 0:
            raise RuntimeError(f"torch.histogramdd(): bins must be > 0, but got {count}")
        given = None if range is None else tuple(range[2 * axis : 2 * axis + 2])
        low, high = _range_of("torch.histogramdd", points[:, axis], given)
        edges.append(_edges_between(int(count), low, high, points.dtype))
    hist = _counted(points, edges, weights, density)
    dtype = input._node.dtype
    return _HistogramDD(from_array(hist, dtype), tuple([from_array(e, dtype) for e in edges]))


# ---- index tables --------------------------------------------------------------------------------


def _triangle(name: str, function):
    def indices(row, col, offset=0, *, dtype=None, device=None, layout=None, pin_memory=False):
        if row < 0 or col < 0:
            raise RuntimeError(f"row and col must be non-negative, got {row} and {col}")
        found = positions(np.stack(function(row, offset, col)))
        return found if dtype is None else found.to(dtype)

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = f"Rows and columns of a triangle's elements.  Source: torch.{name}."
    return spelled()(indices)


tril_indices = _triangle("tril_indices", np.tril_indices)
triu_indices = _triangle("triu_indices", np.triu_indices)


@spelled()
@each_member
def unravel_index(indices, shape) -> tuple[Tensor, ...]:
    """Coordinates of flat positions; reads them (a flush).  Source: torch.unravel_index."""
    check_tensor("unravel_index", indices, "indices")
    if indices._node.dtype.is_inexact or indices._node.dtype is bool_:
        raise ValueError(f"expected 'indices' to be integer dtype, but got {indices._node.dtype}")
    if not isinstance(shape, (int, tuple, list)):
        raise ValueError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    sizes = sizes_from((shape,))
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    flat = value_of(indices).astype(np.int64)
    found = []
    for n in reversed(sizes):
        found.append(flat % n if n else flat)
        flat = flat // n if n else flat
    if not found:
        return ()
    # As PyTorch, views of one tensor that has the coordinates along its last axis.
    made = positions(np.stack(found[::-1], -1))
    return tuple([select_view(made, made.ndim - 1, axis) for axis in range(len(found))])
