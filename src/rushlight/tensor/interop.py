"""Memory shared with NumPy, and how a tensor is printed.

Handing memory out pins the storage (`storage.pin`): what is pending is computed first, and from
then on writes on either side are seen by the other.  Importing this module attaches the methods to
`Tensor`.  Level 10.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rushlight.base.device import ACCELERATORS, CPU, META
from rushlight.base.dtypes import BITS, DType, dtype_of_numpy, get_default_dtype, widen
from rushlight.tape.tape import current_tape, leaf_node, materialise
from rushlight.tensor.autodiff import type_name
from rushlight.tensor.graph import AccumulateGrad, GraphNode, OutputOf
from rushlight.tensor.memory import Storage
from rushlight.tensor.pickling import tensor_on_storage
from rushlight.tensor.placing import placed
from rushlight.tensor.printing import format_tensor
from rushlight.tensor.storage import alias_without_grad, current_edge, pin, pinned_window, refresh
from rushlight.tensor.tensor import Tensor


def read_array(tensor: Tensor) -> np.ndarray:
    """The tensor's elements in storage form, computed now; not to be written to or kept."""
    storage = tensor._storage
    if storage is not None and storage.pinned is not None:
        followed = current_edge(tensor) is not None and type(tensor._grad_fn) is not AccumulateGrad
        # To know the history the memory may have been looked at, and made the storage's own.
        if not followed and storage.pinned is not None:
            return pinned_window(tensor)
    if storage is not None and storage.stamp != tensor._seen:
        refresh(tensor)
    return materialise(tensor._node)


# ---- NumPy -------------------------------------------------------------------------------------


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """The tensor as a NumPy array that shares its memory.

    With `force`, and under `no_grad`, a tensor that requires gradients is detached first.
    Raises: RuntimeError if it requires gradients otherwise, TypeError for bfloat16 and complex32,
    which NumPy lacks.
    """
    # Under `no_grad` nobody expects what is done with the array to be followed.
    if current_edge(self) is not None and not force and current_tape().grad_enabled:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    if self.device is META:
        raise TypeError(
            "can't convert meta device type tensor to numpy: it has no data; give it memory with "
            "torch.empty_like(tensor, device='cpu') and fill that"
        )
    if self.device.type in ACCELERATORS:
        if not force:
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to "
                "copy the tensor to host memory first."
            )
        return placed(alias_without_grad(self), CPU).numpy()
    if self._node.dtype in BITS:
        kind = type_name(self._node.dtype).removeprefix("torch.").removesuffix("Tensor")
        raise TypeError(f"Got unsupported ScalarType {kind}")
    return pin(self)


def array_protocol(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """What `numpy.asarray(tensor)` calls; shares memory where neither dtype nor copy forbids it."""
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError(
                f"numpy: a tensor of {self._node.dtype} cannot become {np.dtype(dtype)} "
                "without a copy"
            )
        return array.astype(dtype)
    return array.copy() if copy else array


def array_wrap(
    self: Tensor, array: np.ndarray, context: Any = None, return_scalar: bool = False
) -> Tensor:
    """What a NumPy function called on tensors returns: a tensor; truth values as uint8."""
    array = np.asarray(array)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    return from_numpy(array)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of a NumPy array.

    Raises: TypeError for other objects and for element types without counterpart; ValueError for
    negative or fractional strides and foreign byte order.  Source: torch.from_numpy.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {_type_name(array)})")
    dtype = dtype_of_numpy(array.dtype)
    _check_layout(array)
    _warn_if_read_only(array, "NumPy array")
    strides = tuple(step // array.itemsize for step in array.strides)
    flat = _covering_buffer(array, strides)
    return tensor_on_storage(_shared(flat, dtype), 0, array.shape, strides, False)


def tensor_on_buffer(flat: np.ndarray, dtype: DType, origin: str) -> Tensor:
    """A 1-d tensor on memory from outside; `origin` names it in the warning if it is read-only."""
    _warn_if_read_only(flat, origin)
    return tensor_on_storage(_shared(flat, dtype), 0, flat.shape, (1,), False)


def _shared(flat: np.ndarray, dtype: DType) -> Storage:
    storage = Storage(leaf_node(flat, dtype), dtype, flat.size, pinned=flat)
    storage.lent = True
    return storage


def _warn_if_read_only(array: np.ndarray, origin: str) -> None:
    if not array.flags.writeable:
        warnings.warn(
            f"The given {origin} is not writable: writing to the tensor will raise an error. Copy "
            f"the {origin} to protect its data or make it writable before converting it.",
            UserWarning,
            stacklevel=3,
        )


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _check_layout(array: np.ndarray) -> None:
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            "between byte orders is currently not supported."
        )
    if any(step < 0 for step in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if any(step % array.itemsize for step in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy "
            "array to reallocate the memory."
        )


def _covering_buffer(array: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """A flat array over all memory between the first and the last element."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    span = 1 + sum((size - 1) * step for size, step in zip(array.shape, strides))
    return np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,))


# ---- text --------------------------------------------------------------------------------------


def grad_fn_name(tensor: Tensor) -> str | None:
    """The name of the operation that made the tensor, as printed; None for leaves."""
    edge = current_edge(tensor)
    node: GraphNode | None = edge.node if type(edge) is OutputOf else edge
    if node is None or type(node) is AccumulateGrad:
        return None
    return node.name().rpartition("::")[2]


def tensor_repr(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """The text PyTorch prints for the tensor; reads its values."""
    kind = type(self)
    on_meta = self.device is META
    prefix = "tensor(" if "_prints_as_tensor" in vars(kind) else f"{kind.__name__}("
    return format_tensor(
        None if on_meta else read_array(self),
        self._node.dtype,
        shape=self._node.shape,
        device=None if self.device.type == "cpu" else str(self.device),
        prefix=prefix,
        default_dtype=get_default_dtype(),
        requires_grad=current_edge(self) is not None,
        grad_fn=grad_fn_name(self),
    )


def tensor_format(self: Tensor, format_spec: str) -> str:
    """A 0-d tensor formats as its number; others accept no format."""
    if type(self) is Tensor and not self._node.shape:
        return format(tensor_item(self), format_spec)
    return object.__format__(self, format_spec)


def tensor_item(tensor: Tensor) -> bool | int | float | complex:
    """The only element as a Python number.  Raises: RuntimeError if there is not exactly one."""
    if tensor.device is META:
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    array = read_array(tensor)
    if array.size != 1:
        raise RuntimeError(f"a Tensor with {array.size} elements cannot be converted to Scalar")
    return widen(array, tensor._node.dtype).item()


Tensor.numpy = numpy
Tensor.__array__ = array_protocol
Tensor.__array_wrap__ = array_wrap
Tensor.__repr__ = tensor_repr
Tensor.__format__ = tensor_format
# A class that has this attribute of its own prints like a plain tensor (Parameter does).
Tensor._prints_as_tensor = True
