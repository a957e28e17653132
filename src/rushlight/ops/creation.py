"""Making tensors: from data, filled, and ranges.  Level 11."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from rushlight.base.device import ACCELERATORS, META, placing, resolve_device
from rushlight.base.dtypes import (
    DType,
    bool_,
    complex128,
    default_complex,
    dtype_argument,
    dtype_of_number,
    dtype_of_numpy,
    float64,
    get_default_dtype,
    narrow,
    promote_types,
    uint64,
    widen,
)
from rushlight.base.formats import SPARSE_LAYOUTS, check_layout
from rushlight.base.hot import hot
from rushlight.ops.formats import lying, order_of_data, order_of_format
from rushlight.ops.promotion import is_number, refuse_overflow, to_dtype
from rushlight.ops.spelling import PUBLIC, spelled, write_out
from rushlight.primitives.movement import expand
from rushlight.tape.tape import materialise
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.dlpack import from_cuda_array, shares_device_memory
from rushlight.tensor.interop import from_numpy
from rushlight.tensor.placing import empty_there, pinned, placed
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Tensor, meta_tensor, scalar_tensor, tensor_from_numpy


def shape_from(sizes) -> tuple[int, ...]:
    """A shape from `(2, 3)` or `((2, 3),)`.  Raises: TypeError, RuntimeError."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    shape = []
    for size in sizes:
        if isinstance(size, Tensor):
            size = size.item()
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise TypeError(f"size must be a tuple of ints, but found {type(size).__name__}")
        if size < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {size}")
        shape.append(int(size))
    return tuple(shape)


def finish(made: Tensor, requires_grad: bool) -> Tensor:
    """Set requires_grad on a new tensor."""
    if requires_grad:
        require_gradient(made, True)
    return made


@hot
def value_of(tensor: Tensor) -> np.ndarray:
    """The array (storage form, not to be written to) of a tensor; flushes where needed."""
    storage = tensor._storage
    if storage is not None and storage.stamp != tensor._seen:
        refresh(tensor)
    return materialise(tensor._node)


@hot
def arithmetic_value(tensor: Tensor) -> np.ndarray:
    """As `value_of`, with 16-bit floats widened to float32."""
    return widen(value_of(tensor), tensor._node.dtype)


@spelled()
def tensor(data, *, dtype=None, device=None, requires_grad: bool = False, pin_memory=False):
    """A new tensor that copies `data`: numbers, nested sequences, arrays or tensors.

    Dtypes: inferred as PyTorch does unless given.  Raises: ValueError for ragged sequences,
    TypeError for what cannot be an element.  Source: torch.tensor.
    """
    place = resolve_device(device)
    if device is None and isinstance(data, Tensor):
        place = data.device
    on_meta = place is META
    dtype = dtype_argument(dtype)
    if on_meta and isinstance(data, Tensor):
        return finish(meta_tensor(data._node.shape, dtype or data._node.dtype), requires_grad)
    if dtype is uint64 and not isinstance(data, (Tensor, np.ndarray, np.generic)):
        array, inferred = _unsigned_from(data)
    else:
        array, inferred = array_from(data, wide=dtype is not None)
    chosen = dtype or inferred
    if not (chosen is inferred or chosen.is_inexact or chosen is bool_ or inferred.is_complex):
        if array.size and not isinstance(data, (Tensor, np.ndarray, np.generic)):
            refuse_overflow(array.max().item(), chosen)
            refuse_overflow(array.min().item(), chosen)
    if on_meta:
        return finish(meta_tensor(array.shape, chosen), requires_grad)
    made = lying(tensor_from_numpy(converted(array, inferred, chosen), chosen), order_of_data(data))
    made = placed(made, place)
    return finish(pinned(made) if pin_memory else made, requires_grad)


def converted(array: np.ndarray, source: DType, target: DType) -> np.ndarray:
    """A fresh row-major array in `target`'s storage form."""
    if source is target:
        return np.array(array, dtype=target.numpy, order="C")
    wide = widen(array, source)
    if wide.dtype.kind == "c" and not target.is_complex:
        raise RuntimeError(f"value cannot be converted to type {target.name} without overflow")
    if target is bool_:
        return np.array(wide != 0, order="C")
    with np.errstate(all="ignore"):
        return np.array(narrow(wide, target), order="C")


def array_from(data, wide: bool = False) -> tuple[np.ndarray, DType]:
    """(array in storage form, dtype) of anything `tensor` accepts.

    wide: keep Python numbers in double precision, for a conversion to another dtype.
    """
    if isinstance(data, Tensor):
        return value_of(data), data._node.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        dtype = dtype_of_numpy(data.dtype)
        return np.asarray(data, dtype=dtype.numpy), dtype
    if is_number(data):
        dtype = _widest(dtype_of_number(data)) if wide else dtype_of_number(data)
        return np.asarray(data, dtype=dtype.numpy), dtype
    if hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        return array_from(np.asarray(data))
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not isinstance(data, (list, tuple, range)) and not hasattr(data, "__len__"):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    return _from_sequence(data, wide)


def _unsigned_from(data) -> tuple[np.ndarray, DType]:
    """As `array_from` for uint64: Python integers beyond int64, and negative ones, wrap around."""
    try:
        return array_from(data, wide=True)
    except (OverflowError, RuntimeError):
        array = np.array(data, dtype=object)
        return np.array(array % 2**64, dtype=np.uint64), uint64


def _widest(dtype: DType) -> DType:
    """The dtype of the same kind that holds a Python number exactly."""
    if dtype.is_complex:
        return complex128
    return float64 if dtype.is_floating_point else dtype


def _from_sequence(data, wide: bool) -> tuple[np.ndarray, DType]:
    shape = _shape_of_nested(data)
    elements: list = []
    _collect(data, shape, 0, elements)
    if not elements:
        return np.empty(shape, get_default_dtype().numpy), get_default_dtype()
    dtype: Any = None
    plain = []
    for kind in {type(e) for e in elements}:
        if not issubclass(kind, Tensor) and not issubclass(kind, np.generic):
            found = dtype_of_number(kind())
            dtype = found if dtype is None else promote_types(dtype, found)
    for element in elements:
        if isinstance(element, Tensor):
            found = element._node.dtype
            dtype = found if dtype is None else promote_types(dtype, found)
            element = arithmetic_value(element).item()
        elif isinstance(element, np.generic):
            found = dtype_of_numpy(element.dtype)
            dtype = found if dtype is None else promote_types(dtype, found)
        plain.append(element)
    if wide:
        dtype = _widest(dtype)
    if dtype.name == "int64":
        _refuse_overflow(plain)
    array = np.array(plain, dtype=dtype.compute).reshape(shape)
    return narrow(array, dtype), dtype


def _refuse_overflow(numbers) -> None:
    if max(numbers) > 2**63 - 1 or min(numbers) < -(2**63):
        raise RuntimeError("Overflow when unpacking long long")


def _shape_of_nested(data) -> tuple[int, ...]:
    shape: tuple[int, ...] = ()
    while not is_number(data) and hasattr(data, "__len__"):
        if isinstance(data, Tensor):
            return shape + tuple(data._node.shape)
        if isinstance(data, np.ndarray):
            return shape + data.shape
        shape += (len(data),)
        if len(data) == 0:
            break
        data = data[0]
    return shape


def _collect(data, shape, depth: int, elements: list) -> None:
    if isinstance(data, Tensor) and depth <= len(shape) and data._node.shape:
        data = arithmetic_value(data)
    if isinstance(data, np.ndarray):
        if data.shape != tuple(shape[depth:]):
            raise ValueError(
                f"expected sequence of shape {list(shape[depth:])} at dim {depth} (got "
                f"{list(data.shape)})"
            )
        elements.extend(data.reshape(-1))
        return
    if depth == len(shape):
        if isinstance(data, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        if not is_number(data) and not isinstance(data, Tensor):
            if hasattr(data, "__len__"):
                raise ValueError(f"too many dimensions '{type(data).__name__}'")
            raise TypeError(f"must be real number, not {type(data).__name__}")
        elements.append(data)
        return
    if is_number(data) or not hasattr(data, "__len__"):
        raise TypeError(f"expected a sequence at dim {depth}, got {type(data).__name__}")
    if len(data) != shape[depth]:
        raise ValueError(
            f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})"
        )
    for item in data:
        _collect(item, shape, depth + 1, elements)


def filled(shape: tuple[int, ...], value, dtype: DType) -> Tensor:
    """A tensor with one value everywhere, recorded as an expanded scalar."""
    scalar = scalar_tensor(value, dtype)
    return expand(scalar, shape) if shape else tensor_from_numpy(scalar._node.value, dtype)


def shape_of_argument(size) -> tuple[int, ...]:
    """A shape given as one argument: an int or a sequence of ints."""
    return shape_from((size,) if isinstance(size, (tuple, list)) else (tuple(size),))


def made(
    operation: str, array_or_tensor, dtype: DType, *, out=None, layout=None, device=None,
    requires_grad=False, pin_memory=False, names=None, order=None,
) -> Tensor:  # fmt: skip
    """Finish a new tensor under the keywords that all creating functions take.

    order: how its axes lie in memory (`base/orders.py`).
    Raises: NotImplementedError for layouts and names we lack, PyTorch's errors for devices.
    """
    place = resolve_device(device)
    on_meta = place is META
    check_layout(operation, layout)
    if names is not None:
        raise NotImplementedError(f"{operation}: named tensors are not supported; leave names out")
    result = array_or_tensor
    if on_meta and out is None:
        result = meta_tensor(result.shape, dtype)
    elif not isinstance(result, Tensor):
        result = tensor_from_numpy(result, dtype)
    if out is not None:
        return write_out(out, result)
    if order is not None:
        result = lying(result, order)
    if placing.begun and not on_meta:
        result = placed(result, place)
    return finish(pinned(result) if pin_memory else result, requires_grad)


@spelled()
def full(size, fill_value, *, out=None, dtype=None, **keywords) -> Tensor:
    """A tensor of shape `size` with one value.

    Keywords: layout, device, requires_grad, pin_memory, names.  Source: torch.full.
    """
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    dtype = dtype_argument(dtype)
    if dtype is None:
        dtype = dtype_of_number(fill_value) if out is None else out.dtype
    refuse_overflow(fill_value, dtype)
    value = filled(shape_of_argument(size), fill_value, dtype)
    return made("full", value, dtype, out=out, **keywords)


def _sparse(size, dtype: DType, layout, requires_grad: bool = False, **keywords) -> Tensor:
    """A sparse tensor without elements."""
    # Loaded where needed: few programs have sparse tensors.
    construction = importlib.import_module("rushlight.sparse.construction")
    return construction.without_elements(shape_from(size), dtype, layout, requires_grad)


def _fixed_value(name: str, value: int):
    def make(*size, out=None, dtype=None, **keywords):
        if "size" in keywords:
            size = (keywords.pop("size"),)
        dtype = dtype_argument(dtype)
        if dtype is None:
            dtype = get_default_dtype() if out is None else out.dtype
        if not value and keywords.get("layout") in SPARSE_LAYOUTS:
            return _sparse(size, dtype, **keywords)
        return made(name, filled(shape_from(size), value, dtype), dtype, out=out, **keywords)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = (
        f"A tensor of the given shape filled with {value}.  Keywords: size, layout, device, "
        f"requires_grad, pin_memory, names.  Source: torch.{name}."
    )
    return spelled()(make)


zeros = _fixed_value("zeros", 0)
ones = _fixed_value("ones", 1)


def empty_array(shape, dtype: DType) -> np.ndarray:
    """Zeroed memory: values of `empty` are unspecified, and zeros are reproducible."""
    return np.zeros(shape, dtype.numpy)


def empty_on(device, shape, dtype: DType):
    """The same, or on another device a tensor: on meta, shapes may be of any size."""
    place = resolve_device(device)
    if place is META:
        return meta_tensor(shape, dtype)
    if place.type in ACCELERATORS:
        return empty_there(place, shape, dtype)
    return empty_array(shape, dtype)


@spelled()
def empty(*size, out=None, dtype=None, memory_format=None, **keywords) -> Tensor:
    """A tensor with unspecified values.

    Keywords: size, layout, device, requires_grad, pin_memory, names.  Source: torch.empty.
    """
    if "size" in keywords:
        size = (keywords.pop("size"),)
    dtype = dtype_argument(dtype)
    if dtype is None:
        dtype = get_default_dtype() if out is None else out.dtype
    if keywords.get("layout") in SPARSE_LAYOUTS:
        return _sparse(size, dtype, **keywords)
    shape = shape_from(size)
    order = None if memory_format is None else order_of_format(memory_format, len(shape))
    values = empty_on(keywords.get("device"), shape, dtype)
    return made("empty", values, dtype, out=out, order=order, **keywords)


@spelled()
def scalar_tensor_(s, *, dtype=None, **keywords) -> Tensor:
    """A 0-d tensor of a number, floating unless told otherwise.  Source: torch.scalar_tensor."""
    dtype = dtype_argument(dtype) or (
        default_complex() if isinstance(s, complex) else get_default_dtype()
    )
    return made("scalar_tensor", filled((), s, dtype), dtype, **keywords)


PUBLIC["scalar_tensor"] = PUBLIC.pop("scalar_tensor_")


@spelled()
def as_tensor(data, dtype=None, device=None) -> Tensor:
    """`data` as a tensor, sharing its memory where dtype and kind allow.

    Source: torch.as_tensor.
    """
    dtype = dtype_argument(dtype)
    if resolve_device(device) is META and not (isinstance(data, Tensor) and device is None):
        return tensor(data, dtype=dtype, device=META)
    if isinstance(data, Tensor):
        if device is not None and placing.begun:
            data = placed(data, resolve_device(device))
        return to_dtype(data, dtype or data._node.dtype)
    if shares_device_memory(data):
        return as_tensor(from_cuda_array(data), dtype, device)
    if resolve_device(device).type in ACCELERATORS:
        return tensor(data, dtype=dtype, device=device)
    if isinstance(data, np.ndarray) and data.flags.writeable and data.dtype.isnative:
        shareable = all(step >= 0 and step % data.itemsize == 0 for step in data.strides)
        if shareable and dtype in (None, dtype_of_numpy(data.dtype)):
            return from_numpy(data)
    return tensor(data, dtype=dtype)


@spelled()
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False) -> Tensor:
    """`obj` as a tensor; copy=True always copies, copy=False raises where a copy is needed.

    Raises: ValueError if copy=False cannot be granted.  Source: torch.asarray.
    """
    of_storage = getattr(obj, "_pinned_bytes", None)
    if of_storage is not None:
        obj = of_storage()
    if copy:
        made_tensor = tensor(obj, dtype=dtype, device=device)
    else:
        made_tensor = as_tensor(obj, dtype, device)
        shared = made_tensor is obj or isinstance(obj, np.ndarray)
        if copy is False and not shared:
            raise ValueError("can't alias arbitrary sequence into a tensor; leave copy out")
    if requires_grad and made_tensor is obj:
        made_tensor = made_tensor.detach()
    return finish(made_tensor, requires_grad)
