"""SparseTensor: values at places, everything else zero.

A sparse tensor has a shape and a dtype like any other, but no value that an operation of the tape
could read: its node refuses.  What it is made of are dense tensors (places and elements), and
autograd follows the elements.  The operations on it stand in `sparse/`; here is what backward and
the optimizers must know.  Level 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base import formats
from rushlight.base.dtypes import int64
from rushlight.tape.tape import materialise
from rushlight.tensor.refusing import RefusingNode, without_array
from rushlight.tensor.storage import current_edge, refresh
from rushlight.tensor.tensor import Tensor, tensor_from_numpy
from rushlight.tensor.torch_function import DisableTorchFunctionSubclass

# Of each compressed layout: names of the methods for its two kinds of indices.
COMPRESSED = {
    formats.sparse_csr: ("crow_indices", "col_indices"),
    formats.sparse_csc: ("ccol_indices", "row_indices"),
    formats.sparse_bsr: ("crow_indices", "col_indices"),
    formats.sparse_bsc: ("ccol_indices", "row_indices"),
}


# What to do where an operation has no form for them.
_REPAIR = "sparse tensors; use to_dense() before, or work on the tensor's values()"


class SparseTensor(Tensor):
    """A tensor in one of the sparse layouts; to programs it is a `Tensor`.

    layout: `sparse_coo`, or one of `COMPRESSED`.
    places: coordinate layout: one int64 tensor (sparse axes, n).  Compressed: where the rows (or
        columns) begin, and the columns (or rows) of the elements.
    elements: (n, *dense axes); by blocks (n, block rows, block columns).
    coalesced: coordinate layout: whether places are known to be sorted and to differ.
    """

    __slots__ = ("form", "places", "elements", "coalesced")

    form: formats.layout
    places: tuple[Tensor, ...]
    elements: Tensor
    coalesced: bool

    _prints_as_tensor = True
    # Functions must ask this class as they ask classes of programs.
    _is_asked = True

    def __new__(
        cls,
        form: formats.layout,
        places: tuple[Tensor, ...],
        elements: Tensor,
        shape: tuple[int, ...],
        coalesced: bool = False,
    ) -> SparseTensor:
        backend = "SparseCPU" if form is formats.sparse_coo else "SparseCsrCPU"
        node = RefusingNode(tuple(shape), elements._node.dtype, backend, _REPAIR)
        made: SparseTensor = without_array(cls, node, current_edge(elements))
        made.form = form
        made.places = places
        made.elements = elements
        made.coalesced = coalesced
        return made

    def __init__(self, *args: Any) -> None:
        pass

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        own = FUNCTIONS.get(function.__name__)
        if own is not None:
            return own(*args, **(kwargs or {}))
        with DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    def with_elements(self, elements: Tensor, coalesced: bool | None = None) -> SparseTensor:
        """Other elements at the same places."""
        shape = self._node.shape
        if self.form not in (formats.sparse_bsr, formats.sparse_bsc):
            shape = (*shape[: self.sparse_axes], *elements._node.shape[1:])
        known = self.coalesced if coalesced is None else coalesced
        return SparseTensor(self.form, self.places, elements, shape, known)

    @property
    def sparse_axes(self) -> int:
        """How many axes the places have."""
        return self.places[0]._node.shape[0] if self.form is formats.sparse_coo else 2

    def turn_into(self, other: SparseTensor) -> SparseTensor:
        """Show what `other` shows, in place."""
        self._node = other._node
        self.form = other.form
        self.places = other.places
        self.elements = other.elements
        self.coalesced = other.coalesced
        self._grad_fn = other._grad_fn
        return self


# What functions, methods and operators do with sparse operands: filled by `sparse/`.
FUNCTIONS: dict[str, Callable[..., Any]] = {}


def array_of(tensor: Tensor) -> np.ndarray:
    """The array of a dense tensor; flushes where needed; not to be written to."""
    storage = tensor._storage
    if storage is not None and storage.stamp != tensor._seen:
        refresh(tensor)
    return materialise(tensor._node, "the places of a sparse tensor")


def index_tensor(array: np.ndarray) -> Tensor:
    """An int64 tensor of an array that nobody else writes to."""
    array = np.ascontiguousarray(array, dtype=np.int64)
    return tensor_from_numpy(array, int64)
