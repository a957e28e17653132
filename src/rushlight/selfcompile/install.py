"""Put machine code in the places of the functions it was made from.

One module of machine code is made for each Python module with marked functions, and kept on disk
like any kernel.  The code holds no address: what it refers to comes from a table, which each
function is given as its `self`.  A function is replaced wherever its name is looked up: in modules
and in classes.  Level 9.
"""

from __future__ import annotations

import ast
import ctypes
import functools
import hashlib
import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

from rushlight.base.hot import HOT_CLASSES, HOT_FUNCTIONS, RUNNING
from rushlight.runtime.host import host_target
from rushlight.runtime.jit import Library, compile_text
from rushlight.runtime.kernel_cache import kernel_key, process_cache
from rushlight.selfcompile.callable import (
    TP_NEW,
    descriptor_text,
    function_type,
    new_function,
    type_slot,
)
from rushlight.selfcompile.layout import ObjectLayout, SlotTable, Unsupported, c_function
from rushlight.selfcompile.support import (
    C_INTERFACE,
    OBJECT_NEW,
    RUNNING_SYMBOL,
    SHARED,
    Support,
    shared_objects,
)
from rushlight.selfcompile.translate import FunctionTranslator, Names, rebound_names

_MANIFEST = "manifest"
# Versions whose objects are counted by adding and subtracting 1, always.
_PLAIN_COUNTS = sys.version_info < (3, 12)


class Compiled:
    """What was installed, and what could not be.

    refused: function -> why it stays Python.
    """

    def __init__(self) -> None:
        self.functions: dict[Any, Any] = {}  # Python function -> what took its place
        self.refused: dict[Any, str] = {}
        self.keep: list[Any] = []


COMPILED = Compiled()


@functools.cache
def _imports() -> dict[str, int]:
    imports = {name: c_function(name) for name in C_INTERFACE}
    imports[RUNNING_SYMBOL] = ctypes.addressof(RUNNING)
    imports[OBJECT_NEW] = type_slot(object, TP_NEW)
    return imports


@functools.cache
def _function_type() -> type:
    layout = ObjectLayout()
    text = descriptor_text()
    names = ["describe"]
    target = host_target()
    disk = process_cache().disk
    key = kernel_key(text, target)
    code = None if disk is None else disk.load(key)
    if code is None:
        code = compile_text(text, target)
        if disk is not None:
            disk.store(key, code)
    imports = {name: c_function(name) for name in ("PyMethod_New", "Py_IncRef")}
    library = Library(code, names, imports)
    COMPILED.keep.append(library)
    return function_type(library["describe"], layout)


def module_text(
    functions: list[FunctionType], source: str, layout: ObjectLayout, slots: SlotTable
) -> str:
    """The text of a module: its functions as f0, f1 ..., and `manifest`, which says what each
    reads from its table, or why it was refused, and at last the names of the shared table."""
    rebound = rebound_names(source)
    support = Support(layout, slots, _PLAIN_COUNTS)
    texts: list[str] = []
    manifest: list[Any] = []
    for place, function in enumerate(functions):
        try:
            names = Names(function, rebound)
            made = FunctionTranslator(f"f{place}", function, names, support)
        except Unsupported as reason:
            manifest.append(str(reason))
            texts.append(
                f"define ptr @f{place}(ptr %s, ptr %a, i64 %n, ptr %k) {{\n  ret ptr null\n}}"
            )
            continue
        manifest.append(made.constants)
        texts.append(made.text)
    texts.append(support.text())
    manifest.append(support.names)
    content = repr(manifest).encode() + b"\0"
    escaped = "".join(f"\\{byte:02x}" for byte in content)
    texts.append(f'@{_MANIFEST} = constant [{len(content)} x i8] c"{escaped}"')
    return "\n".join(texts)


@functools.cache
def _own_fingerprint() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(Path(__file__).resolve().parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _integers_named(functions: Iterable[FunctionType]) -> str:
    """The integers that the functions' modules define: their values enter the text."""
    found = {}
    for function in functions:
        for name in function.__code__.co_names:
            value = function.__globals__.get(name)
            if type(value) is int:
                found[name] = value
    return repr(sorted(found.items()))


def _library(functions: list[FunctionType], layout: ObjectLayout, slots: SlotTable) -> Library:
    source = Path(functions[0].__code__.co_filename).read_text(encoding="utf-8")
    identity = "\0".join(
        [
            source, _own_fingerprint(), repr(vars(layout)), slots.description(),
            _integers_named(functions), repr([f.__qualname__ for f in functions]),
        ]
    )  # fmt: skip
    target = host_target()
    disk = process_cache().disk
    key = kernel_key(identity, target)
    code = None if disk is None else disk.load(key)
    if code is None:
        code = compile_text(module_text(functions, source, layout, slots), target)
        if disk is not None:
            disk.store(key, code)
    names = [*[f"f{place}" for place in range(len(functions))], _MANIFEST, SHARED]
    return Library(code, names, _imports())


def _resolved(constant: tuple, function: FunctionType, names: Names) -> Any:
    kind = constant[0]
    if kind == "value":
        return constant[1]
    if kind == "name":
        found = names.find(constant[1])
        return COMPILED.functions.get(found, found) if type(found) is FunctionType else found
    if kind == "class":
        found = importlib.import_module(constant[1])
        for part in constant[2].split("."):
            found = getattr(found, part)
        return found
    if kind == "positional":
        return function.__defaults__[constant[1]]  # type: ignore[index]
    if kind == "keyword":
        return function.__kwdefaults__[constant[1]]
    if kind == "globals":
        return function.__globals__
    return function  # "self"


def install() -> None:
    """Translate the marked functions that were not yet, and put the results in their places.

    Raises: Unsupported.
    """
    waiting: dict[str, list[FunctionType]] = {}
    for function in HOT_FUNCTIONS:
        if function not in COMPILED.functions and function not in COMPILED.refused:
            waiting.setdefault(function.__code__.co_filename, []).append(function)
    if not waiting:
        return
    layout, slots = ObjectLayout(), SlotTable(HOT_CLASSES)
    tables: list[tuple[FunctionType, list, list]] = []
    for functions in waiting.values():
        tables += _compile_module(functions, layout, slots)
    for function, table, constants in tables:
        names = Names(function, frozenset())
        table += [_resolved(constant, function, names) for constant in constants]
    _replace({function: COMPILED.functions[function] for function, _, _ in tables})


def _compile_module(
    functions: list[FunctionType], layout: ObjectLayout, slots: SlotTable
) -> list[tuple[FunctionType, list, list]]:
    """(function, its table, still empty, what belongs into it) for each function."""
    by_code = {function.__code__: function for function in reversed(functions)}
    distinct = list(reversed(by_code.values()))
    library = _library(distinct, layout, slots)
    COMPILED.keep.append(library)
    manifest = ast.literal_eval(ctypes.string_at(library[_MANIFEST]).decode())
    shared = [*shared_objects(slots), *map(sys.intern, manifest[-1])]
    COMPILED.keep.append(shared)
    (ctypes.py_object * len(shared)).from_address(library[SHARED])[:] = shared
    places = {function.__code__: place for place, function in enumerate(distinct)}
    made = []
    for function in functions:
        place = places[function.__code__]
        constants = manifest[place]
        if isinstance(constants, str):
            COMPILED.refused[function] = constants
            continue
        table: list[Any] = []
        address = library[f"f{place}"]
        COMPILED.functions[function] = new_function(_function_type(), function, address, table)
        made.append((function, table, constants))
    return made


def _replace(functions: dict[FunctionType, Any]) -> None:
    """In modules and classes of the package."""
    classes: dict[type, None] = {}
    for name, module in list(sys.modules.items()):
        if not name.startswith("rushlight") or module is None:
            continue
        for key, value in list(vars(module).items()):
            if type(value) is FunctionType and value in functions:
                setattr(module, key, functions[value])
            elif isinstance(value, type) and value.__module__.startswith("rushlight"):
                classes[value] = None
    for cls in classes:
        for key, value in list(vars(cls).items()):
            if type(value) is FunctionType and value in functions:
                setattr(cls, key, functions[value])
            elif type(value) is staticmethod and value.__func__ in functions:
                setattr(cls, key, staticmethod(functions[value.__func__]))
            elif type(value) is property:
                parts = value.fget, value.fset, value.fdel
                if any(part in functions for part in parts):
                    replaced = [functions.get(part, part) for part in parts]
                    setattr(cls, key, property(*replaced, value.__doc__))
