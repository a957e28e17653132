"""The type of a function whose body is machine code.

It behaves as a Python function does: called directly through its vectorcall pointer, bound to an
object when it is found in the object's class, with a dictionary for its name, its documentation
and the Python form it was made from (`__wrapped__`, which gives `inspect` the signature).
Level 9.
"""

from __future__ import annotations

import ctypes
import functools
from types import FunctionType
from typing import Any

from rushlight.selfcompile.layout import c_function

# Numbers of slots and flags from the interpreter's stable interface.
_TP_CALL, _TP_DESCRIPTOR_GET, _TP_MEMBERS, TP_NEW = 50, 54, 72, 65
_READ_ONLY, _SIZE = 1, 19
_DEFAULT, _HAS_VECTORCALL, _IS_METHOD = 1 << 18, 1 << 11, 1 << 17
_WORD = 8


DESCRIBE = "describe"


class _Slot(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("pointer", ctypes.c_void_p)]


class _Specification(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    ]


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class FunctionLayout:
    """Byte offsets in such a function: of the code's address, its table, and its dictionary."""

    def __init__(self) -> None:
        self.code = object.__basicsize__
        self.table = self.code + _WORD
        self.dictionary = self.table + _WORD
        self.size = self.dictionary + _WORD


def descriptor_text() -> str:
    """The text of `describe`, which binds a function found in a class to an object."""
    return """
declare ptr @PyMethod_New(ptr, ptr)
declare void @Py_IncRef(ptr)
define ptr @describe(ptr %function, ptr %object, ptr %class) {
  %unbound = icmp eq ptr %object, null
  br i1 %unbound, label %itself, label %bind
itself:
  call void @Py_IncRef(ptr %function)
  ret ptr %function
bind:
  %method = call ptr @PyMethod_New(ptr %function, ptr %object)
  ret ptr %method
}
"""


def function_type(describe: int) -> type:
    """Make the type.  describe: address of the compiled `describe`."""
    places = FunctionLayout()
    members = (_Member * 3)(
        _Member(b"__vectorcalloffset__", _SIZE, places.code, _READ_ONLY, None),
        _Member(b"__dictoffset__", _SIZE, places.dictionary, _READ_ONLY, None),
        _Member(None, 0, 0, 0, None),
    )
    slots = (_Slot * 4)(
        _Slot(_TP_CALL, c_function("PyVectorcall_Call")),
        _Slot(_TP_DESCRIPTOR_GET, describe),
        _Slot(_TP_MEMBERS, ctypes.addressof(members)),
        _Slot(0, None),
    )
    specification = _Specification(
        b"rushlight.selfcompile.callable.compiled_function",
        places.size,
        0,
        _DEFAULT | _HAS_VECTORCALL | _IS_METHOD,
        ctypes.addressof(slots),
    )
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p]
    made = make(ctypes.addressof(specification))
    # The interpreter goes on reading the members where they are.
    keep_for_good(members, slots, specification)
    made.__reduce__ = _by_name
    made.__getattr__ = _of_python_form
    made.__repr__ = _described
    made.__doc__ = __doc__
    return made


def keep_for_good(*objects: Any) -> None:
    """Code, and what it reads: functions may be called until the process ends, by then in any
    order, so not even the interpreter's end may free them."""
    for kept in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _by_name(self) -> str:
    """Pickled as functions are: by the name under which the module has it."""
    return self.__qualname__


def _of_python_form(self, name: str) -> Any:
    """`__code__`, `__defaults__` and the rest of what functions have."""
    if name == "__wrapped__":
        raise AttributeError(name)
    return getattr(self.__wrapped__, name)


def _described(self) -> str:
    return f"<compiled function {self.__qualname__}>"


def new_function(kind: type, function: FunctionType, address: int, table: list) -> Any:
    """A function with the machine code at an address.

    function: its Python form; table: what the code reads, kept for good.
    """
    places = FunctionLayout()
    made: Any = object.__new__(kind)
    base = id(made)
    keep_for_good(made, table)
    ctypes.c_size_t.from_address(base + places.code).value = address
    ctypes.c_size_t.from_address(base + places.table).value = id(table)
    for name, value in vars(function).items():
        setattr(made, name, value)
    return functools.update_wrapper(made, function, updated=())


def type_slot(kind: type, number: int) -> int:
    """Address of a function of a type."""
    slot = ctypes.pythonapi.PyType_GetSlot
    slot.restype, slot.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_int]
    return slot(kind, number)
