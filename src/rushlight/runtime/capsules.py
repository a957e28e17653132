"""DLPack's capsules, written and read by ctypes: memory of any device, and dtypes NumPy lacks.

In: where some memory is and what lies there.  Out: a capsule that keeps its owner alive until the
consumer lets go of it; or of somebody else's capsule, the same facts and an owner whose end calls
the exporter's deleter.  Both kinds of capsules are known: `dltensor`, and `dltensor_versioned`,
which says whether the memory may be written to.  Level 8.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

CPU, CUDA = 1, 2
# Codes of dtypes.
INT, UINT, FLOAT, BFLOAT, COMPLEX, BOOL = 0, 1, 2, 4, 5, 6
_READ_ONLY, _COPIED = 1, 2
_VERSION = (1, 0)
_PLAIN, _VERSIONED = b"dltensor", b"dltensor_versioned"
# A capsule says how many axes there are; more than these nobody has.
_MOST_AXES = 64


class _Device(ctypes.Structure):
    _fields_ = (("type", c_int32), ("index", c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", c_void_p), ("device", _Device), ("ndim", c_int32), ("dtype", _DataType),
        ("shape", ctypes.POINTER(c_int64)), ("strides", ctypes.POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )  # fmt: skip


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", c_void_p), ("deleter", c_void_p))


class _ManagedVersioned(ctypes.Structure):
    _fields_ = (
        ("major", c_uint32), ("minor", c_uint32), ("context", c_void_p), ("deleter", c_void_p),
        ("flags", c_uint64), ("tensor", _Tensor),
    )  # fmt: skip


@dataclass(frozen=True)
class Described:
    """Some memory.  strides: in elements; owner: what must live as long as it is used."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    code: int
    bits: int
    device: tuple[int, int]
    owner: Any
    read_only: bool = False


_api = ctypes.pythonapi
_new = _api.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (c_void_p, c_char_p, c_void_p)
_is_valid = _api.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, (c_void_p, c_char_p)
_pointer_of = _api.PyCapsule_GetPointer
_pointer_of.restype, _pointer_of.argtypes = c_void_p, (c_void_p, c_char_p)
_rename = _api.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, (c_void_p, c_char_p)
_Deleter = ctypes.CFUNCTYPE(None, c_void_p)

# Address of a handed out structure -> it, its arrays and its owner.
_exported: dict[int, tuple[Any, ...]] = {}


@_Deleter
def _release(pointer: int) -> None:
    """The consumer is done."""
    _exported.pop(pointer, None)


@_Deleter
def _destroyed(capsule: int) -> None:
    """A capsule ends; one that nobody consumed lets go of its memory."""
    for name in (_PLAIN, _VERSIONED):
        if _is_valid(capsule, name):
            _exported.pop(_pointer_of(capsule, name), None)


def write(memory: Described, versioned: bool, copied: bool = False) -> Any:
    """A capsule of some memory.  versioned: the newer kind; copied: nobody else has the memory."""
    rank = len(memory.shape)
    shape, strides = (c_int64 * rank)(*memory.shape), (c_int64 * rank)(*memory.strides)
    tensor = _Tensor(
        memory.address or None, _Device(*memory.device), rank,
        _DataType(memory.code, memory.bits, 1),
        ctypes.cast(shape, ctypes.POINTER(c_int64)), ctypes.cast(strides, ctypes.POINTER(c_int64)),
        0,
    )  # fmt: skip
    deleter = ctypes.cast(_release, c_void_p)
    made: Any
    if versioned:
        flags = _READ_ONLY * memory.read_only | _COPIED * copied
        made = _ManagedVersioned(*_VERSION, None, deleter, flags, tensor)
    else:
        made = _Managed(tensor, None, deleter)
    address = ctypes.addressof(made)
    _exported[address] = (made, shape, strides, memory.owner)
    name = _VERSIONED if versioned else _PLAIN
    return _new(address, name, ctypes.cast(_destroyed, c_void_p))


class _Foreign:
    """Memory of another library, whose deleter is called at the end."""

    def __init__(self, pointer: int, deleter: int | None) -> None:
        self.pointer = pointer
        self.deleter = deleter

    def __del__(self) -> None:
        if self.deleter:
            _Deleter(self.deleter)(self.pointer)


def _opened(capsule: Any) -> tuple[Any, int, bytes]:
    for name, kind in ((_VERSIONED, _ManagedVersioned), (_PLAIN, _Managed)):
        if _is_valid(id(capsule), name):
            pointer = _pointer_of(id(capsule), name)
            return kind.from_address(pointer), pointer, name
    raise RuntimeError(
        "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only "
        "once, so you might have already constructed a tensor from it once."
    )


def place_and_dtype(capsule: Any) -> tuple[int, int, int]:
    """(type of device, code and bits of the dtype), without consuming the capsule.

    Raises: RuntimeError for what is no capsule, or one that was consumed.
    """
    tensor = _opened(capsule)[0].tensor
    return tensor.device.type, tensor.dtype.code, tensor.dtype.bits


def read(capsule: Any) -> Described:
    """What a capsule holds; it is consumed.

    Raises: RuntimeError for one that was consumed, BufferError for vectors as elements and for
    versions and shapes that nobody could have meant.
    """
    managed, pointer, name = _opened(capsule)
    tensor = managed.tensor
    if name == _VERSIONED and managed.major != _VERSION[0]:
        raise BufferError(f"from_dlpack: version {managed.major}.{managed.minor} is not known")
    if tensor.dtype.lanes != 1:
        raise BufferError("from_dlpack: elements of several lanes are not supported")
    if not 0 <= tensor.ndim <= _MOST_AXES:
        raise BufferError(f"from_dlpack: a tensor of {tensor.ndim} axes")
    shape = tuple(tensor.shape[: tensor.ndim])
    if min(shape, default=0) < 0:
        raise BufferError(f"from_dlpack: negative sizes {list(shape)}")
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else _row_major(shape)
    _rename(id(capsule), b"used_" + name if name == _PLAIN else b"used_dltensor_versioned")
    owner = _Foreign(pointer, managed.deleter)
    read_only = bool(name == _VERSIONED and managed.flags & _READ_ONLY)
    return Described(
        (tensor.data or 0) + tensor.byte_offset, shape, strides, tensor.dtype.code,
        tensor.dtype.bits, (tensor.device.type, tensor.device.index), owner, read_only,
    )  # fmt: skip


def _row_major(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
