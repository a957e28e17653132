"""Samples of the indexing primitives."""

from __future__ import annotations

import numpy as np
import torch

from tests.samples.row import Error, Row, random_array

_VALUES = ("float64", "float32", "int64", "complex128", "bool", "bfloat16")
_COMBINED = ("float64", "float32", "int64")
_MODES = ("set", "add", "multiply", "maximum", "minimum")
_TORCH_MODES = {"multiply": "prod", "maximum": "amax", "minimum": "amin"}


def _indices(generator, shape, size: int, *, lowest: int = 0, distinct_along: int | None = None):
    """Positions below size; distinct along one axis if asked."""
    if distinct_along is None:
        found = generator.integers(lowest, size, shape) if size else np.zeros(shape)
    else:
        order = generator.random((*shape[:distinct_along], size, *shape[distinct_along + 1 :]))
        ranks = np.argsort(order, distinct_along)
        found = np.take(ranks, np.arange(shape[distinct_along]), distinct_along)
    return np.asarray(found).astype(np.int64)


def _axes(shapes: tuple) -> list:
    return [(axis,) for axis in range(len(shapes[0]))]


def _take_operands(generator, shapes, dtype, params):
    (axis,) = params
    return [
        random_array(generator, shapes[0], dtype, -3, 3),
        _indices(generator, shapes[1], shapes[0][axis]),
    ]


def _taken(x, index, axis):
    found = x.index_select(axis, index.reshape(-1))
    return found.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


def _gathered(x, index, axis):
    return x.gather(axis, index)


def _put_params(shapes: tuple) -> list:
    """Every mode along the axis in which source and operand may differ."""
    differing = [a for a, (m, n) in enumerate(zip(shapes[0], shapes[2])) if m != n]
    axis = differing[0] if differing else 0
    return [(axis, mode) for mode in _MODES]


def _put_operands(generator, shapes, dtype, params):
    axis, mode = params
    distinct = 0 if mode == "set" else None
    index = _indices(generator, shapes[1], shapes[0][axis], distinct_along=distinct)
    x, source = [random_array(generator, s, dtype, -3, 3) for s in (shapes[0], shapes[2])]
    return [x, index, source]


def _put(x, index, source, axis, mode):
    if mode == "set":
        return x.index_copy(axis, index, source)
    if mode == "add":
        return x.index_add(axis, index, source)
    spread = index.reshape((-1,) + (1,) * (x.dim() - axis - 1)).expand(source.shape)
    return x.scatter_reduce(axis, spread, source, _TORCH_MODES[mode])


def _scatter_operands(generator, shapes, dtype, params):
    axis, mode = params
    distinct = axis if mode == "set" else None
    index = _indices(generator, shapes[1], shapes[0][axis], distinct_along=distinct)
    x, source = [random_array(generator, s, dtype, -3, 3) for s in (shapes[0], shapes[2])]
    return [x, index, source]


def _scattered(x, index, source, axis, mode):
    if mode == "set":
        return x.scatter(axis, index, source)
    return x.scatter_reduce(axis, index, source, {"add": "sum", **_TORCH_MODES}[mode])


def _ravel_operands(generator, shapes, dtype, params):
    (sizes,) = params
    return [_indices(generator, s, n, lowest=-n) for s, n in zip(shapes, sizes)]


def _ravelled(*given):
    *indices, sizes = given
    flat = 0
    for index, size in zip(indices, sizes):
        flat = flat * size + torch.where(index < 0, index + size, index)
    return flat


_OUT_OF_RANGE = "out of bounds"

ROWS = (
    Row(
        "ravel_index", _ravelled, (((4,), (4,)), ((2, 1), (3,)), ((0,), (1,))), (((3, 5),),),
        ("int64",), operands=_ravel_operands, differentiable=(),
        errors=(Error((((2,), "int64"), ((2,), "int64")), ((3, 1),), IndexError, _OUT_OF_RANGE),),
    ),
    Row(
        "take", _taken, (((4, 3), (5,)), ((3, 4), (2, 2)), ((2, 3), ()), ((2, 3), (0,))), _axes,
        _VALUES, operands=_take_operands,
        errors=(Error((((1, 3), "float32"), ((2,), "int64")), (0,), IndexError, _OUT_OF_RANGE),),
    ),
    Row(
        "put", _put, (((4, 3), (2,), (2, 3)), ((3, 5), (4,), (3, 4)), ((3, 2), (0,), (0, 2))),
        _put_params, _COMBINED, operands=_put_operands, differentiable=(0, 2),
        tolerance={"float32": 1e-5}, reason="terms are combined in another order",
        errors=(
            Error((((1, 3), "float32"), ((2,), "int64"), ((2, 3), "float32")), (0, "set"),
                  IndexError, _OUT_OF_RANGE),
        ),
    ),
    Row(
        "gather", _gathered, (((4, 3), (4, 3)), ((3, 2, 2), (3, 2, 2)), ((4,), (4,))), _axes,
        _VALUES, operands=_take_operands,
        errors=(
            Error((((1, 2), "float32"), ((2, 2), "int64")), (0,), RuntimeError, _OUT_OF_RANGE),
        ),
    ),
    Row(
        "scatter", _scattered, (((4, 3), (2, 3), (2, 3)), ((3, 5), (3, 4), (3, 4)),
                                ((3, 4), (3, 1), (3, 1))),
        _put_params, _COMBINED, operands=_scatter_operands, differentiable=(0, 2),
        tolerance={"float32": 1e-5}, reason="terms are combined in another order",
        errors=(
            Error((((1, 2), "float32"), ((1, 2), "int64"), ((1, 2), "float32")), (0, "set"),
                  RuntimeError, _OUT_OF_RANGE),
        ),
    ),
)  # fmt: skip
