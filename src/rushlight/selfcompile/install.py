"""Put machine code in the places of the functions it was made from.

One module of machine code is made for each Python module with marked functions, and kept on disk
like any kernel.  The code holds no address: what it refers to comes from tables, which each
function is given, so that code from the disk fits.  A function is replaced wherever its name is
looked up: in modules, in classes, and in the tables of others.  Level 9.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from rushlight.base.hot import HOT_CLASSES, HOT_FUNCTIONS, HOT_SUBCLASSES, RUNNING
from rushlight.base.stats import stats
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library
from rushlight.runtime.kernel_cache import process_cache
from rushlight.selfcompile.callable import (
    DESCRIBE,
    TP_NEW,
    descriptor_text,
    function_type,
    keep_for_good,
    new_function,
    type_slot,
)
from rushlight.selfcompile.interface import (
    C_INTERFACE,
    OBJECT_NEW,
    RUNNING_SYMBOL,
    SHARED,
    place_of_subclass,
    shared_objects,
)
from rushlight.selfcompile.layout import ObjectLayout, SlotTable, c_function
from rushlight.selfcompile.names import Names

_MANIFEST = "manifest"
_SELF = ("self",)


class Table:
    """What one function's code reads.  entries: the objects; constants: what each stands for."""

    def __init__(self, function: FunctionType, constants: list[tuple]) -> None:
        self.function = function
        self.constants = constants
        self.entries: list[Any] = []

    def fill(self, functions: dict[Any, Any]) -> None:
        """Look everything up.  functions: Python function -> what took its place."""
        names = Names(self.function)
        for constant in self.constants:
            self.entries.append(self._meaning(constant, names))
        self.replace(functions)

    def _meaning(self, constant: tuple, names: Names) -> Any:
        kind = constant[0]
        if kind == "value":
            return _interned(constant[1])
        if kind == "name":
            return names.find(constant[1])
        if kind == "class":
            return _class_named(constant[1], constant[2])
        if kind == "positional":
            return (self.function.__defaults__ or ())[constant[1]]
        if kind == "keyword":
            return (self.function.__kwdefaults__ or {})[constant[1]]
        if kind == "globals":
            return self.function.__globals__
        return self.function

    def replace(self, functions: dict[Any, Any]) -> None:
        """Put what took their places in the places of functions."""
        for place, (constant, entry) in enumerate(zip(self.constants, self.entries)):
            if constant != _SELF and type(entry) is FunctionType and entry in functions:
                self.entries[place] = functions[entry]


def _interned(value: Any) -> Any:
    """Names are found by identity, so there must be one object of each."""
    if type(value) is str:
        return sys.intern(value)
    if type(value) is tuple:
        return tuple([_interned(part) for part in value])
    return value


def _class_named(module: str, name: str) -> Any:
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


class Installer:
    """functions: Python function -> what took its place.  refused: function -> why it stays."""

    def __init__(self) -> None:
        self.functions: dict[Any, Any] = {}
        self.refused: dict[Any, str] = {}
        self._tables: list[Table] = []
        self._seen = 0
        self._waiting: dict[str, list[FunctionType]] = {}
        self._shared: list[tuple[list[Any], int, SlotTable]] = []
        self._layout: ObjectLayout | None = None
        self._references = References()

    def is_complete(self) -> bool:
        """Whether every marked function was looked at."""
        self._sort()
        return not self._waiting

    def _sort(self) -> None:
        for function in HOT_FUNCTIONS[self._seen :]:
            self._waiting.setdefault(function.__code__.co_filename, []).append(function)
        self._seen = len(HOT_FUNCTIONS)

    def install_next(self) -> None:
        """Translate the functions of one module, and put the results in their places.

        Raises: Unsupported if this interpreter cannot be used so.
        """
        self._sort()
        if not self._waiting:
            return
        if self._layout is None:
            self._layout = ObjectLayout()
        path = next(iter(self._waiting))
        functions = self._waiting.pop(path)
        made = self._compiled(functions, Path(path).read_text(encoding="utf-8"), self._layout)
        for table in made:
            table.fill(self.functions)
        for table in self._tables:
            table.replace(self.functions)
        self._tables += made
        self._fill_late_classes()
        functions = [table.function for table in made]
        self._references.replace([(f, f, self.functions[f]) for f in functions])
        stats.functions_compiled += len(made)

    def prepare_next(self) -> None:
        """Make the machine code that `install_next` will ask for, beside the program."""
        if self._layout is None:
            self._layout = ObjectLayout()
        path, functions = next(iter(self._waiting.items()))
        source = Path(path).read_text(encoding="utf-8")
        slots = SlotTable(HOT_CLASSES, source)
        identity, make_text = _described(_distinct(functions), source, self._layout, slots)
        process_cache().prepare(identity, make_text, host_target())

    def suspend(self) -> None:
        """Let every function be Python again, until `resume`: so that calls can be watched."""
        self._references.replace([(f, made, f) for f, made in self.functions.items()])

    def resume(self) -> None:
        """Undo `suspend`."""
        self._references.replace([(f, f, made) for f, made in self.functions.items()])

    def install_all(self) -> None:
        """The same for all modules."""
        while not self.is_complete():
            self.install_next()

    def _compiled(
        self, functions: list[FunctionType], source: str, layout: ObjectLayout
    ) -> list[Table]:
        distinct = _distinct(functions)
        slots = SlotTable(HOT_CLASSES, source)
        library = _library(distinct, source, layout, slots)
        manifest = ast.literal_eval(ctypes.string_at(library[_MANIFEST]).decode())
        self._share(library, manifest[-1], slots)
        places = {function.__code__: place for place, function in enumerate(distinct)}
        made = []
        for function in functions:
            place = places[function.__code__]
            constants = manifest[place]
            if isinstance(constants, str):
                self.refused[function] = constants
                continue
            table = Table(function, constants)
            address = library[f"f{place}"]
            kind = function_kind()
            self.functions[function] = new_function(kind, function, address, table.entries)
            made.append(table)
        return made

    def _share(self, library: Library, names: list[str], slots: SlotTable) -> None:
        shared = [*shared_objects(slots), *map(sys.intern, names)]
        keep_for_good(library, shared)
        self._shared.append((shared, library[SHARED], slots))
        words = (ctypes.c_size_t * len(shared)).from_address(library[SHARED])
        words[:] = [id(entry) for entry in shared]

    def _fill_late_classes(self) -> None:
        """Tell loaded code of subclasses that were imported after it."""
        for base, module, name in HOT_SUBCLASSES:
            cls = getattr(sys.modules.get(module), name, None)
            if cls is None:
                continue
            for shared, address, slots in self._shared:
                place = place_of_subclass(slots, base)
                if place is not None and slots.has_layout_of(cls, base):
                    shared[place] = cls
                    ctypes.c_size_t.from_address(address + 8 * place).value = id(cls)


def _distinct(functions: list[FunctionType]) -> list[FunctionType]:
    """Functions made several times by their factory have one code."""
    by_code = {function.__code__: function for function in reversed(functions)}
    return list(reversed(by_code.values()))


def check_interpreter() -> None:
    """Raises: Unsupported if this interpreter cannot run its functions as machine code."""
    ObjectLayout()
    _imports()


@functools.cache
def _imports() -> dict[str, int]:
    imports = {name: c_function(name) for name in C_INTERFACE}
    imports[RUNNING_SYMBOL] = ctypes.addressof(RUNNING)
    imports[OBJECT_NEW] = type_slot(object, TP_NEW)
    return imports


@functools.cache
def function_kind() -> type:
    """The type of compiled functions."""
    text = descriptor_text()
    imports = {name: c_function(name) for name in ("PyMethod_New", "Py_IncRef")}
    library = process_cache().get(text, [DESCRIBE], lambda: text, host_target(), imports=imports)
    made = function_type(library[DESCRIBE])
    keep_for_good(library)
    return made


@functools.cache
def _own_fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(Path(__file__).resolve().parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _integers_named(functions: list[FunctionType]) -> str:
    """The integers among the names the functions use: their values enter the text."""
    found = {}
    for function in functions:
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if type(value) is int:
                found[name] = value
    return repr(sorted(found.items()))


def _described(
    functions: list[FunctionType], source: str, layout: ObjectLayout, slots: SlotTable
) -> tuple[str, Callable[[], str]]:
    """What the machine code of functions depends on, and what gives its text."""
    identity = "\0".join(
        [
            source, _own_fingerprint(), repr(vars(layout)), slots.description(),
            _integers_named(functions), repr([f.__qualname__ for f in functions]),
        ]
    )  # fmt: skip

    def make_text() -> str:
        module = importlib.import_module("rushlight.selfcompile.module")
        return module.module_text(functions, source, layout, slots)

    return identity, make_text


def _library(
    functions: list[FunctionType], source: str, layout: ObjectLayout, slots: SlotTable
) -> Library:
    identity, make_text = _described(functions, source, layout, slots)
    names = [*[f"f{place}" for place in range(len(functions))], _MANIFEST, SHARED]
    return process_cache().get(identity, names, make_text, host_target(), imports=_imports())


class References:
    """Where functions are looked up by name: the dictionaries of modules, and classes.

    The package is searched again only when there are more modules than before.
    """

    def __init__(self) -> None:
        self._modules = 0
        self._places: dict[Any, list[tuple[Any, str]]] = {}

    def replace(self, changes: list[tuple[Any, Any, Any]]) -> None:
        """Put functions in the places of others.  changes: (Python form, what is there, what is to
        be there)."""
        if len(sys.modules) != self._modules:
            self._search()
        for function, former, new in changes:
            for owner, name in self._places.get(function, ()):
                self._set(owner, name, former, new)

    @staticmethod
    def _set(owner: Any, name: str, former: Any, new: Any) -> None:
        found = vars(owner).get(name)
        if found is former:
            setattr(owner, name, new)
        elif type(found) is staticmethod and found.__func__ is former:
            setattr(owner, name, staticmethod(new))
        elif type(found) is property:
            parts: list[Any] = [found.fget, found.fset, found.fdel]
            if any(part is former for part in parts):
                get, put, delete = [new if part is former else part for part in parts]
                setattr(owner, name, property(get, put, delete, found.__doc__))

    def _search(self) -> None:
        marked = set(HOT_FUNCTIONS)
        kind = function_kind()
        self._places = {}
        classes: dict[type, None] = {}
        for name, module in sys.modules.copy().items():
            if module is None or not (name == "rushlight" or name.startswith("rushlight.")):
                continue
            for key, value in list(vars(module).items()):
                form = _python_form(value, kind)
                if form is not None and form in marked:
                    self._places.setdefault(form, []).append((module, key))
                elif isinstance(value, type) and value.__module__.startswith("rushlight"):
                    classes[value] = None
        for cls in classes:
            for key, value in list(vars(cls).items()):
                for part in _parts_of(value):
                    form = _python_form(part, kind)
                    if form is not None and form in marked:
                        self._places.setdefault(form, []).append((cls, key))
        self._modules = len(sys.modules)


def _parts_of(value: Any) -> tuple[Any, ...]:
    """The functions in what a class has under a name."""
    if type(value) is staticmethod:
        return (value.__func__,)
    if type(value) is property:
        return value.fget, value.fset, value.fdel
    return (value,)


def _python_form(value: Any, kind: Any) -> FunctionType | None:
    """The function itself, or the Python one that a compiled one was made from."""
    if type(value) is kind:
        return value.__wrapped__
    return value if type(value) is FunctionType else None


INSTALLER = Installer()
