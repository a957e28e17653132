"""class Tensor: a mutable handle to a node of the tape.

A tensor that nothing aliases is just its node.  Views and in-place writes give it a `Storage`
(`tensor/storage.py`): the node is then current only while `_seen` equals the storage's stamp.
Operators and methods are attached by `ops/`; autograd lives in `tensor/autodiff.py`.  Level 10.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.base.device import ANYWHERE, placing
from rushlight.base.dtypes import ALL_DTYPES, FLOAT8, DType, float32, float64, int64, narrow
from rushlight.base.hot import HOT_SUBCLASSES, hot
from rushlight.base.orders import strides_in
from rushlight.base.shapes import contiguous_strides
from rushlight.tape.memo import BUFFER, SCALAR, leaf_spec
from rushlight.tape.meta import meta_node
from rushlight.tape.node import NO_ADDRESS, Node
from rushlight.tape.tape import leaf_node
from rushlight.tensor.known_classes import FIRST_INSTANCE, KNOWN_CLASSES


class Size(tuple):
    """A tensor's shape: a tuple of ints that prints as PyTorch's `torch.Size`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def numel(self) -> int:
        """Product of the sizes."""
        count = 1
        for size in self:
            count *= size
        return count

    def __getitem__(self, index):
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(tuple(other), self))

    def __mul__(self, count):
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __reduce__(self):
        return (Size, (tuple(self),))


@hot
class Tensor:
    """A multi-dimensional array with autograd, as `torch.Tensor`.

    _node: the value; see the module docstring for when it is current.
    _storage: memory shared with other tensors, or None while nothing else can see it.
    _seen: stamp of the storage that `_node` shows.
    _layout: (strides, offset) in elements within the storage; None: all of it, row-major.  Without
        a storage the value's order says how the elements lie (`strides_of`).
    _base: the tensor this one is a differentiable view of, or None.
    _grad_fn: what backward continues with: a GradNode, an output of one, an AccumulateGrad for a
        leaf that requires gradients, or None.
    _grad: the accumulated gradient.
    """

    __slots__ = (
        "_node", "_storage", "_seen", "_layout", "_base", "_grad_fn", "_grad",
        "__dict__", "__weakref__",
    )  # fmt: skip

    # NumPy must leave binary operators with an array on the left to us.
    __array_priority__ = 1000

    # ---- facts -------------------------------------------------------------------------------

    @property
    @hot
    def shape(self) -> Size:
        """Sizes of the axes."""
        return Size(self._node.shape)

    @property
    @hot
    def dtype(self) -> DType:
        """Element type."""
        return self._node.dtype

    @property
    @hot
    def device(self):
        """Device that holds the data."""
        return self._node.step.device

    @property
    @hot
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._node.shape)

    @hot
    def dim(self) -> int:
        """Number of axes."""
        return len(self._node.shape)

    def stride(self, dim: int | None = None):
        """Strides in elements, or that of one axis."""
        strides = strides_of(self)
        return strides if dim is None else strides[dim]

    @hot
    def storage_offset(self) -> int:
        """Index, in elements, of the first element within the storage."""
        return 0 if self._layout is None else self._layout[1]

    @property
    def _version(self) -> int:
        """How often the storage was written in place."""
        return 0 if self._storage is None else self._storage.version

    @hot
    def __hash__(self) -> int:
        return id(self)

    # ---- the operand protocol of primitives ----------------------------------------------------

    @hot
    def _scalar(self, value, dtype: DType | None = None) -> Tensor:
        """A 0-d tensor of this dtype that enters the tape as a run-time scalar."""
        return scalar_tensor(value, self._node.dtype if dtype is None else dtype)


HOT_SUBCLASSES.append((Tensor, "rushlight.nn.parameter", "Parameter"))

# Not Tensor.__new__, which is the constructor users call.
_new = object.__new__
_new_node = Node.__new__
_LOWEST_SAFE, _HIGHEST_SAFE = -3e38, 3e38


class _ScalarSpecs(dict):
    """By dtype; of one that no tensor holds, the dtype's own error."""

    def __missing__(self, dtype: DType) -> Any:
        return dtype.numpy


_SCALAR_SPECS = _ScalarSpecs(
    {dtype: leaf_spec(SCALAR, (), dtype, ANYWHERE) for dtype in (*ALL_DTYPES, *FLOAT8)}
)


# The numbers of a program are few, and making one of NumPy's takes longer than all the rest.
_known_numbers: dict[DType, dict[Any, Any]] = {float32: {}, float64: {}, int64: {}}
_MOST_NUMBERS = 1024
_PLAIN_NUMBERS = (float, int)


def _new_number(value, dtype: DType):
    """A number in storage form, kept for the next time."""
    # NumPy's scalar types convert five times faster than arrays, but warn about overflow.
    if dtype is float32 and value > _LOWEST_SAFE and value < _HIGHEST_SAFE:
        made = np.float32(value)
    else:
        made = narrow(value, dtype)
    known = _known_numbers.get(dtype)
    # Of two equal keys, 0.0 and -0.0, or 1 and 1.0, the first one would serve for both: floats
    # know no integer type, and zeros know no float type.
    if known is not None and value.__class__ in _PLAIN_NUMBERS and len(known) < _MOST_NUMBERS:
        if value.__class__ is int if dtype is int64 else value != 0:
            known[value] = made[()]
    return made


@hot
def wrap(node: Node) -> Tensor:
    """A new tensor around a node, without history."""
    tensor = _new(Tensor)
    tensor._node = node
    tensor._storage = None
    tensor._seen = 0
    tensor._layout = None
    tensor._base = None
    tensor._grad_fn = None
    tensor._grad = None
    return tensor


KNOWN_CLASSES.add(Tensor)


def become(tensor: Tensor, source: Tensor) -> None:
    """Make `tensor` (made by __new__ of a subclass) another handle to `source`'s data."""
    if type(tensor) not in KNOWN_CLASSES:
        for told in FIRST_INSTANCE:
            told(type(tensor))
    tensor._node = source._node
    tensor._storage = source._storage
    # A recorded tensor has no stamp before it has a storage.
    tensor._seen = 0 if source._storage is None else source._seen
    tensor._layout = source._layout
    tensor._base = None
    tensor._grad_fn = None
    tensor._grad = None


def meta_tensor(shape: tuple[int, ...], dtype: DType) -> Tensor:
    """A tensor without data, on the meta device."""
    return wrap(meta_node(tuple(shape), dtype))


def scalar_spec(dtype: DType) -> Any:
    """How the leaves of Python numbers are specified."""
    return _SCALAR_SPECS[dtype]


@hot
def scalar_node(value, dtype: DType) -> Node:
    """The leaf of a Python number; its value is not part of any memo key."""
    node = _new_node(Node)
    node.step = _SCALAR_SPECS[dtype]
    node.inputs = ()
    node.address = NO_ADDRESS
    node.shape = ()
    node.dtype = dtype
    node.home = None
    known = _known_numbers.get(dtype)
    if known is not None and value.__class__ in _PLAIN_NUMBERS and value in known:
        node.value = known[value]
    else:
        node.value = _new_number(value, dtype)
    return node


@hot
def scalar_tensor(value, dtype: DType) -> Tensor:
    """A 0-d tensor holding a Python number; see `scalar_node`."""
    tensor = _new(Tensor)
    tensor._node = scalar_node(value, dtype)
    tensor._storage = None
    tensor._seen = 0
    tensor._layout = None
    tensor._base = None
    tensor._grad_fn = None
    tensor._grad = None
    return tensor


def tensor_from_numpy(array, dtype: DType) -> Tensor:
    """A tensor around a row-major array in storage form that nobody else writes to.

    It goes with operands of any device until a program is told where it lives (`placing.placed`).
    """
    node = leaf_node(array, dtype, BUFFER)
    if placing.begun:
        node.step = leaf_spec(BUFFER, array.shape, dtype, ANYWHERE)
    return wrap(node)


@hot
@hot
def strides_of(tensor: Tensor) -> tuple[int, ...]:
    """Strides in elements."""
    if tensor._layout is not None:
        return tensor._layout[0]
    node = tensor._node
    if tensor._storage is None and node.step.order is not None:
        return strides_in(node.shape, node.step.order)
    return contiguous_strides(node.shape)
