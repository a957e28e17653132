"""TorchScript's types: their text, their order, and what annotations and values say of them.

Level: jit (12).
"""

from __future__ import annotations

import contextlib
import enum
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rushlight.base.device import device as Device
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.tensor.tensor import Tensor


@dataclass(frozen=True)
class Type:
    """A type.

    name: TorchScript's, or the full name of a class.  args: of containers, or of a named tuple's
    fields, whose names are `fields`.  kind: "" or what a named class is: "tuple", "enum".
    """

    name: str
    args: tuple[Type, ...] = ()
    fields: tuple[str, ...] = ()
    kind: str = ""

    def __str__(self) -> str:
        if self.kind:
            return self.name
        if self.name == "Tuple" and not self.args:
            return "Tuple[()]"
        if not self.args:
            return self.name
        return f"{self.name}[{', '.join(map(str, self.args))}]"

    @property
    def is_tuple(self) -> bool:
        """Whether it is a tuple, with names or without."""
        return self.name == "Tuple" or self.kind == "tuple"


TENSOR, INT, FLOAT, BOOL = Type("Tensor"), Type("int"), Type("float"), Type("bool")
STR, COMPLEX, NUMBER, NONE = Type("str"), Type("complex"), Type("number"), Type("NoneType")
DEVICE, ANY = Type("Device"), Type("Any")
NUMBERS = (INT, FLOAT, COMPLEX, NUMBER)


def list_of(element: Type) -> Type:
    """List[element]."""
    return Type("List", (element,))


def dict_of(key: Type, value: Type) -> Type:
    """Dict[key, value]."""
    return Type("Dict", (key, value))


def tuple_of(*parts: Type) -> Type:
    """Tuple[parts]."""
    return Type("Tuple", parts)


def optional(inner: Type) -> Type:
    """Optional[inner]; of what is optional already, the same."""
    if inner in (NONE, ANY) or inner.name == "Optional":
        return inner
    return Type("Optional", (inner,))


def union(parts: list[Type]) -> Type:
    """Union of types, written as TorchScript does."""
    flat: list[Type] = []
    for part in parts:
        inside = part.args if part.name == "Union" else (part,)
        if part.name == "Optional":
            inside = (part.args[0], NONE)
        flat += [one for one in inside if one not in flat]
    if len(flat) == 1:
        return flat[0]
    if len(flat) == 2 and NONE in flat:
        return optional(flat[0] if flat[1] == NONE else flat[1])
    return Type("Union", tuple(flat))


def members(kind: Type) -> tuple[Type, ...]:
    """What a value of this type may be: of a union its parts."""
    if kind.name == "Optional":
        return (*members(kind.args[0]), NONE)
    return kind.args if kind.name == "Union" else (kind,)


def is_subtype(one: Type, other: Type) -> bool:
    """Whether each value of one type is one of the other."""
    if one == other or other == ANY:
        return True
    if other.name in ("Optional", "Union"):
        return all(any(is_subtype(a, b) for b in members(other)) for a in members(one))
    if other == NUMBER:
        return one in NUMBERS
    if one.is_tuple and other.name == "Tuple":
        return len(one.args) == len(other.args) and all(map(is_subtype, one.args, other.args))
    return False


def unify(one: Type, other: Type) -> Type | None:
    """The type of a value that has one type on one path and the other on another; or None."""
    if is_subtype(one, other):
        return other
    if is_subtype(other, one):
        return one
    if one == NONE or other == NONE:
        return optional(other if one == NONE else one)
    if "Optional" in (one.name, other.name):
        inner = unify(*(t.args[0] if t.name == "Optional" else t for t in (one, other)))
        return None if inner is None else optional(inner)
    if one.name == other.name == "Tuple" and len(one.args) == len(other.args):
        parts = [unify(a, b) for a, b in zip(one.args, other.args)]
        return None if None in parts else tuple_of(*typing.cast(list, parts))
    return None


def without(kind: Type, removed: tuple[Type, ...]) -> Type:
    """What is left of a type when it is none of these."""
    left = [part for part in members(kind) if not any(is_subtype(part, r) for r in removed)]
    return union(left) if left else kind


# ---- from Python ---------------------------------------------------------------------------------

_PLAIN: dict[Any, Type] = {
    int: INT, float: FLOAT, bool: BOOL, str: STR, complex: COMPLEX, None: NONE, type(None): NONE,
    Tensor: TENSOR, Any: ANY, Device: DEVICE, DType: INT, layout: INT, memory_format: INT,
    typing.List: list_of(TENSOR), typing.Dict: dict_of(STR, TENSOR), list: list_of(TENSOR),  # noqa: UP006
}  # fmt: skip

# From a class of the program to its type: named tuples and enumerations are written on demand.
ClassTypes = Callable[[type], Type | None]


def of_annotation(annotation: Any, class_type: ClassTypes) -> Type | None:
    """The type that an evaluated annotation names; None if TorchScript has none."""
    try:
        known = _PLAIN.get(annotation)
    except TypeError:
        known = None
    if known is not None:
        return known
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Final or origin is typing.Annotated:
        return of_annotation(args[0], class_type)
    if origin is not None:
        if origin is tuple and args in ((), ((),)):
            return tuple_of()
        parts = [of_annotation(part, class_type) for part in args]
        if origin in (typing.Union, types.UnionType) and None not in parts:
            return union(typing.cast(list, parts))
        makers = {list: "List", dict: "Dict", tuple: "Tuple"}
        if origin not in makers or None in parts or Ellipsis in args:
            return None
        return Type(makers[origin], tuple(typing.cast(list, parts)))
    if isinstance(annotation, type):
        if issubclass(annotation, Tensor):
            return TENSOR
        if issubclass(annotation, tuple) and annotation.__name__ == "Size":
            return list_of(INT)
        return class_type(annotation)
    return None


def of_value(value: Any, class_type: ClassTypes) -> Type | None:
    """The type of a Python value; None if TorchScript has none."""
    if isinstance(value, Tensor):
        return TENSOR
    if isinstance(value, (DType, layout, memory_format)):
        return INT
    if isinstance(value, Device):
        return DEVICE
    if isinstance(value, enum.Enum):
        return class_type(type(value))
    if isinstance(value, list):
        element = _common(value, class_type)
        return None if element is None else list_of(element)
    if isinstance(value, dict):
        key, part = _common(list(value), class_type), _common(list(value.values()), class_type)
        return None if key is None or part is None else dict_of(key, part)
    if isinstance(value, tuple):
        if hasattr(value, "_fields"):
            return class_type(type(value))
        parts = [of_value(part, class_type) for part in value]
        return None if None in parts else tuple_of(*typing.cast(list, parts))
    return _PLAIN.get(type(value)) if type(value) in (int, float, bool, str, complex) or (
        value is None
    ) else None  # fmt: skip


def _common(values: list, class_type: ClassTypes) -> Type | None:
    found: Type | None = None
    for value in values:
        kind = of_value(value, class_type)
        found = kind if found is None or kind is None else unify(found, kind)
        if found is None:
            return None
    return found


def annotations_of(function: Any, scope: dict[str, Any]) -> dict[str, Any]:
    """A function's annotations, evaluated where they are text; what cannot be stays text."""
    found = {}
    for name, annotation in inspect.get_annotations(function).items():
        if isinstance(annotation, str):
            with contextlib.suppress(Exception):
                annotation = eval(annotation, scope)
        found[name] = annotation
    return found
