"""One node of the graph for all pieces that an operation cuts from a tensor.

Recorded by themselves, k pieces would be k windows, and backward k buffers of zeros with a piece
in each, and their sum: as in PyTorch, it joins the pieces' cotangents instead.  The pieces stay
what they are on the tape, views that kernels read in place.  Level 10.
"""

from __future__ import annotations

import functools
from itertools import groupby

from rushlight.base.device import CPU
from rushlight.base.dtypes import int64
from rushlight.base.shapes import contiguous_strides
from rushlight.primitives.movement import concatenate, expand, reshape, strided_add
from rushlight.tape.form import without_sizes
from rushlight.tape.memo import Operand
from rushlight.tensor.graph import GradNode, OutputOf
from rushlight.tensor.tensor import Tensor, scalar_tensor
from rushlight.vjp.table import ArgumentRule, Vjp

# Cuts are few; a program that makes a new one at each step must not keep them all.
_MOST_CUTS = 4096


class _Multiple:
    """Stands for the primitive that a cut would be; tapes hold none."""

    multiple = True
    grad_name = "SplitBackward0"


class Cut:
    """What a node of the graph knows of its operation, in place of a memo step.

    params: (axis, sizes).  form, sizes: as of a memo step.  One for all equal cuts, since
    backward's key compares them by identity.
    """

    __slots__ = ("operands", "outputs", "params", "form", "sizes")

    primitive = _Multiple
    line = None

    def __init__(self, shape: tuple, dtype, axis: int, sizes: tuple) -> None:
        self.operands = (Operand(shape, dtype, CPU, None),)
        self.outputs = sizes
        self.params = (axis, sizes)
        listed: list[int] = []
        self.form = _cut_form(
            without_sizes(shape, listed), dtype, axis, without_sizes(sizes, listed)
        )
        self.sizes = tuple(listed)

    @property
    def vjp(self) -> Vjp:
        return _ROW


@functools.cache
def _cut_form(*facts) -> object:
    """The one object that stands for cuts that differ in sizes only."""
    return object()


_cut = functools.lru_cache(_MOST_CUTS)(Cut)


def follow_pieces(pieces: list[Tensor], edge, shape, axis: int, sizes, label: str) -> None:
    """Let the histories of `pieces` end in one node, which continues with `edge`.

    edge: of the tensor of `shape` they were cut from; None: nothing is done.
    sizes: of the pieces along `axis`, together the tensor.  They may lack the axis if all are 1.
    label: autograd's name for the operation.
    """
    if edge is None or not pieces or pieces[0]._grad_fn is None:
        return
    node = GradNode()
    node.step = _cut(tuple(shape), pieces[0]._node.dtype, axis, tuple(sizes))
    node.edges = (edge,)
    node.saved = None
    node.extra = None
    node.label = label
    for index, piece in enumerate(pieces):
        piece._grad_fn = OutputOf(node, index)


def _join(wanted, g, out, operands, axis: int, sizes: tuple) -> list:
    """The cotangents of the pieces in their places, and zeros where one has none."""
    (whole,) = operands
    shape = whole.shape

    def extent(size: int) -> tuple:
        return (*shape[:axis], size, *shape[axis + 1 :])

    # (start, size, cotangents or None) of neighbors that all have one, or all have none.
    runs: list[tuple[int, int, list[Tensor] | None]] = []
    start = 0
    for present, run in groupby(zip(g, sizes), lambda piece: piece[0] is not None):
        found = list(run)
        size = sum(n for _, n in found)
        runs.append((start, size, [_shaped(x, extent(n)) for x, n in found] if present else None))
        start += size
    used = [(start, size, given) for start, size, given in runs if given is not None]
    if len(used) == 1 and len(runs) > 1:
        # Adding to zeros in place: a concatenation would read the zeros from memory.
        start, size, given = used[0]
        joined = _concatenated(given, axis)
        strides = contiguous_strides(shape)
        offset = joined._scalar(start * strides[axis], int64)
        return [strided_add(joined, offset, extent(size), strides, shape)]
    zero = scalar_tensor(0, whole.dtype)
    parts: list[Tensor] = []
    for _, size, given in runs:
        parts.extend([expand(zero, extent(size))] if given is None else given)
    return [_concatenated(parts, axis)]


def _shaped(x: Tensor, shape: tuple) -> Tensor:
    return x if x._node.shape == shape else reshape(x, shape)


def _concatenated(parts: list[Tensor], axis: int) -> Tensor:
    return parts[0] if len(parts) == 1 else concatenate(parts, axis)


_ROW = Vjp(None, ArgumentRule(_join, ()))
