"""What machine code calls of the interpreter, and the table that the functions of a module share.

Level 9.
"""

from __future__ import annotations

import sys

from rushlight.selfcompile.layout import SlotTable

# What the text calls of the interpreter, and the LLVM types.
C_INTERFACE = {
    "PyObject_GetAttr": "ptr (ptr, ptr)",
    "PyObject_SetAttr": "i32 (ptr, ptr, ptr)",
    "PyObject_GetItem": "ptr (ptr, ptr)",
    "PyObject_DelItem": "i32 (ptr, ptr)",
    "PyObject_SetItem": "i32 (ptr, ptr, ptr)",
    "PyObject_Vectorcall": "ptr (ptr, ptr, i64, ptr)",
    "PyObject_VectorcallMethod": "ptr (ptr, ptr, i64, ptr)",
    "PyObject_Call": "ptr (ptr, ptr, ptr)",
    "PyObject_RichCompare": "ptr (ptr, ptr, i32)",
    "PyObject_IsTrue": "i32 (ptr)",
    "PyObject_IsInstance": "i32 (ptr, ptr)",
    "PyObject_Size": "i64 (ptr)",
    "PyObject_GetIter": "ptr (ptr)",
    "PyObject_Format": "ptr (ptr, ptr)",
    "PyObject_Repr": "ptr (ptr)",
    "PyIter_Next": "ptr (ptr)",
    "PySequence_Contains": "i32 (ptr, ptr)",
    "PySequence_Tuple": "ptr (ptr)",
    "PySequence_List": "ptr (ptr)",
    "PySequence_Concat": "ptr (ptr, ptr)",
    "PyTuple_New": "ptr (i64)",
    "PyBytes_FromStringAndSize": "ptr (ptr, i64)",
    "PyBytes_AsString": "ptr (ptr)",
    "PyList_New": "ptr (i64)",
    "PyList_Append": "i32 (ptr, ptr)",
    "PyList_AsTuple": "ptr (ptr)",
    "PyDict_New": "ptr ()",
    "PyUnicode_Concat": "ptr (ptr, ptr)",
    "PySlice_New": "ptr (ptr, ptr, ptr)",
    "PyNumber_Add": "ptr (ptr, ptr)",
    "PyNumber_Subtract": "ptr (ptr, ptr)",
    "PyNumber_Multiply": "ptr (ptr, ptr)",
    "PyNumber_TrueDivide": "ptr (ptr, ptr)",
    "PyNumber_FloorDivide": "ptr (ptr, ptr)",
    "PyNumber_Remainder": "ptr (ptr, ptr)",
    "PyNumber_Power": "ptr (ptr, ptr, ptr)",
    "PyNumber_Lshift": "ptr (ptr, ptr)",
    "PyNumber_Rshift": "ptr (ptr, ptr)",
    "PyNumber_And": "ptr (ptr, ptr)",
    "PyNumber_Or": "ptr (ptr, ptr)",
    "PyNumber_Negative": "ptr (ptr)",
    "PyNumber_Invert": "ptr (ptr)",
    "PyNumber_InPlaceAdd": "ptr (ptr, ptr)",
    "PyNumber_InPlaceSubtract": "ptr (ptr, ptr)",
    "PyNumber_InPlaceMultiply": "ptr (ptr, ptr)",
    "PyNumber_InPlaceOr": "ptr (ptr, ptr)",
    "PyLong_AsLongLong": "i64 (ptr)",
    "PyLong_AsLongLongAndOverflow": "i64 (ptr, ptr)",
    "PyLong_FromLongLong": "ptr (i64)",
    "PyThreadState_Get": "ptr ()",
    "PyThreadState_GetID": "i64 (ptr)",
    "Py_EnterRecursiveCall": "i32 (ptr)",
    "Py_LeaveRecursiveCall": "void ()",
    "PyEval_GetGlobals": "ptr ()",
    "PyEval_SaveThread": "ptr ()",
    "PyEval_RestoreThread": "void (ptr)",
    "PyFloat_AsDouble": "double (ptr)",
    "PyErr_Occurred": "ptr ()",
    "PyErr_SetNone": "void (ptr)",
    "PyErr_SetObject": "void (ptr, ptr)",
    "PyErr_ExceptionMatches": "i32 (ptr)",
    "PyErr_Clear": "void ()",
    "PyErr_Fetch": "void (ptr, ptr, ptr)",
    "PyErr_Restore": "void (ptr, ptr, ptr)",
    "Py_IncRef": "void (ptr)",
    "Py_DecRef": "void (ptr)",
    "_Py_Dealloc": "void (ptr)",
}
# `object.__new__` in C: (class, arguments, keywords).
OBJECT_NEW = "rushlight_object_new"
# `base.hot.RUNNING`.
RUNNING_SYMBOL = "rushlight_running"
# The module's own table of objects that its functions share, filled when it is loaded.
SHARED = "shared"
# Places in that table before those of the known classes.
TRUE, FALSE, TUPLE, LIST, INT, STR, NONE = range(7)
BUILTINS = 7
# Versions whose objects are counted by adding and subtracting 1, always.
PLAIN_COUNTS = sys.version_info < (3, 12)
_NOT_YET = object()  # in place of a subclass that was not imported: no object's class


def shared_objects(slots: SlotTable) -> list[object]:
    """What belongs into the table of a module, apart from names of attributes: for each known class
    with a subclass of the same layout, that subclass follows them all."""
    later = [_NOT_YET for _ in slots.with_subclass]
    return [True, False, tuple, list, int, str, None, *slots.classes, *later]


def place_of_subclass(slots: SlotTable, base: type) -> int | None:
    """Where that subclass belongs; None if the module does not know the class."""
    if base not in slots.with_subclass:
        return None
    return BUILTINS + len(slots.classes) + slots.with_subclass.index(base)
