"""Reading tensors and steering autograd: item, tolist, detach, backward, requires_grad.

Level 11.
"""

from __future__ import annotations

from rushlight.base.device import META
from rushlight.base.dtypes import widen
from rushlight.base.hot import hot
from rushlight.base.shapes import numel
from rushlight.ops.creation import arithmetic_value
from rushlight.ops.spelling import attach_method
from rushlight.tape.tape import local
from rushlight.tensor import autodiff
from rushlight.tensor.graph import AccumulateGrad, OutputOf, shown, target_of
from rushlight.tensor.reinterpret import replace_data
from rushlight.tensor.storage import alias_without_grad, current_edge, known_element
from rushlight.tensor.tensor import Tensor


@attach_method("item")
@hot
def item(self):
    """The only element as a Python number.  Raises: RuntimeError for more or fewer elements."""
    count = numel(self._node.shape)
    if count != 1:
        raise RuntimeError(f"a Tensor with {count} elements cannot be converted to Scalar")
    if self.device is META:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors: they have no data")
    element = known_element(self)
    if element is not None:
        return widen(element, self._node.dtype).item()
    return arithmetic_value(self).reshape(()).item()


@attach_method("tolist")
def tolist(self):
    """Nested lists of Python numbers; a number for a 0-d tensor."""
    return arithmetic_value(self).tolist()


@attach_method("__bool__")
def _truth(self) -> bool:
    count = numel(self._node.shape)
    if count != 1:
        problem = "no values" if count == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {problem} is ambiguous")
    return bool(item(self))


def _only_element(x: Tensor):
    """`item` under Python's conversions, which PyTorch refuses in other words."""
    if numel(x._node.shape) != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return item(x)


def _real_element(x: Tensor, kind: str):
    value = _only_element(x)
    if isinstance(value, complex):
        if value.imag != 0:
            raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
        return value.real
    return value


@attach_method("__float__")
def _as_float(self) -> float:
    return float(_real_element(self, "double"))


@attach_method("__int__")
def _as_int(self) -> int:
    return int(_real_element(self, "int64_t"))


@attach_method("__complex__")
def _as_complex(self) -> complex:
    return complex(_only_element(self))


@attach_method("__index__")
def _as_index(self) -> int:
    if numel(self._node.shape) != 1 or self._node.dtype.is_inexact:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


@attach_method("__len__")
def _length(self) -> int:
    if not self._node.shape:
        raise TypeError("len() of a 0-d tensor")
    return self._node.shape[0]


@attach_method("detach")
def detach(self) -> Tensor:
    """A tensor on the same memory that requires no gradient."""
    return alias_without_grad(self)


@attach_method("requires_grad_")
def requires_grad_(self, requires_grad: bool = True) -> Tensor:
    """Set `requires_grad` in place; returns the tensor."""
    if local.tape.transforms is not None:
        local.tape.transforms.refuse_requires_grad()
    autodiff.require_gradient(self, bool(requires_grad))
    return self


@attach_method("backward")
@hot
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
    """Accumulate the gradient of this tensor into the leaves.

    gradient: cotangent of this tensor's shape; needed unless it has one element.
    Raises: RuntimeError as PyTorch (no graph, graph released, not a scalar).
    """
    if isinstance(inputs, Tensor):
        inputs = [inputs]
    autodiff.backward(
        [self],
        [gradient],
        retain_graph=retain_graph,
        create_graph=create_graph,
        inputs=None if inputs is None else list(inputs),
    )


@attach_method("_is_view")
def _is_view(self) -> bool:
    """Whether autograd takes this for a view of another tensor."""
    if self._base is not None:
        return True
    edge = self._grad_fn
    if edge is None:
        return False
    node, index = target_of(edge)
    return index in getattr(node, "views", ())


@attach_method("retain_grad")
def retain_grad(self) -> None:
    """Keep `.grad` although this is not a leaf."""
    if current_edge(self) is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    autodiff.retain_gradient(self)


def _get_requires_grad(self) -> bool:
    return current_edge(self) is not None


def _set_requires_grad(self, value) -> None:
    autodiff.require_gradient(self, bool(value))


def _get_grad_fn(self):
    edge = current_edge(self)
    if type(edge) is AccumulateGrad:
        return None
    return shown(edge.node if type(edge) is OutputOf else edge)


def _get_is_leaf(self) -> bool:
    edge = current_edge(self)
    return edge is None or type(edge) is AccumulateGrad


def _get_retains_grad(self) -> bool:
    if _get_is_leaf(self):
        return False
    node, index = target_of(self._grad_fn)
    keeper = node.extra.retained.get(index) if node.extra is not None else None
    return keeper is not None and keeper() is self


@hot
def _get_grad(self):
    return self._grad


@hot
def _set_grad(self, value) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(value).__name__}"
            )
        if value._node.shape != self._node.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: {list(value._node.shape)} for a "
                f"tensor of {list(self._node.shape)}"
            )
        if value._node.dtype is not self._node.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: {value._node.dtype} for a tensor of "
                f"{self._node.dtype}"
            )
    self._grad = value


def _delete_grad(self) -> None:
    self._grad = None


def _get_data(self):
    return alias_without_grad(self)


def _set_data(self, value) -> None:
    replace_data(self, value)


Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad)
Tensor.grad_fn = property(_get_grad_fn)
Tensor.is_leaf = property(_get_is_leaf)
Tensor.retains_grad = property(_get_retains_grad)
Tensor.grad = property(_get_grad, _set_grad, _delete_grad)
Tensor.data = property(_get_data, _set_data)
