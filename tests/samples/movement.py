"""Samples of the movement primitives."""

from __future__ import annotations

import math

import numpy as np
import torch

from rushlight.base.device import CPU
from tests.samples.row import EVERY, UNARY_SHAPES, Error, Row, random_array

_NUMBERS = ("float64", "float32", "int64", "complex128", "bool", "bfloat16")


def _reshapes(shapes: tuple) -> list:
    shape = shapes[0]
    count = math.prod(shape)
    return [((count,),), (shape[::-1],), ((1, *shape, 1),)]


def _permutations(shapes: tuple) -> list:
    rank = len(shapes[0])
    return [(tuple(range(rank)),), (tuple(reversed(range(rank))),)]


def _expansions(shapes: tuple) -> list:
    shape = shapes[0]
    return [((2, *shape),), (tuple(4 if n == 1 else n for n in shape),)]


def _index(offset, size, strides):
    """The flat index of each element of a window."""
    index = offset.reshape((1,) * len(size)).expand(size).clone()
    for axis, (n, stride) in enumerate(zip(size, strides)):
        along = torch.arange(n) * stride
        index += along.reshape((-1,) + (1,) * (len(size) - axis - 1))
    return index


def _with_offset(count: int):
    """Operands with random values, and last an offset of `count`."""

    def operands(generator, shapes, dtype, params):
        arrays = [random_array(generator, s, dtype, -3, 3) for s in shapes[:-1]]
        return [*arrays, np.asarray(count, np.int64)]

    return operands


def _read(x, offset, size, strides):
    return x.reshape(-1)[_index(offset, size, strides)]


def _written(base, source, offset, size, strides):
    flat = base.reshape(-1).clone()
    return flat.index_put((_index(offset, size, strides),), source).reshape(base.shape)


def _added(source, offset, size, strides, shape):
    flat = source.new_zeros(math.prod(shape))
    index = _index(offset, size, strides)
    return flat.index_put((index,), source, accumulate=True).reshape(shape)


# Windows of 24 elements from offset 2: plain, transposed, backwards, overlapping, repeated, empty.
_WINDOWS = (
    ((3, 4), (4, 1)),
    ((4, 3), (1, 4)),
    ((2, 2), (8, -2)),
    ((5, 3), (2, 1)),
    ((3, 2), (0, 5)),
    ((0, 3), (4, 1)),
    ((), ()),
)
_DISJOINT = (((3, 4), (4, 1)), ((4, 3), (1, 4)), ((2, 2), (8, -2)), ((0, 3), (4, 1)), ((), ()))
_OVERLAPPING = (*_WINDOWS, ((2, 3, 2, 2), (6, 2, 3, 1)))


ROWS = (
    Row("copy", torch.clone, UNARY_SHAPES, dtypes=EVERY),
    Row(
        "to_device", lambda x, target, source: x.clone(), UNARY_SHAPES, ((CPU, CPU),), EVERY,
    ),
    Row("reshape", lambda x, shape: x.reshape(shape), UNARY_SHAPES, _reshapes, _NUMBERS),
    Row("permute", lambda x, axes: x.permute(axes), UNARY_SHAPES, _permutations, _NUMBERS),
    Row(
        "expand", lambda x, shape: x.expand(shape), (((2, 1, 3),), ((1,),), ((),), ((0, 1),)),
        _expansions, _NUMBERS,
        errors=(Error((((2, 3), "float32"),), ((2, 4),), RuntimeError, "must match|does not fit"),),
    ),
    Row(
        "strided_read", _read, (((24,), ()), ((4, 6), ())), _WINDOWS, _NUMBERS,
        operands=_with_offset(2),
    ),
    Row(
        "strided_write", _written, tuple(((4, 6), size, ()) for size, _ in _DISJOINT),
        lambda shapes: [w for w in _DISJOINT if w[0] == shapes[1]], _NUMBERS,
        operands=_with_offset(2), differentiable=(0, 1),
    ),
    Row(
        "strided_add", _added, tuple((size, ()) for size, _ in _OVERLAPPING),
        lambda shapes: [(*w, (4, 6)) for w in _OVERLAPPING if w[0] == shapes[0]],
        ("float64", "float32", "int64", "complex128"), operands=_with_offset(2),
        tolerance={"float32": 1e-5}, reason="terms are added in another order",
    ),
    Row(
        "concatenate", lambda *given: torch.cat(given[:-1], given[-1]),
        (((2, 3), (2, 1)), ((2, 0), (2, 2), (2, 1)), ((0, 4),)), ((1,),), _NUMBERS,
        differentiable=(0,),
    ),
    Row(
        "pack", lambda *given: torch.cat([x.reshape(-1) for x in given]),
        (((2, 3), ()), ((0, 2), (3,), (1, 1))), dtypes=_NUMBERS, differentiable=(0, 1),
    ),
    Row(
        "unpack",
        lambda x, shapes: [
            part.reshape(s) for part, s in zip(x.split([math.prod(s) for s in shapes]), shapes)
        ],
        (((9,),),), ((((2, 3), (), (1, 2), (0, 4)),), (((9,),),)), _NUMBERS,
    ),
)  # fmt: skip
