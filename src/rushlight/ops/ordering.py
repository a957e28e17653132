"""Sorting, the largest elements, and order statistics.  Level 11.

Values are gathered by the sorting indices, so that gradients flow.
"""

from __future__ import annotations

from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides
from rushlight.ops.formats import lying_like, row_major
from rushlight.ops.promotion import check_tensor
from rushlight.ops.return_types import return_type
from rushlight.ops.shaping import axis_of
from rushlight.ops.spelling import spelled
from rushlight.primitives import indexing as pi
from rushlight.primitives import movement as p
from rushlight.primitives.ordering import argsort as argsort_primitive
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor

_Sort = return_type("sort", "values", "indices")
_Topk = return_type("topk", "values", "indices")
_Kth = return_type("kthvalue", "values", "indices")


def _ordered(name: str, input, dim, descending: bool) -> tuple[Tensor, Tensor, int]:
    """(input with an axis, sorting indices, axis)."""
    check_tensor(name, input)
    if input._node.dtype.is_complex:
        raise RuntimeError(f"{name}(): complex numbers have no order")
    axis = axis_of(input, dim)
    x = input if input._node.shape else p.reshape(input, (1,))
    return x, argsort_primitive(x, axis, bool(descending)), axis


def _like(found: Tensor, input: Tensor) -> Tensor:
    return found if input._node.shape else p.reshape(found, ())


def leading(x: Tensor, axis: int, start: int, count: int) -> Tensor:
    """A copy of a stretch of an axis."""
    shape = x._node.shape
    strides = contiguous_strides(shape)
    size = (*shape[:axis], count, *shape[axis + 1 :])
    return p.strided_read(x, x._scalar(start * strides[axis], int64), size, strides)


@spelled(method=True, out=True)
def sort(input, dim=-1, descending=False, *, stable=False):
    """(values, indices) in ascending order along an axis; always stable.  Source: torch.sort."""
    x, order, axis = _ordered("sort", input, dim, descending)
    values = named(_like(pi.gather(x, order, axis), input), "SortBackward0")
    return _Sort(lying_like(values, input), lying_like(_like(order, input), input))


@spelled(method=True, out=True)
def argsort(input, dim=-1, descending=False, *, stable=False) -> Tensor:
    """The indices that sort an axis.  Source: torch.argsort."""
    _, order, _ = _ordered("argsort", input, dim, descending)
    return lying_like(_like(order, input), input)


@spelled(method=True, out=True)
def msort(input) -> Tensor:
    """Sorted along the first axis.  Source: torch.msort."""
    return sort(input, 0)[0]


@spelled(method=True, out=True)
def topk(input, k, dim=-1, largest=True, sorted=True):
    """(values, indices) of the k largest or smallest along an axis.  Source: torch.topk."""
    x, order, axis = _ordered("topk", input, dim, largest)
    k = int(k)
    if not 0 <= k <= x._node.shape[axis]:
        raise RuntimeError(
            f"selected index k out of range: k is {k}, dimension {axis} has {x._node.shape[axis]}"
        )
    if not input._node.shape and k == 0:
        k = 1
    first = row_major(leading(order, axis, 0, k))
    values = named(_like(pi.gather(x, first, axis), input), "TopkBackward0")
    return _Topk(values, _like(first, input))


@spelled(method=True, out=True)
def kthvalue(input, k, dim=-1, keepdim=False):
    """(values, indices) of the k-th smallest along an axis.  Source: torch.kthvalue."""
    x, order, axis = _ordered("kthvalue", input, dim, False)
    size = x._node.shape[axis]
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {axis}: {k}")
    place = row_major(leading(order, axis, k - 1, 1))
    values = pi.gather(x, place, axis)
    if not input._node.shape:
        return _Kth(named(p.reshape(values, ()), "KthvalueBackward0"), p.reshape(place, ()))
    if not keepdim:
        shape = x._node.shape[:axis] + x._node.shape[axis + 1 :]
        values, place = p.reshape(values, shape), p.reshape(place, shape)
    return _Kth(named(values, "KthvalueBackward0"), place)
