"""Tensors as memory: buffers, storages, and Python functions applied to elements.  Level 11."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.device import CPU, device
from rushlight.base.dtypes import DType, narrow, uint8, widen
from rushlight.base.shapes import broadcast_shapes
from rushlight.ops.spelling import PUBLIC, attach_method, spelled
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.interop import read_array, tensor_on_buffer
from rushlight.tensor.pickling import storage_array, tensor_on_storage
from rushlight.tensor.storage import (
    Storage,
    alias_without_grad,
    current_edge,
    storage_of,
    write,
)
from rushlight.tensor.tensor import Tensor, become, strides_of, tensor_from_numpy
from rushlight.tensor.torch_function import converted  # noqa: F401 - attaches Tensor's own rule


def frombuffer(
    buffer: Any,
    *,
    dtype: DType,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A 1-d tensor on the memory of an object with Python's buffer protocol.

    count: elements to take, -1 for all; offset: bytes to skip.
    Raises: ValueError for sizes that do not fit, with PyTorch's words.  Source: torch.frombuffer.
    """
    try:
        data = np.frombuffer(memoryview(buffer).cast("B"), np.uint8)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    except ValueError:  # NumPy refuses empty buffers
        data = np.empty(0, np.uint8)
    length, itemsize = data.size, dtype.itemsize
    if length == 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({length} bytes) minus 1"
        )
    if count < 0:
        if (length - offset) % itemsize:
            raise ValueError(
                f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a "
                f"multiple of element size ({itemsize})"
            )
        count = (length - offset) // itemsize
    if offset + count * itemsize > length:
        raise ValueError(
            f"requested buffer length ({count} * {itemsize} bytes) after offset ({offset} bytes) "
            f"must not be greater than actual buffer length ({length} bytes)"
        )
    flat = data[offset : offset + count * itemsize].view(dtype.numpy)
    made = tensor_on_buffer(flat, dtype, "buffer")
    if requires_grad:
        require_gradient(made, True)
    return made


PUBLIC["frombuffer"] = frombuffer


# ---- storages ------------------------------------------------------------------------------------


class UntypedStorage:
    """The memory behind tensors, in bytes; tensors that share memory have equal `data_ptr()`.

    Source: torch.UntypedStorage, as far as it is read from.
    """

    __slots__ = ("_storage",)

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def _bytes(self) -> np.ndarray:
        return storage_array(self._storage).view(np.uint8)

    @property
    def device(self) -> device:
        """Where the memory is."""
        return CPU

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._storage.size * self._storage.dtype.itemsize

    size = nbytes
    __len__ = nbytes

    def element_size(self) -> int:
        """1: elements are bytes."""
        return 1

    def data_ptr(self) -> int:
        """Address of the first byte; hands the memory out for good, as `Tensor.data_ptr` does."""
        return _whole(self._storage).data_ptr()

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return self._bytes().tolist()

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise RuntimeError(
                    f"UntypedStorage: a slice has step 1, not {index.step}; slice a tensor instead"
                )
            return _over(self._pinned_bytes()[index])
        return int(self._bytes()[index])

    def is_shared(self) -> bool:
        """Whether other processes can see the memory."""
        return _whole(self._storage).is_shared()

    @staticmethod
    def from_file(filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """A file's first bytes, mapped into memory; all of it for 0.

        shared: whether writes reach the file, which is made that long if it is shorter.
        Raises: RuntimeError if the file is shorter than `nbytes` and writes stay private.
        """
        path = os.fspath(filename)
        present = os.path.getsize(path) if os.path.exists(path) else 0
        if shared and present < nbytes:
            with open(path, "ab") as file:
                file.truncate(nbytes)
        elif present < nbytes:
            raise RuntimeError(
                f"UntypedStorage.from_file: {path!r} has {present} bytes, fewer than the {nbytes}"
                " asked for"
            )
        length = nbytes or present
        if not length:
            return _over(np.empty(0, np.uint8))
        mapped = np.memmap(path, np.uint8, "r+" if shared else "c", shape=(length,))
        return _over(np.asarray(mapped))

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def _pinned_bytes(self) -> np.ndarray:
        """The memory, handed out for good."""
        return _whole(self._storage).numpy().view(np.uint8)

    def __sizeof__(self) -> int:
        """The object's size with the memory's."""
        return object.__sizeof__(self) + self.nbytes()

    def __repr__(self) -> str:
        head = "".join(f" {value}\n" for value in self.tolist())
        return f"{head}[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"


def _over(memory: np.ndarray) -> UntypedStorage:
    """A storage on memory that others see, too."""
    return UntypedStorage(storage_of(tensor_on_buffer(memory, uint8, "storage")))


class TypedStorage(UntypedStorage):
    """The same in elements.  Source: torch.TypedStorage, as far as it is read from."""

    __slots__ = ()

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self._storage.dtype

    def _elements(self) -> np.ndarray:
        return widen(storage_array(self._storage), self._storage.dtype)

    def size(self) -> int:
        """Number of elements."""
        return self._storage.size

    __len__ = size

    def element_size(self) -> int:
        """Bytes in an element."""
        return self._storage.dtype.itemsize

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return self._elements().tolist()

    def __getitem__(self, index: Any) -> Any:
        return self._elements()[index].item()

    def untyped(self) -> UntypedStorage:
        """The same memory in bytes."""
        return UntypedStorage(self._storage)

    def __repr__(self) -> str:
        head = "".join(f" {value}\n" for value in self.tolist())
        return (
            f"{head}[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size "
            f"{self.size()}]"
        )


def _whole(storage: Storage) -> Tensor:
    """A tensor over all of a storage."""
    return tensor_on_storage(storage, 0, (storage.size,), (1,), False)


@attach_method("untyped_storage")
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory behind the tensor, which its views share."""
    return UntypedStorage(storage_of(self))


@attach_method("storage")
def typed_storage(self: Tensor) -> TypedStorage:
    """The memory behind the tensor in elements."""
    return TypedStorage(storage_of(self))


@attach_method("is_set_to")
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same window of the same memory."""
    return (
        storage_of(self) is storage_of(tensor)
        and self.shape == tensor.shape
        and strides_of(self) == strides_of(tensor)
        and self.storage_offset() == tensor.storage_offset()
    )


@spelled(method=True)
def is_inference(input: Tensor) -> bool:
    """Whether autograd refuses the tensor for good, as PyTorch does those of its inference mode.

    False: here a tensor made in inference mode is one like any other.
    """
    return False


@attach_method("as_subclass")
def as_subclass(self: Tensor, cls: type) -> Any:
    """The same tensor as an instance of a subclass of Tensor; gradients flow through."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise RuntimeError(f"cls must be a type that inherits from Tensor, got {cls!r}")
    source = self.view(self.shape)
    made = object.__new__(cls)
    become(made, source)
    made._base = source._base
    made._grad_fn = source._grad_fn
    return made


# ---- Python functions of elements ----------------------------------------------------------------


def _refuse_graph(name: str, *tensors: Tensor) -> None:
    if any(current_edge(tensor) is not None for tensor in tensors):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use "
            f"var.detach().{name}() instead."
        )


def _store(target: Tensor, values: list) -> Tensor:
    dtype = target._node.dtype
    array = np.array(values, dtype=dtype.compute).reshape(target._node.shape)
    return write(target, tensor_from_numpy(np.array(narrow(array, dtype)), dtype))


@attach_method("apply_")
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replace every element by what a Python function makes of it; slow, for CPU tensors."""
    _refuse_graph("apply_", self)
    array = widen(read_array(self), self._node.dtype)
    return _store(self, [callable(value) for value in array.reshape(-1).tolist()])


@attach_method("map_")
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replace every element by a Python function of it and of the other tensor's element."""
    _refuse_graph("map_", self, tensor)
    shape = self._node.shape
    if broadcast_shapes(shape, tuple(tensor.shape)) != shape:
        raise RuntimeError(
            f"map_: a tensor of size {list(tensor.shape)} does not expand to {list(shape)}"
        )
    mine = widen(read_array(self), self._node.dtype).reshape(-1).tolist()
    other = np.broadcast_to(widen(read_array(tensor), tensor._node.dtype), shape)
    return _store(self, [callable(x, y) for x, y in zip(mine, other.reshape(-1).tolist())])


@attach_method("sum_to_size")
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Sum over the axes along which a tensor of `size` would be expanded to this one's shape."""
    wanted = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not wanted:  # PyTorch sums then even where there is nothing to sum over
        return self.sum()
    given = tuple(self.shape)
    leading = len(given) - len(wanted)
    fits = leading >= 0 and all(w in (1, g) for w, g in zip(wanted, given[max(leading, 0) :]))
    if not fits:
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(given)}}}.")
    axes = [i for i, n in enumerate(given) if i < leading or wanted[i - leading] != n]
    return self.sum(axes, keepdim=True).reshape(wanted) if axes else self.view(self.shape)


# Loaded when memory is first shared: multiprocessing takes longer to import than all else here.
_SHARED_MEMORY = "rushlight.tensor.shared_memory"


@attach_method("share_memory_")
def share_memory_(self) -> Tensor:
    """Move the memory to where other processes can see it; returns the tensor.

    Source: torch.Tensor.share_memory_.
    """
    return importlib.import_module(_SHARED_MEMORY).share_memory_(self)


@attach_method("is_shared")
def is_shared(self) -> bool:
    """Whether other processes can see the memory.  Source: torch.Tensor.is_shared."""
    loaded = sys.modules.get(_SHARED_MEMORY)
    return loaded is not None and loaded.is_shared(self)


def _make_subclass(cls: type, data: Tensor, require_grad: bool = False, **ignored: Any) -> Any:
    """An instance of a subclass of Tensor on the memory of `data`, without its history."""
    made: Any = object.__new__(cls)
    become(made, alias_without_grad(data))
    require_gradient(made, require_grad)
    return made


Tensor._make_subclass = staticmethod(_make_subclass)  # type: ignore[attr-defined]
