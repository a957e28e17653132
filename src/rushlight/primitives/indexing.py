"""Reading and writing elements named by index tensors.  Level 2.

Indices are int64 and count from 0; only `ravel_index` takes negative ones, which count from the
end.  An index out of bounds is found when the tape is executed.  Writing with `mode` "set" and
repeated indices keeps the last one.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import broadcast_all
from rushlight.tape.primitive import VARIADIC, Primitive

MODES = ("set", "add", "multiply", "maximum", "minimum")


def _taken(x, index, axis):
    return (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype


def _put(x, index, source, axis, mode):
    return x.shape, x.dtype


def _gathered(x, index, axis):
    return index.shape, x.dtype


def _ravelled(*arguments):
    *indices, _ = arguments
    return broadcast_all([i.shape for i in indices]), int64


# Indices of several axes (broadcast) -> the flat index over axes of these sizes; checked.
ravel_index = Primitive("ravel_index", "indexing", "indexing", VARIADIC, _ravelled, ("sizes",))
# x, index -> x's slices along `axis` named by index, whose axes replace `axis`.
take = Primitive("take", "indexing", "indexing", 2, _taken, ("axis",), grad_name="IndexSelect")
# x, index (1-d), source -> x with those slices along `axis` combined with source's.
put = Primitive("put", "indexing", "indexing", 3, _put, ("axis", "mode"), grad_name="IndexPut")
# x, index -> out[i][j][k] = x[index[i][j][k]][j][k] for axis 0.
gather = Primitive("gather", "indexing", "indexing", 2, _gathered, ("axis",))
# x, index, source (shape of index) -> x with x[index[i][j][k]][j][k] combined with source[i][j][k].
scatter = Primitive("scatter", "indexing", "indexing", 3, _put, ("axis", "mode"))
