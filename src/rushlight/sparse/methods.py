"""The methods and operators of SparseTensor, attached when this module is imported.

Level: sparse (12).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.base import dtypes, formats
from rushlight.base.hooks import RemovableHandle
from rushlight.sparse import arithmetic, blocks, printing, products, structure
from rushlight.tensor.graph import AccumulateGrad
from rushlight.tensor.sparse_tensor import COMPRESSED, FUNCTIONS, SparseTensor
from rushlight.tensor.storage import alias_without_grad, current_edge
from rushlight.tensor.tensor import Tensor

# ---- facts ---------------------------------------------------------------------------------------


def _coordinates_only(self: SparseTensor, name: str) -> None:
    if self.form is not structure.COO:
        raise RuntimeError(
            f"{name} expected sparse coordinate tensor layout but got {self.form}; use "
            "to_sparse_coo() before"
        )


def indices(self: SparseTensor) -> Tensor:
    """(sparse axes, n): the coordinates.  Raises: RuntimeError unless coalesced."""
    _coordinates_only(self, "indices")
    if not self.coalesced:
        raise RuntimeError(
            "Cannot get indices on an uncoalesced tensor, please call .coalesce() first"
        )
    return self.places[0]


def values(self: SparseTensor) -> Tensor:
    """(n, *dense axes): the elements, which gradients reach.  Raises: RuntimeError unless
    coalesced."""
    if not self.coalesced:
        raise RuntimeError(
            "Cannot get values on an uncoalesced tensor, please call .coalesce() first"
        )
    return self.elements


def _indices(self: SparseTensor) -> Tensor:
    _coordinates_only(self, "_indices")
    return self.places[0]


def _values(self: SparseTensor) -> Tensor:
    return alias_without_grad(self.elements)


def _nnz(self: SparseTensor) -> int:
    return self.elements._node.shape[0]


def is_coalesced(self: SparseTensor) -> bool:
    """Whether coordinates are known to be sorted and to differ."""
    _coordinates_only(self, "is_coalesced")
    return self.coalesced


def _coalesced_(self: SparseTensor, coalesced: bool) -> SparseTensor:
    self.coalesced = bool(coalesced)
    return self


def sparse_dim(self: SparseTensor) -> int:
    """How many axes the coordinates have."""
    return self.sparse_axes


def dense_dim(self: SparseTensor) -> int:
    """How many axes each element has."""
    return self.elements.dim() - 1


def _index_method(name: str) -> Callable[[SparseTensor], Tensor]:
    def method(self: SparseTensor) -> Tensor:
        names = COMPRESSED.get(self.form, ())
        if name not in names:
            raise RuntimeError(f"{name} expected another compressed layout but got {self.form}")
        return self.places[names.index(name)]

    method.__name__ = method.__qualname__ = name
    return method


def stride(self: SparseTensor, dim: int | None = None) -> Any:
    """Zeros: there is no memory to step through."""
    rank = len(self._node.shape)
    return (0,) * rank if dim is None else 0


def _refuse(kind: type[Exception], message: str) -> Callable[..., Any]:
    def refuse(self: SparseTensor, *args: Any, **kwargs: Any) -> Any:
        raise kind(message)

    return refuse


# ---- gradients -----------------------------------------------------------------------------------


def _sparse_gradient(self: SparseTensor, gradient: Tensor | None) -> Tensor | None:
    if gradient is None or isinstance(gradient, SparseTensor):
        return gradient
    return self.with_elements(gradient)


def _get_grad(self: SparseTensor) -> Tensor | None:
    return _sparse_gradient(self, self.elements._grad)


def _set_grad(self: SparseTensor, value: Tensor | None) -> None:
    if value is None:
        self.elements._grad = None
    elif isinstance(value, SparseTensor) and value._node.shape == self._node.shape:
        self.elements._grad = structure.sparse_mask(value, self).elements
    else:
        raise RuntimeError("the gradient of a sparse tensor must be a sparse tensor of its size")


def requires_grad_(self: SparseTensor, requires_grad: bool = True) -> SparseTensor:
    """Set `requires_grad` in place; returns the tensor."""
    edge = current_edge(self.elements)
    if edge is not None and type(edge) is not AccumulateGrad and not requires_grad:
        raise RuntimeError(
            "you can only change requires_grad flags of leaf variables. If you want to use a "
            "computed variable in a subgraph that doesn't require differentiation use "
            "var_no_grad = var.detach()."
        )
    if requires_grad and edge is None:
        self.elements = self.elements.detach().requires_grad_()
    elif not requires_grad:
        self.elements = self.elements.detach()
    self._grad_fn = current_edge(self.elements)
    return self


def _set_requires_grad(self: SparseTensor, value: bool) -> None:
    requires_grad_(self, value)


def backward(
    self: SparseTensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Gradients from a sparse result; `gradient` is a sparse or dense tensor of its size."""
    if gradient is None:
        raise RuntimeError("grad can be implicitly created only for scalar outputs")
    given = structure.sparse_mask(gradient, self).elements
    self.elements.backward(given, retain_graph, create_graph, inputs)


def register_hook(self: SparseTensor, hook: Callable) -> RemovableHandle:
    """Call `hook(gradient)` with the sparse gradient; what it returns replaces it."""

    def on_elements(gradient: Tensor) -> Tensor | None:
        found = hook(_sparse_gradient(self, gradient))
        return found.elements if isinstance(found, SparseTensor) else None

    return self.elements.register_hook(on_elements)


def detach(self: SparseTensor) -> SparseTensor:
    """The same values, which gradients do not reach."""
    return self.with_elements(self.elements.detach())


def detach_(self: SparseTensor) -> SparseTensor:
    """`detach` in place."""
    return self.turn_into(detach(self))


# ---- dtypes and copies ---------------------------------------------------------------------------


def to(self: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
    """With another dtype; the tensor itself if nothing changes."""
    kwargs.pop("memory_format", None)
    elements = self.elements.to(*args, **kwargs)
    return self if elements is self.elements else self.with_elements(elements)


_DTYPES = {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16, "int": dtypes.int32, "long": dtypes.int64, "short": dtypes.int16,
    "bool": dtypes.bool_, "char": dtypes.int8, "byte": dtypes.uint8,
}  # fmt: skip


def _conversion(name: str) -> Callable[[SparseTensor], SparseTensor]:
    def method(self: SparseTensor) -> SparseTensor:
        return to(self, _DTYPES[name])

    method.__name__ = method.__qualname__ = name
    return method


def type_of(self: SparseTensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, or the tensor with another dtype."""
    if dtype is None:
        return self.elements.type().replace("torch.", "torch.sparse.")
    # A former type such as sparse.DoubleTensor says its dtype.
    return to(self, dtype if isinstance(dtype, dtypes.DType) else getattr(dtype, "dtype", dtype))


def item(self: SparseTensor) -> Any:
    """The only element.  Raises: RuntimeError if the tensor has several."""
    if math.prod(self._node.shape) != 1:
        raise RuntimeError(
            f"a Tensor with {math.prod(self._node.shape)} elements cannot be converted to Scalar"
        )
    return structure.to_dense(self).item()


def same(self: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
    """The tensor itself: it is on the CPU already."""
    return self


def __deepcopy__(self: SparseTensor, memo: dict) -> SparseTensor:
    if id(self) in memo:
        return memo[id(self)]
    places = tuple(copy.deepcopy(part, memo) for part in self.places)
    elements = copy.deepcopy(self.elements, memo)
    made = SparseTensor(self.form, places, elements, self._node.shape, self.coalesced)
    memo[id(self)] = made
    return made


def rebuilt(
    name: str, places: tuple, elements: Tensor, shape: tuple, coalesced: bool, requires: bool
) -> SparseTensor:
    """The inverse of pickling."""
    form = next(form for form in (structure.COO, *COMPRESSED) if repr(form) == name)
    made = SparseTensor(form, places, elements, shape, coalesced)
    return requires_grad_(made) if requires else made


def __reduce_ex__(self: SparseTensor, protocol: Any) -> tuple:
    edge = current_edge(self.elements)
    parts = (self.places, self.elements.detach(), self._node.shape, self.coalesced)
    return rebuilt, (repr(self.form), *parts, edge is not None)


def sparse_resize_(self: SparseTensor, size: Any, sparse_dim: int, dense_dim: int) -> SparseTensor:
    """Another shape in place; elements stay at their places, which must fit."""
    shape = tuple(size)
    if (sparse_dim, dense_dim) != (self.sparse_axes, self.elements.dim() - 1) and _nnz(self):
        raise RuntimeError("sparse_resize_: the number of axes of a non-empty tensor cannot change")
    if any(new < old for new, old in zip(shape, self._node.shape)) and _nnz(self):
        raise RuntimeError("sparse_resize_: a non-empty tensor cannot shrink")
    if _nnz(self):
        pad = shape[sparse_dim:]
        if pad != tuple(self.elements.shape[1:]):
            raise RuntimeError("sparse_resize_: dense axes of a non-empty tensor cannot change")
        made = SparseTensor(self.form, self.places, self.elements, shape, self.coalesced)
        return self.turn_into(made)
    return sparse_resize_and_clear_(self, size, sparse_dim, dense_dim)


def sparse_resize_and_clear_(
    self: SparseTensor, size: Any, sparse_dim: int, dense_dim: int
) -> SparseTensor:
    """Another shape in place, without elements."""
    shape = tuple(size)
    empty = self.elements.new_zeros((0, *shape[sparse_dim:]))
    places = np.zeros((sparse_dim, 0))
    return self.turn_into(structure.coo(places, empty, shape, True))


def _in_layout(layout: formats.layout) -> Callable[..., SparseTensor]:
    def method(self: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        return structure.to_sparse(self, layout=layout)

    return method


def _iterate(self: SparseTensor) -> Iterator[Tensor]:
    return (structure.select(self, 0, index) for index in range(self._node.shape[0]))


FUNCTIONS.update(
    {
        "coalesce": structure.coalesce, "to_dense": structure.to_dense,
        "to_sparse": blocks.to_sparse, "sparse_mask": structure.sparse_mask,
        "transpose": structure.transpose, "swapaxes": structure.transpose,
        "swapdims": structure.transpose, "permute": structure.permute,
        "t": structure.matrix_transpose, "unsqueeze": structure.unsqueeze,
        "squeeze": structure.squeeze, "select": structure.select,
        "index_select": structure.index_select, "narrow_copy": structure.narrow_copy,
        "cat": structure.cat, "concat": structure.cat, "concatenate": structure.cat,
        "stack": structure.stack,
    }
)  # fmt: skip

_METHODS: dict[str, Any] = {
    "indices": indices, "values": values, "_indices": _indices, "_values": _values, "_nnz": _nnz,
    "is_coalesced": is_coalesced, "_coalesced_": _coalesced_, "sparse_dim": sparse_dim,
    "dense_dim": dense_dim, "_dimI": sparse_dim, "_dimV": dense_dim,
    **{name: _index_method(name) for pair in COMPRESSED.values() for name in pair},
    "stride": stride, "requires_grad_": requires_grad_, "backward": backward,
    "register_hook": register_hook, "detach": detach, "detach_": detach_, "to": to,
    **{name: _conversion(name) for name in _DTYPES},
    "type": type_of, "item": item, "cpu": same, "__deepcopy__": __deepcopy__,
    "__reduce_ex__": __reduce_ex__, "sparse_resize_": sparse_resize_,
    "sparse_resize_and_clear_": sparse_resize_and_clear_,
    "to_sparse_coo": _in_layout(structure.COO), "to_sparse_csr": _in_layout(structure.CSR),
    "to_sparse_csc": _in_layout(structure.CSC), "to_sparse_bsr": blocks.to_sparse_bsr,
    "to_sparse_bsc": blocks.to_sparse_bsc, "__iter__": _iterate,
    "__getitem__": structure.getitem, "__repr__": printing.sparse_repr,
    "is_contiguous": lambda self, memory_format=None: False,
    "numpy": _refuse(TypeError, "can't convert Sparse layout tensor to numpy. Use "
                     "Tensor.to_dense() first."),
    "tolist": _refuse(RuntimeError, "tolist: a sparse tensor has no storage to be read; use "
                      "to_dense() first"),
    "data_ptr": _refuse(RuntimeError, "Cannot access data pointer of Tensor that doesn't have "
                        "storage"),
    "storage": _refuse(NotImplementedError, "Cannot access storage of SparseTensorImpl"),
    "untyped_storage": _refuse(NotImplementedError, "Cannot access storage of SparseTensorImpl"),
    "reshape": _refuse(RuntimeError, "reshape is not implemented for sparse tensors; use "
                       "to_dense() before"),
    "flatten": _refuse(RuntimeError, "reshape is not implemented for sparse tensors; use "
                       "to_dense() before"),
    "__add__": arithmetic.add, "__radd__": lambda self, other: arithmetic.add(other, self),
    "__sub__": arithmetic.sub, "__rsub__": lambda self, other: arithmetic.sub(other, self),
    "__mul__": arithmetic.mul, "__rmul__": arithmetic.mul, "__truediv__": arithmetic.div,
    "__floordiv__": arithmetic.floor_divide, "__pow__": arithmetic.pow,
    "__neg__": FUNCTIONS["neg"], "__abs__": FUNCTIONS["abs"], "__matmul__": products.matmul,
    "__rmatmul__": lambda self, other: products.matmul(other, self),
    "__iadd__": arithmetic.add_, "__isub__": arithmetic.sub_, "__imul__": arithmetic.mul_,
    "__itruediv__": arithmetic.div_,
}  # fmt: skip

_PROPERTIES: dict[str, property] = {
    "grad": property(_get_grad, _set_grad),
    "requires_grad": property(lambda self: self._grad_fn is not None, _set_requires_grad),
    "is_sparse": property(lambda self: self.form is structure.COO),
    "is_sparse_csr": property(lambda self: self.form is structure.CSR),
    "layout": property(lambda self: self.form),
    "data": property(detach),
    "T": property(blocks.turning(structure.matrix_transpose)),
    "mT": property(blocks.turning(lambda self: structure.transpose(self, -2, -1))),
}

# What is done with blocks as with single elements.
_ALIKE = {
    "values", "_values", "_nnz", "_coalesced_", "sparse_dim", "_dimI", "stride", "requires_grad_",
    "backward", "register_hook", "detach", "detach_", "to", "type", "cpu", "__deepcopy__",
    "__reduce_ex__", "__repr__", "is_contiguous", "crow_indices", "col_indices", "ccol_indices",
    "row_indices", "to_sparse_bsr", "to_sparse_bsc", "indices", "_indices", "is_coalesced",
    "coalesce", *_DTYPES,
}  # fmt: skip
for _name, _value in list(FUNCTIONS.items()):
    if _name not in _ALIKE:
        FUNCTIONS[_name] = blocks.apart(_name, _value)
for _name, _value in list(_METHODS.items()):
    if _name not in _ALIKE:
        _METHODS[_name] = blocks.apart(_name, _value)
for _name in ("t", "transpose", "swapaxes", "swapdims"):
    FUNCTIONS[_name] = blocks.turning(FUNCTIONS[_name])

for _name, _value in {**FUNCTIONS, **_METHODS, **_PROPERTIES}.items():
    setattr(SparseTensor, _name, _value)

# Functions that ask classes of their operands find these, too.
FUNCTIONS.update({"detach": detach, "to": to, "zeros_like": arithmetic.zeros_like})
