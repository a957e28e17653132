"""Modules as an archive holds them: a class's name, values and their types.  Level: jit (12)."""

from __future__ import annotations

import enum
from typing import Any

from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.jit.annotations import Attribute
from rushlight.jit.compiler.concrete import Concrete, unwrapped
from rushlight.jit.compiler.unit import Unit
from rushlight.jit.compiler.values import literal
from rushlight.nn.modules.module import Module


class Part:
    """A module: its class, values and types."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, Any] = {}
        self.types: dict[str, str] = {}
        self.parameters: list[str] = []
        self.buffers: list[str] = []


class Member:
    """A member of an enumeration: the full name of its class, and its value."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value


def part_of(unit: Unit, module: Module, known: dict[int, Part] | None = None) -> Part:
    """A compiled module with its values; a module that is held twice is one part."""
    known = {} if known is None else known
    module = unwrapped(module)
    found = known.get(id(module))
    if found is not None:
        return found
    concrete: Concrete = unit.concrete(module)
    made = known[id(module)] = Part(concrete.name)
    made.types = concrete.types()
    for name in concrete.attributes:
        if name == "_is_full_backward_hook":
            made.values[name] = None
        else:
            made.values[name] = _storable(unit, getattr(module, name))
    for name in concrete.children:
        made.values[name] = part_of(unit, module._modules[name], known)  # type: ignore[arg-type]
    return made


def _storable(unit: Unit, value: Any) -> Any:
    if isinstance(value, Attribute):
        value = value.value
    if isinstance(value, enum.Enum):
        return Member(str(unit.class_type(type(value))), value.value)
    if isinstance(value, (DType, layout, memory_format)):
        return int(literal(value) or 0)
    if isinstance(value, list):
        return [_storable(unit, part) for part in value]
    if isinstance(value, tuple):
        return tuple([_storable(unit, part) for part in value])
    if isinstance(value, dict):
        return {key: _storable(unit, part) for key, part in value.items()}
    return value
