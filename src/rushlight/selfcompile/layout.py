"""Where CPython keeps what machine code reads directly, found out by looking.

Nothing is assumed about a version: an object with known content is searched for it, and where the
content is not found the translation is not used at all.  Level 9.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import re
import sys
from collections.abc import Iterable
from typing import Any

from rushlight.base.errors import InternalError
from rushlight.base.hot import HOT_SUBCLASSES

_WORD = 8


class Unsupported(Exception):
    """This interpreter cannot be used this way; the message says why."""


def _check_kind() -> None:
    """Raises: Unsupported for other interpreters than 64-bit CPython with its global lock."""
    if platform.python_implementation() != "CPython":
        raise Unsupported(f"the interpreter is {platform.python_implementation()}, not CPython")
    if sys.maxsize < 1 << 32:
        raise Unsupported("the interpreter is not a 64-bit one")
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise Unsupported("the interpreter has no global lock")


def _words(obj: Any, count: int) -> list[int]:
    return list((ctypes.c_size_t * count).from_address(id(obj)))


def _only_index(words: list[int], wanted: int, what: str) -> int:
    found = [i for i, word in enumerate(words) if word == wanted]
    if len(found) != 1:
        raise Unsupported(f"cannot tell where an object keeps its {what}")
    return found[0] * _WORD


class _Probe:
    __slots__ = ("one",)


class ObjectLayout:
    """Byte offsets: of an object's reference count and type, of a tuple's first element, and of a
    list's pointer to its elements."""

    def __init__(self) -> None:
        _check_kind()
        probe = _Probe()
        size = object.__basicsize__ // _WORD
        self.type = _only_index(_words(probe, size), id(_Probe), "type")
        self.count = self._count_offset(size)
        pair = (object(), object())
        words = _words(pair, tuple.__basicsize__ // _WORD + 2)
        self.tuple_items = _only_index(words, id(pair[0]), "elements")
        if words[self.tuple_items // _WORD + 1] != id(pair[1]):
            raise Unsupported("a tuple's elements do not lie side by side")
        self.size = self._size_offset()
        self.list_items = self._list_offset()
        self.digits = self._digits_offset(self.size)

    @staticmethod
    def _count_offset(size: int) -> int:
        probe = object()
        before = _words(probe, size)
        more = [probe] * 1000
        after = _words(probe, size)
        changed = [i for i, (a, b) in enumerate(zip(before, after)) if a != b]
        if len(changed) != 1 or after[changed[0]] - before[changed[0]] != len(more):
            raise Unsupported("cannot tell where an object keeps its reference count")
        return changed[0] * _WORD

    @staticmethod
    def _size_offset() -> int:
        sizes = {}
        for length in (3, 5, 7):
            words = _words(tuple(object() for _ in range(length)), tuple.__basicsize__ // _WORD)
            sizes[length] = {i for i, word in enumerate(words) if word == length}
        common = set.intersection(*sizes.values())
        if len(common) != 1:
            raise Unsupported("cannot tell where a tuple keeps its length")
        return common.pop() * _WORD

    @staticmethod
    def _digits_offset(size: int) -> int | None:
        """Where an int's digits of 30 bits lie if the word before counts them, else None: the
        interpreter's function reads them then."""
        if sys.int_info.bits_per_digit != 30 or sys.int_info.sizeof_digit != 4:
            return None
        offset = size + _WORD
        for number in (0, 1, 77, (1 << 30) - 1, 1 << 30, (5 << 30) + 3, (1 << 60) - 1):
            digits = [(number >> shift) & ((1 << 30) - 1) for shift in (0, 30)]
            count = 0 if number == 0 else 1 if number < 1 << 30 else 2
            probe = int(str(number))
            if ctypes.c_int64.from_address(id(probe) + size).value != count:
                return None
            found = (ctypes.c_uint32 * 2).from_address(id(probe) + offset)
            if list(found)[:count] != digits[:count]:
                return None
        return offset

    @staticmethod
    def _list_offset() -> int:
        probe = [object(), object()]
        words = _words(probe, list.__basicsize__ // _WORD)
        # Only what looks like a pointer beyond the header may be followed.
        for index in range(object.__basicsize__ // _WORD, len(words)):
            if words[index] > 1 << 16:
                target = (ctypes.c_size_t * 2).from_address(words[index])
                if list(target) == [id(probe[0]), id(probe[1])]:
                    return index * _WORD
        raise Unsupported("cannot tell where a list keeps its elements")


class SlotTable:
    """Offsets of the slots of known classes that a module's source names.

    slots: attribute -> [(class, offset)].  An instance of another class is read the ordinary way.
    classes: those of them.  lists: those that are lists, measured and added to as lists are.
    with_subclass: those that have a subclass of the same layout, which may be imported later.
    """

    def __init__(self, classes: Iterable[type], source: str) -> None:
        named = set(re.findall(r"\.(\w+)", source))
        self.slots: dict[str, list[tuple[type, int]]] = {}
        found: dict[type, None] = {}
        for cls in classes:
            for name, offset in slots_of(cls).items():
                if name in named or f".{cls.__name__}" in source:
                    self.slots.setdefault(name, []).append((cls, offset))
                    found[cls] = None
        self.classes = tuple(found)
        self.lists = tuple(
            cls for cls in self.classes
            if issubclass(cls, list) and not {"append", "__len__"} & set(vars(cls))
        )  # fmt: skip
        bases = [base for base, _, _ in HOT_SUBCLASSES]
        self.with_subclass = tuple(cls for cls in self.classes if cls in bases)

    @staticmethod
    def has_layout_of(cls: Any, base: Any) -> bool:
        """Whether instances of both keep all slots of the second at the same places."""
        return issubclass(cls, base) and slots_of(cls) == slots_of(base)

    def description(self) -> str:
        """Everything that machine code takes from here, for the key of the cache."""
        parts = [
            f"{name}:{[(cls.__module__, cls.__qualname__, offset) for cls, offset in places]}"
            for name, places in sorted(self.slots.items())
        ]
        return ";".join([*parts, repr(self.classes), repr(self.lists), repr(self.with_subclass)])


@functools.cache
def slots_of(cls: Any) -> dict[str, int]:
    """Offset of each `__slots__` attribute that instances of exactly this class have."""
    found: dict[str, int] = {}
    names = [
        name
        for owner in cls.__mro__
        for name in owner.__dict__.get("__slots__", ())
        if name not in ("__dict__", "__weakref__")
    ]
    probe = list.__new__(cls) if issubclass(cls, list) else object.__new__(cls)
    for name in dict.fromkeys(names):
        descriptor = getattr(cls, name)
        if type(descriptor) is not type(_Probe.one):  # type: ignore[attr-defined]
            continue  # a subclass made something else of it
        mark = object()
        descriptor.__set__(probe, mark)
        words = _words(probe, cls.__basicsize__ // _WORD)
        found[name] = _only_index(words, id(mark), f"slot {name}")
        descriptor.__delete__(probe)
    return found


def c_function(name: str) -> int:
    """Address of a function of the interpreter.  Raises: Unsupported where it has none."""
    try:
        address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    except AttributeError:
        raise Unsupported(f"the interpreter does not export {name}") from None
    if address is None:
        raise InternalError(f"{name} has no address")
    return address
