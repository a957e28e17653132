"""A storage's elements read as another dtype: complex numbers as pairs of real ones, and back.

In: flat elements in the order of memory.  Out: the same memory as elements of the other dtype, as
an operation that autograd follows.  A tensor on a storage of another dtype than its own counts
strides and offset in its own elements, and always has a layout.  Level 10.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import numel
from rushlight.primitives.elementwise import imag, make_complex, real
from rushlight.primitives.movement import concatenate, reshape, strided_read, strided_write
from rushlight.tensor.tensor import Tensor, scalar_tensor


def elements_as(flat: Tensor, dtype) -> Tensor:
    """Elements of memory read as those of `dtype`.  Shapes: any -> (n,), unless `dtype` is theirs.

    An odd number at the end of real ones is part of no complex number.
    """
    if flat._node.dtype is dtype:
        return flat
    count = numel(flat._node.shape)
    if flat._node.dtype.is_complex:
        column = reshape(flat, (count, 1))
        return reshape(concatenate((real(column), imag(column)), 1), (2 * count,))
    halves = [
        strided_read(flat, scalar_tensor(place, int64), (count // 2,), (2,)) for place in (0, 1)
    ]
    return make_complex(*halves)


def written_back(elements: Tensor, former: Tensor) -> Tensor:
    """What `elements_as` read from `former`, written since, in its dtype again.  Shapes: (n,)."""
    found = elements_as(elements, former._node.dtype)
    count = numel(found._node.shape)
    if count == numel(former._node.shape):
        return found
    return strided_write(former, found, scalar_tensor(0, int64), (count,), (1,))
