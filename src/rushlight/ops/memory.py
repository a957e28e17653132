"""Tensors as memory: buffers, storages, and Python functions applied to elements.  Level 11."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.device import CPU, device
from rushlight.base.dtypes import DType, get_default_dtype, narrow, uint8, widen
from rushlight.base.shapes import broadcast_shapes, contiguous_strides, numel, span
from rushlight.ops.spelling import PUBLIC, attach_method, spelled
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.interop import read_array, tensor_on_buffer
from rushlight.tensor.memory import Storage, storage_of
from rushlight.tensor.pickling import storage_array, tensor_on_storage
from rushlight.tensor.reinterpret import replace_data
from rushlight.tensor.storage import alias_without_grad, current_edge, write
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
        if isinstance(buffer, np.ndarray) and buffer.size and buffer.flags.c_contiguous:
            data = buffer.reshape(-1).view(np.uint8)  # an array whose owner is known
        else:
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


def _storage_of_arguments(name: str, arguments: tuple, dtype: DType) -> Storage:
    """Memory for what a constructor was given: a storage, a size, a sequence, or nothing."""
    given = arguments[0] if arguments else 0
    if len(arguments) > 1:
        raise TypeError(f"{name}: expected a size or a sequence, got {len(arguments)} arguments")
    if isinstance(given, Storage):
        return given
    if isinstance(given, UntypedStorage):
        return given._storage
    if isinstance(given, (int, np.integer)):
        if given < 0:
            raise RuntimeError(f"{name}: Trying to create a storage of {given} elements")
        memory = np.empty(int(given), dtype.numpy)
    else:
        memory = narrow(np.array(list(given), dtype.compute), dtype)
    return storage_of(tensor_on_buffer(memory, dtype, "storage"))


def _check_on_cpu(where: Any) -> None:
    if where is not None and device(where).type != "cpu":
        raise RuntimeError(
            f"a storage is made in the CPU's memory, not on {where}: make a tensor there, whose "
            "untyped_storage() it is"
        )


class UntypedStorage:
    """The memory behind tensors, in bytes; tensors that share memory have equal `data_ptr()`.

    Made of a number of bytes, whose values are not said, or of a sequence of them.
    Source: torch.UntypedStorage.
    """

    __slots__ = ("_storage",)

    def __init__(self, *arguments: Any, device: Any = None) -> None:
        self._storage = _storage_of_arguments(type(self).__name__, arguments, uint8)
        _check_on_cpu(device)

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

    def __setitem__(self, index: int | slice, value: Any) -> None:
        """Write bytes: numbers from 0 to 255, one of them for all or one for each."""
        self._pinned_bytes()[index] = value
        self._storage.touch()

    def fill_(self, value: int) -> UntypedStorage:
        """Write one byte everywhere; returns the storage."""
        self[:] = value
        return self

    def copy_(self, source: UntypedStorage, non_blocking: bool = False) -> UntypedStorage:
        """Overwrite with another storage's bytes, as many as there are here."""
        if source.nbytes() != self.nbytes():
            raise RuntimeError(
                f"UntypedStorage.copy_: {source.nbytes()} bytes do not fit {self.nbytes()}"
            )
        self._pinned_bytes()[:] = source._bytes()
        self._storage.touch()
        return self

    def clone(self) -> UntypedStorage:
        """A storage of its own with the same bytes."""
        return _over(np.array(self._bytes()))

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
                f"file <{path}> size <{present}> is smaller than the required mapping size"
                f" <{nbytes}>; ask for fewer elements"
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


@spelled()
def from_file(
    filename: Any,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A 1-d tensor of the first `size` elements of a file, mapped into memory.

    shared: whether writes reach the file, which is made that long if it is shorter.
    Raises: RuntimeError for a file that is not there or too short, where writes stay private.
    """
    dtype = get_default_dtype() if dtype is None else dtype
    path = os.fspath(filename)
    if not size:
        return tensor_from_numpy(np.empty(0, dtype.numpy), dtype)
    if not shared and not os.path.exists(path):
        raise RuntimeError(
            f"unable to open file <{path}> in read-only mode: No such file or directory (2)"
        )
    storage = UntypedStorage.from_file(path, bool(shared), size * dtype.itemsize)
    made = frombuffer(storage._pinned_bytes(), dtype=dtype, requires_grad=requires_grad)
    return made if device is None else made.to(device)  # type: ignore[attr-defined]


def _over(memory: np.ndarray) -> UntypedStorage:
    """A storage on memory that others see, too."""
    return UntypedStorage(storage_of(tensor_on_buffer(memory, uint8, "storage")))


class TypedStorage(UntypedStorage):
    """The same in elements of a dtype, the default one unless given.

    wrap_storage: bytes to be read as such elements; they stay shared.
    Raises: TypeError for `wrap_storage` with a size.  Source: torch.TypedStorage.
    """

    __slots__ = ()

    def __init__(
        self, *arguments: Any, wrap_storage: UntypedStorage | None = None,
        dtype: DType | None = None, device: Any = None, _internal: bool = False,
    ) -> None:  # fmt: skip
        chosen = get_default_dtype() if dtype is None else dtype
        if wrap_storage is not None:
            if arguments or dtype is None:
                raise TypeError(
                    "TypedStorage: wrap_storage= goes with dtype= alone: its bytes are what there "
                    "is to be read"
                )
            memory = wrap_storage._pinned_bytes().view(chosen.numpy)
            self._storage = storage_of(tensor_on_buffer(memory, chosen, "storage"))
            return
        self._storage = _storage_of_arguments(type(self).__name__, arguments, chosen)
        _check_on_cpu(device)

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

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write elements."""
        memory = self._pinned_bytes().view(self.dtype.numpy)
        memory[index] = narrow(np.asarray(value), self.dtype)
        self._storage.touch()

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


@attach_method("set_")
def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Show other memory from now on: a tensor's, a window of a storage, or none; returns itself.

    Raises: RuntimeError for another dtype, for a window that leaves the storage, and where
    autograd follows the tensor.  Source: torch.Tensor.set_.
    """
    if current_edge(self) is not None and is_grad_enabled():
        raise RuntimeError(
            "set_(): a tensor that requires grad cannot be given other memory; do it under "
            "torch.no_grad(), or set .data"
        )
    dtype = self._node.dtype
    if source is None:
        replace_data(self, tensor_from_numpy(np.empty(0, dtype.numpy), dtype))
        return self
    if isinstance(source, Tensor):
        if source._node.dtype is not dtype:
            raise RuntimeError(
                f"set_(): the source has dtype {source._node.dtype}, this tensor {dtype}"
            )
        storage = storage_of(source)
        if size is None:
            replace_data(self, alias_without_grad(source))
            return self
    else:
        storage = source._storage
        if storage.dtype is not dtype:
            raise RuntimeError(
                f"set_(): the storage holds {storage.dtype}, this tensor has dtype {dtype}; view "
                "the tensor behind the storage as that dtype first"
            )
    shape = (storage.size - storage_offset,) if size is None else tuple(size)
    strides = contiguous_strides(shape) if stride is None else tuple(stride)
    needed = storage_offset + span(shape, strides) if numel(shape) else 0
    if len(strides) != len(shape) or min((storage_offset, *shape, *strides)) < 0:
        raise RuntimeError(f"set_(): offset {storage_offset}, {list(shape)}, {list(strides)}")
    if needed > storage.size:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset "
            f"{storage_offset} need {needed} elements; the storage has {storage.size}"
        )
    replace_data(self, tensor_on_storage(storage, storage_offset, shape, strides, False))
    return self


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
