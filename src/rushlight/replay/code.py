"""What a function's code names: globals and attributes, of itself and of functions inside it.

In: a code object.  Out: the names it can look up, read from its instructions once.  Level: replay.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

# Through these, code reaches attributes and globals whose names it does not say.
_DYNAMIC = frozenset(
    {
        "getattr", "setattr", "delattr", "hasattr", "vars", "dir", "globals", "locals", "eval",
        "exec", "attrgetter", "methodcaller", "format", "format_map",
    }
)  # fmt: skip
_DYNAMIC_ATTRIBUTES = frozenset({"__dict__", "__getattribute__", "__getattr__", "__setattr__"})


class Names(NamedTuple):
    """globals, attributes: names looked up.  imports: modules imported inside the function.

    dynamic: whether it may look up names that its code does not say.
    keys: strings that it may look up in dictionaries.
    """

    globals: frozenset[str]
    attributes: frozenset[str]
    imports: frozenset[str]
    dynamic: bool
    keys: frozenset[str]


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code object, and those of functions and classes inside it."""
    waiting = [code]
    for one in waiting:
        yield one
        waiting += [constant for constant in one.co_consts if isinstance(constant, CodeType)]


@functools.lru_cache(maxsize=4096)
def names_of(code: CodeType) -> Names:
    """The names of a function's code, and of the code inside it."""
    looked_up: set[str] = set()
    attributes: set[str] = set()
    imports: set[str] = set()
    for one in nested(code):
        for instruction in dis.get_instructions(one):
            kind, name = instruction.opname, instruction.argval
            if kind == "MATCH_CLASS":
                attributes.add("__dict__")  # it names attributes in constants
            if not isinstance(name, str):
                continue
            if kind.endswith(("_GLOBAL", "_GLOBALS", "_NAME")) and kind != "IMPORT_NAME":
                looked_up.add(name)
            elif kind == "IMPORT_NAME":
                imports.add(name)
            elif "ATTR" in kind or "METHOD" in kind or kind == "IMPORT_FROM":
                attributes.add(name)
    dynamic = not _DYNAMIC.isdisjoint(looked_up | attributes)
    dynamic = dynamic or not _DYNAMIC_ATTRIBUTES.isdisjoint(attributes)
    keys = frozenset([c for one in nested(code) for c in one.co_consts if isinstance(c, str)])
    return Names(frozenset(looked_up), frozenset(attributes), frozenset(imports), dynamic, keys)
