"""What an expression stands for while it is compiled.

Most expressions are text with a type.  Others exist in the compiler alone: Python objects such as
functions and namespaces, submodules, and sequences of them that loops go through.
Level: jit (12).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.jit.compiler.types import Type
from rushlight.jit.operators import NUMBER_OF


class _Unknown:
    """Stands for a value that only running the code gives."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN = _Unknown()


@dataclass
class Text:
    """An expression.  static: its value, where the compiler knows it.  name: of a variable."""

    text: str
    type: Type
    static: Any = UNKNOWN
    name: str = ""


@dataclass
class PythonObject:
    """A function, class or namespace of the program."""

    value: Any
    text: str = ""


@dataclass
class ModuleValue:
    """A module: the expression that reads it, and its concrete type."""

    text: str
    concrete: Any


@dataclass
class Method:
    """A method of a value, not called yet."""

    owner: Any
    name: str


@dataclass
class ModuleMethod:
    """A method of a module, not called yet.  function: the Python function that it is."""

    owner: ModuleValue
    function: Any
    name: str


@dataclass
class Sequence:
    """Values one by one, some of which are modules: what loops over modules go through."""

    parts: list[Any] = field(default_factory=list)


@dataclass
class Iterated:
    """`enumerate` or `zip` of values that exist when the code runs, for a loop to go through.

    start: where enumerate begins.
    """

    kind: str
    parts: list[Any]
    start: Any = None


def literal(value: Any) -> str | None:
    """A static value as serialized code writes it; None if it has no form there."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        return repr(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, DType):
        return str(NUMBER_OF[value]) if value in NUMBER_OF else None
    if isinstance(value, device):
        return f"torch.device({quoted(str(value))})"
    if isinstance(value, memory_format):
        orders = ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
        return str(orders.index(str(value).rpartition(".")[2]))
    if isinstance(value, layout):
        return "0"
    if type(value) in (tuple, list):
        parts = [literal(part) for part in value]
        if None in parts:
            return None
        joined = ", ".join(part for part in parts if part is not None)
        if isinstance(value, list):
            return f"[{joined}]"
        return f"({joined}{',' if len(parts) == 1 else ''})"
    return None


def quoted(text: str) -> str:
    """A text as serialized code writes it."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'
