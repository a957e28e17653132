"""Sorting and searching.  Level 2."""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.orders import as_first
from rushlight.base.shapes import broadcast_shapes
from rushlight.tape.primitive import Primitive


def _order(x, axis, descending):
    return x.shape, int64


def _searched(boundaries, values, right):
    broadcast_shapes(boundaries.shape[:-1], values.shape[:-1])
    return values.shape, int64


# Indices that sort along `axis`, stable; NaN sorts as larger than everything.
argsort = Primitive(
    "argsort",
    "ordering",
    "opaque",
    1,
    _order,
    ("axis", "descending"),
    properties="sizeless",
    order=as_first,
)
# boundaries (..., n) ascending, values (..., m) -> position where each value would be inserted.
searchsorted = Primitive(
    "searchsorted", "ordering", "opaque", 2, _searched, ("right",), properties="sizeless"
)
