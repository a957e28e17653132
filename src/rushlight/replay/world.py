"""Everything that a call's Python can look at: found, noted, and compared.

In: the roots of a call (the function and the arguments that are no tensors), and the code that was
seen to run.  Out: a `World`: the containers reached, each with what it holds, and the tensors, each
under a path for messages.  What is reached under a name that no code says is held by identity only;
what can be reached and not understood is the world's `problem`, and then the Python must run.
Level: replay.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from enum import Enum
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.nn.modules.module import Module
from rushlight.ops.generator import Generator
from rushlight.optim.flat_step import FlatOptimizer
from rushlight.optim.optimizer import Optimizer
from rushlight.replay.code import names_of, nested
from rushlight.tensor.tensor import Size, Tensor

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
STANDARD = os.path.realpath(sysconfig.get_paths()["stdlib"]) + os.sep
# More containers than this are too many to look through at each call.
MOST_CONTAINERS = 20_000

_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented),
    DType, device, range, slice, Enum, CodeType, np.generic, types.MethodDescriptorType,
    types.WrapperDescriptorType, types.ClassMethodDescriptorType, types.GetSetDescriptorType,
    types.MemberDescriptorType,
)  # fmt: skip
_CONTAINERS = (
    dict, list, tuple, set, frozenset, deque, OrderedDict, defaultdict, Counter, Size,
)  # fmt: skip
MISSING = type("Missing", (), {"__repr__": lambda self: "nothing"})()
# What the library notes about itself: no program's state.
_OWN_NOTES = {"_divisions", "_opt_called", "_compiled_call_impl"}


def is_package_file(name: str) -> bool:
    """Whether code of this file is the library's."""
    return name.startswith(PACKAGE)


def is_standard_file(name: str) -> bool:
    """Whether code of this file is Python's own library."""
    if name.startswith("<frozen"):
        return True
    return os.path.realpath(name).startswith(STANDARD) and "-packages" not in name


@functools.lru_cache(maxsize=4096)
def _file_is_library(name: str) -> bool:
    if is_package_file(name) or is_standard_file(name):
        return True
    return name.startswith(os.path.dirname(np.__file__) + os.sep)


def module_is_library(name: str) -> bool:
    """Whether a module is this library's, Python's own, or NumPy's: by its file, as a program may
    have modules of any name."""
    if name in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return isinstance(file, str) and _file_is_library(file)


# Modules written in C whose classes do nothing but hold values.
_HARMLESS_C = frozenset(
    {
        "builtins", "collections", "_collections", "itertools", "functools", "_functools", "types",
        "operator", "_operator", "typing", "_typing", "math", "datetime", "_datetime", "decimal",
        "enum", "abc", "_abc", "weakref", "_weakref",
    }
)  # fmt: skip


def _is_harmless(kind: type) -> bool:
    """Whether making an instance does nothing else, or is seen: a class of Python's is."""
    if "__init__" in vars(kind) or "__new__" in vars(kind):
        made = vars(kind).get("__init__", vars(kind).get("__new__"))
        if isinstance(made, (FunctionType, staticmethod)):
            return True
    module = kind.__module__
    if module in _HARMLESS_C or module.partition(".")[0] in ("rushlight", "numpy"):
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and file.endswith(".py")


class Container:
    """Something that holds values: how, where it was found, and what it holds.

    kind: "dict", "list", "set", "cell", "names" (of a dictionary), "class" or "slots".
    keys: of a dictionary, or the names looked at.
    free: whether numbers in it may change, since whoever replays asks for them.
    size: of a dictionary or a class only some names of which are looked at: how many there are, as
        a new one may hide what was found elsewhere; -1 where that does not matter.
    """

    __slots__ = ("kind", "object", "path", "keys", "values", "free", "size")

    def __init__(
        self, kind: str, held: Any, path: str, keys: tuple, free: bool = False, sized: bool = False
    ) -> None:
        self.kind = kind
        self.object = held
        self.path = path
        self.keys = keys
        self.free = free
        self.size = -1
        if sized:
            self.size = len(vars(held) if kind == "class" else held)
        self.values = self.now()

    def now(self) -> tuple:
        """What it holds at present, in the order of the keys."""
        kind, held = self.kind, self.object
        if kind == "dict":
            return tuple(dict.values(held))
        if kind in ("list", "set"):
            return tuple(held)
        if kind == "cell":
            return (_cell_contents(held),)
        if kind in ("names", "class"):
            names = vars(held) if kind == "class" else held
            return tuple([names.get(name, MISSING) for name in self.keys])
        return tuple([getattr(held, name, MISSING) for name in self.keys])

    def name(self, place: int) -> str:
        """What one of its values is called."""
        if self.kind == "dict":
            key = self.keys[place]
            if self.path.endswith(".__dict__"):
                return f"{self.path.removesuffix('.__dict__')}.{key}"
            return f"{self.path}[{key!r}]" if isinstance(key, (str, int)) else f"{self.path}[...]"
        if self.kind == "list":
            return f"{self.path}[{place}]"
        if self.kind in ("names", "slots", "class"):
            return f"{self.path}.{self.keys[place]}" if self.path else str(self.keys[place])
        return self.path


def _cell_contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def same_plain(x: Any, y: Any) -> bool:
    """Whether two values are the same plain value, bit for bit."""
    if x is y:
        return True
    kind = type(x)
    if kind is not type(y):
        return False
    if kind is float:
        return x.hex() == y.hex()
    if kind is complex:
        return x.real.hex() == y.real.hex() and x.imag.hex() == y.imag.hex()
    if kind is tuple:
        return len(x) == len(y) and all(map(same_plain, x, y))
    return kind in (bool, int, str, bytes) and bool(x == y)


class World:
    """What a call can reach.

    executed: code of functions that ran: what they look up is followed, other functions are not.
    containers, tensors: in the order found; paths: of the tensors.
    bound: parameters of a bound function.  problem: what cannot be understood, or "".
    """

    def __init__(self, roots: Iterable[tuple[str, Any]], executed: set[CodeType]) -> None:
        self.executed = executed
        self.containers: list[Container] = []
        self.tensors: list[Tensor] = []
        self.paths: list[str] = []
        self.places: dict[int, int] = {}
        self.generators: list[Generator] = []
        self.functions: set[CodeType] = set()
        self.pinned: dict[int, Any] = {}
        self.problem = ""
        self._attributes: set[str] = set()
        self._dynamic = False
        self._keys: set[str] = set()
        self._lr_is_read = False
        for code in executed:
            names = names_of(code)
            self._attributes |= names.attributes
            self._dynamic = self._dynamic or names.dynamic
            self._keys |= names.keys
        self._lr_is_read = self._dynamic or "param_groups" in self._attributes
        self._waiting: deque[tuple[str, Any, bool]] = deque((p, v, True) for p, v in roots)
        self._look()

    # ---- the walk --------------------------------------------------------------------------

    def _look(self) -> None:
        seen = self.pinned
        while self._waiting and not self.problem:
            path, value, is_read = self._waiting.popleft()
            if isinstance(value, _PLAIN):
                continue
            if id(value) in seen:
                continue
            if not self._visit(path, value):
                if is_read:
                    self.problem = f"{path or 'a value'} is a {type(value).__name__}"
                continue  # held by whatever holds it, and looked at by nobody
            seen[id(value)] = value
            if len(self.containers) > MOST_CONTAINERS:
                self.problem = f"more than {MOST_CONTAINERS} containers can be reached"

    def _visit(self, path: str, value: Any) -> bool:
        """Note a value and what it holds; False if it is of no known kind."""
        for kinds, visit in _VISITS:
            if isinstance(value, kinds):
                return visit(self, path, value)
        return self._instance(path, value)

    def _add(
        self,
        kind: str,
        value: Any,
        path: str,
        keys: tuple = (),
        free: bool = False,
        sized: bool = False,
    ) -> None:
        container = Container(kind, value, path, keys, free, sized)
        self.containers.append(container)
        for place, held in enumerate(container.values):
            self._waiting.append((container.name(place), held, True))

    def _is_read(self, name: Any) -> bool:
        return self._dynamic or name in self._attributes

    # ---- kinds -----------------------------------------------------------------------------

    def _tensor(self, path: str, value: Tensor) -> bool:
        self.places[id(value)] = len(self.tensors)
        self.tensors.append(value)
        self.paths.append(path)
        self._add("dict", value.__dict__, f"{path}.__dict__", tuple(value.__dict__))
        return True

    def _generator(self, path: str, value: Generator) -> bool:
        self.generators.append(value)
        return True

    def _dictionary(self, path: str, value: dict) -> bool:
        self._add("dict", value, path, tuple(value))
        for key in value:
            self._waiting.append((f"a key of {path}", key, True))
        return self._with_attributes(path, value)

    def _sequence(self, path: str, value: Any) -> bool:
        if isinstance(value, (list, deque)):
            self._add("list", value, path)
        else:
            for place, held in enumerate(value):
                self._waiting.append((f"{path}[{place}]", held, True))
        return self._with_attributes(path, value)

    def _set(self, path: str, value: Any) -> bool:
        self._add("set", value, path)
        return self._with_attributes(path, value)

    def _with_attributes(self, path: str, value: Any) -> bool:
        """What an instance of a class derived from a container has besides."""
        if type(value) not in _CONTAINERS:
            self._instance(path, value)
        return True

    def _cell(self, path: str, value: Any) -> bool:
        self._add("cell", value, path)
        return True

    def _function(self, path: str, value: FunctionType) -> bool:
        code = value.__code__
        if is_package_file(code.co_filename):
            for cell in value.__closure__ or ():  # a decorator's: what it calls is the program's
                held = _cell_contents(cell)
                if isinstance(held, (FunctionType, types.MethodType)):
                    self._waiting.append((path, held, True))
            return True
        if value.__dict__:
            self._add("dict", value.__dict__, f"{path}.__dict__", tuple(value.__dict__))
        self.functions.update(nested(code))
        keys = ("__code__", "__defaults__", "__kwdefaults__", "__closure__")
        self._add("slots", value, path, keys)
        if code not in self.executed:
            return True
        if value.__closure__:
            for name, cell in zip(code.co_freevars, value.__closure__):
                self._waiting.append((name, cell, True))
        looked_up = tuple(sorted(names_of(code).globals))
        self._add("names", value.__globals__, "", looked_up)
        return True

    def _method(self, path: str, value: Any) -> bool:
        self._waiting.append((path, value.__func__, True))
        self._waiting.append((f"{path}.__self__", value.__self__, True))
        return True

    def _bound_builtin(self, path: str, value: Any) -> bool:
        if value.__self__ is not None and not isinstance(value.__self__, (ModuleType, type)):
            self._waiting.append((f"{path}.__self__", value.__self__, True))
        return True

    def _partial(self, path: str, value: functools.partial) -> bool:
        parts = (value.func, value.args, value.keywords)
        self._waiting.extend((path, part, True) for part in parts)
        return True

    def _wrapping(self, path: str, value: Any) -> bool:
        self._waiting.append((path, value.__func__, True))
        return True

    def _property(self, path: str, value: property) -> bool:
        self._waiting.extend((path, f, True) for f in (value.fget, value.fset, value.fdel))
        return True

    def _reference(self, path: str, value: weakref.ref) -> bool:
        self._waiting.append((path, value(), True))
        return True

    def _module(self, path: str, value: ModuleType) -> bool:
        if module_is_library(value.__name__):
            return True
        names = vars(value)
        keys = names if self._dynamic else self._attributes & names.keys()
        self._add("names", names, path, tuple(sorted(keys)))
        return True

    def _class(self, path: str, value: type) -> bool:
        if not _is_harmless(value):
            return False
        if module_is_library(value.__module__):
            return True
        names = [n for n, v in vars(value).items() if self._is_read(n) or _has_code(v)]
        self._add("class", value, path, tuple(names), sized=True)
        for base in value.__bases__:
            self._waiting.append((base.__name__, base, True))
        return True

    def _optimizer(self, path: str, value: Optimizer) -> bool:
        asked = isinstance(value, FlatOptimizer) and module_is_library(type(value).__module__)
        if asked and not self._lr_is_read:
            # The rule itself is asked for the numbers at each replay.
            for place, group in enumerate(value.param_groups):
                if not self._keys.isdisjoint(group):
                    continue  # the program may read an option itself
                self.pinned[id(group)] = group
                name = f"{path}.param_groups[{place}]"
                self._add("dict", group, name, tuple(group), free=True)
        return self._instance(path, value)

    def _instance(self, path: str, value: Any) -> bool:
        original = getattr(value, "__wrapped__", None)
        if isinstance(original, FunctionType) and is_package_file(original.__code__.co_filename):
            return True  # one of the library's functions, as machine code
        kind = type(value)
        if kind.__name__ == "_lru_cache_wrapper":
            return False  # what it remembers cannot be looked through
        if getattr(kind, "is_replayed_function", False):
            self._waiting.append((path, value.original, True))
            return True
        attributes = getattr(value, "__dict__", None)
        slots = [
            name
            for cls in kind.__mro__
            for name in _slots_of(cls)
            if name not in ("__dict__", "__weakref__")
        ]
        if not isinstance(attributes, dict) and not slots and not _is_bare(kind):
            return False
        self._waiting.append((kind.__name__, kind, True))
        if slots:
            self._add("slots", value, path, tuple(slots))
        if isinstance(attributes, dict):
            self._attributes_of(path, value, attributes)
        return True

    def _attributes_of(self, path: str, value: Any, attributes: dict) -> None:
        # The library's own code may look up what the program's code does not name.
        whole = any(
            module_is_library(cls.__module__) for cls in type(value).__mro__ if cls is not object
        )
        opaque = isinstance(value, (Module, Optimizer))
        if not whole:
            looked_up = tuple([n for n in attributes if self._is_read(n)])
            self._add("names", attributes, path, looked_up, sized=True)
            return
        keys = tuple(k for k in attributes if k not in _OWN_NOTES)
        if len(keys) < len(attributes):
            container = Container("names", attributes, path, keys)
        else:
            container = Container("dict", attributes, f"{path}.__dict__", keys)
        self.containers.append(container)
        for place, held in enumerate(container.values):
            read = not opaque or self._is_read(keys[place])
            self._waiting.append((container.name(place), held, read))

    # ---- comparing -------------------------------------------------------------------------

    def differences(self, other: World) -> Iterator[str]:
        """Paths of what `other`, found later, holds otherwise."""
        for mine, theirs in zip(self.containers, other.containers):
            if mine.object is not theirs.object or mine.keys != theirs.keys:
                yield mine.path or "a name"
                continue
            if mine.size != theirs.size or len(mine.values) != len(theirs.values):
                yield mine.path
                continue
            for place, (x, y) in enumerate(zip(mine.values, theirs.values)):
                if not same_plain(x, y):
                    yield mine.name(place)
        if len(self.containers) != len(other.containers):
            later = max(self, other, key=lambda world: len(world.containers))
            yield later.containers[min(len(self.containers), len(other.containers))].path


def _slots_of(cls: type) -> tuple[str, ...]:
    if not cls.__flags__ & (1 << 9):  # a class of C has no slots to be listed
        return ()
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_bare(kind: type) -> bool:
    """Whether instances hold nothing: classes written in Python, with empty `__slots__`."""
    return kind is object or (bool(kind.__flags__ & (1 << 9)) and kind.__base__ is object)


def _has_code(value: Any) -> bool:
    return isinstance(value, (FunctionType, staticmethod, classmethod, property))


_VISITS: tuple[tuple[Any, Any], ...] = (
    (Tensor, World._tensor),
    (Generator, World._generator),
    (Optimizer, World._optimizer),
    (dict, World._dictionary),
    ((list, tuple, deque), World._sequence),
    ((set, frozenset), World._set),
    (types.CellType, World._cell),
    (FunctionType, World._function),
    (types.MethodType, World._method),
    ((types.BuiltinFunctionType, types.MethodWrapperType), World._bound_builtin),
    (functools.partial, World._partial),
    ((staticmethod, classmethod), World._wrapping),
    (property, World._property),
    (weakref.ReferenceType, World._reference),
    (ModuleType, World._module),
    (type, World._class),
)
