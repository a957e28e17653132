"""The structure of a module as TorchScript sees it: attributes with types, constants, submodules.

In: a module with its values.  Out: a `Concrete`, whose class text and pickled values follow from
it.  Attributes of rushlight's own layers are constants, so that their code is chosen by them.
Level: jit (12).
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.jit.annotations import Attribute as GivenAttribute
from rushlight.jit.compiler.functional import operator_of
from rushlight.jit.compiler.library_forms import METHODS
from rushlight.jit.compiler.types import BOOL, NONE, TENSOR, Type, of_value, optional
from rushlight.jit.compiler.values import literal
from rushlight.nn.modules import container
from rushlight.nn.modules.module import Module
from rushlight.overrides.interception import python_form
from rushlight.tensor.tensor import Tensor

_MARK = "_torchscript_modifier"
# Where a module keeps the types that `jit.Attribute` gave its values.
ATTRIBUTE_TYPES = "_torchscript_attribute_types"
_INTERNAL = frozenset(vars(Module()))


@dataclass
class Attribute:
    """A value that the code may read and set."""

    type: Type


@dataclass
class Concrete:
    """A module's structure.

    constants: values that the class holds.  functions: Python functions kept as attributes.
    failed: attributes without a type, with the reason.  methods: what was compiled, by function.
    """

    module: Module
    name: str = ""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    children: dict[str, Concrete] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    parameters: list[str] = field(default_factory=list)
    buffers: list[str] = field(default_factory=list)
    methods: dict[int, Any] = field(default_factory=dict)

    def exported(self) -> Iterator[tuple[str, Any]]:
        """(name, function) of `forward` and of the methods that are marked for export."""
        found: dict[str, Any] = {}
        for one in type(self.module).__mro__[::-1]:
            for name, value in {**vars(one), **METHODS.get(one, {})}.items():
                if name == "forward" or getattr(value, _MARK, None) == "export":
                    found[name] = value
        if isinstance(self.module, (container.ModuleList, container.ModuleDict)):
            found.pop("forward", None)
        forward = found.get("forward")
        if forward is not None and getattr(forward, _MARK, None) in ("ignore", "unused"):
            del found["forward"]
        if forward is not None and forward is vars(Module).get("forward"):
            del found["forward"]
        return iter(found.items())

    def types(self) -> dict[str, str]:
        """The types of what the pickle holds, in order."""
        found = {name: str(attribute.type) for name, attribute in self.attributes.items()}
        return {**found, **{name: child.name for name, child in self.children.items()}}

    def text(self) -> str:
        """The text of the class."""
        lines = [f"class {self.name.rpartition('.')[2]}(Module):"]
        for kind, names in (("parameters", self.parameters), ("buffers", self.buffers)):
            listed = "".join(f'"{name}", ' for name in names)
            lines.append(f"  __{kind}__ = [{listed}]")
        for name, shown in self.types().items():
            plain = name.isidentifier()
            lines.append(f"  {name} : {shown}" if plain else
                         f'  __annotations__["{name}"] = {shown}')  # fmt: skip
        for name, value in self.constants.items():
            of, shown_value = of_value(value, lambda _: None), literal(value)
            if of is not None and shown_value is not None and type(value) in (int, float, bool):
                lines.append(f"  {name} : Final[{of}] = {shown_value}")
        methods = "".join(method.text for method in self.methods.values())
        return "\n".join(lines) + "\n" + methods


def unwrapped(module: Module) -> Module:
    """The module of the program that a scripted one wraps.

    Raises: RuntimeError for modules that were traced or loaded, whose code is no Python.
    """
    state = module.__dict__
    if "_traced_with" in state or "script_class" in state:
        raise RuntimeError(
            f"jit.save: a {'loaded' if 'script_class' in state else 'traced'} module cannot be "
            "part of a scripted one; script its Python class, or save it by itself"
        )
    wrapped: Module = state.get("_wrapped", module)
    return wrapped


def key_of(concrete: Concrete) -> Any:
    """What modules must have in common to share a class."""
    return (
        type(concrete.module), tuple((n, a.type) for n, a in concrete.attributes.items()),
        repr(concrete.constants), tuple((n, id(c)) for n, c in concrete.children.items()),
        tuple((n, id(f)) for n, f in concrete.functions.items()), tuple(concrete.failed),
        tuple(concrete.parameters), tuple(concrete.buffers),
    )  # fmt: skip


def concrete_of(unit: Any, module: Module) -> Concrete:
    """The structure of a module.  Raises: RuntimeError for hooks, which are not written."""
    for hooks in ("_forward_hooks", "_forward_pre_hooks"):
        if module.__dict__.get(hooks):
            raise RuntimeError(
                f"jit.save: {type(module).__name__} has {hooks.strip('_').replace('_', ' ')}, "
                "which are not written; remove them, or do their work in forward"
            )
    made = Concrete(module)
    annotations = _class_annotations(type(module)) | module.__dict__.get(ATTRIBUTE_TYPES, {})
    made.attributes["training"] = Attribute(BOOL)
    made.attributes["_is_full_backward_hook"] = Attribute(optional(BOOL))
    tables: tuple[tuple[list[str], dict[str, Any]], ...] = (
        (made.parameters, module._parameters), (made.buffers, module._buffers),
    )  # fmt: skip
    for listed, table in tables:
        for name, value in table.items():
            kind = NONE if value is None else TENSOR
            if name in annotations and table is module._buffers:
                kind = unit.annotated(annotations[name]) or kind
            made.attributes[name] = Attribute(kind)
            if value is not None:
                listed.append(name)
    for name, child in module._modules.items():
        if child is None:
            made.attributes[name] = Attribute(NONE)
        else:
            made.children[name] = unit.concrete(child)
    _add_values(unit, module, made, annotations)
    return made


def _add_values(unit: Any, module: Module, made: Concrete, annotations: dict[str, Any]) -> None:
    """Attributes, constants and functions of an instance and its class."""
    own = type(module).__module__.startswith("rushlight.nn.")
    fixed = set()
    for one in type(module).__mro__:
        fixed |= set(vars(one).get("__constants__", ()))
    fixed |= {n for n, a in annotations.items() if _is_final(a)}
    for name, value in _instance_values(module):
        if name in made.attributes or name in made.children:
            continue
        if isinstance(value, GivenAttribute):
            kind = unit.annotated(value.type)
            if kind is not None:
                made.attributes[name] = Attribute(kind)
                continue
        if own or name in fixed:
            if _is_constant(value):
                made.constants[name] = value
                continue
        kind = unit.annotated(annotations[name]) if name in annotations else None
        if kind is None:
            kind = of_value(value, unit.class_type)
        if isinstance(value, (DType, device)) and name not in annotations:
            made.constants[name] = value
        elif kind is not None:
            made.attributes[name] = Attribute(kind)
        elif _is_function(value):
            made.functions[name] = value
        else:
            made.failed[name] = (
                "Could not infer its type; annotate it in the class, e.g. "
                f"`{name}: List[int]`, or mark it Final"
            )


def _instance_values(module: Module) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        if name not in _INTERNAL and name not in (
            "training",
            "__constants__",
            ATTRIBUTE_TYPES,
        ):
            yield name, value
    seen = set(vars(module))
    for one in type(module).__mro__:
        if one.__module__.startswith("rushlight.") or one is object:
            continue
        for name, value in vars(one).items():
            if name not in seen and not name.startswith("__") and _is_constant(value):
                seen.add(name)
                yield name, value


def _is_constant(value: Any) -> bool:
    if isinstance(value, (bool, int, float, str, type(None), DType, device)):
        return True
    return isinstance(value, (tuple, list)) and all(_is_constant(part) for part in value)


def _is_function(value: Any) -> bool:
    if isinstance(value, (type, Tensor, Module)) or not callable(value):
        return False
    return (
        operator_of(value) is not None
        or python_form(value) is not None
        or hasattr(value, "_function")
    )


def _is_final(annotation: Any) -> bool:
    return annotation is typing.Final or typing.get_origin(annotation) is typing.Final


def _class_annotations(python: type) -> dict[str, Any]:
    """The annotations of a class and its bases, evaluated where they are text."""
    found: dict[str, Any] = {}
    for one in python.__mro__[::-1]:
        if one.__module__.startswith("rushlight."):
            continue
        scope = {**vars(sys.modules.get(one.__module__, typing)), **vars(one)}
        for name, annotation in inspect.get_annotations(one).items():
            if isinstance(annotation, str):
                try:
                    annotation = eval(annotation, scope)
                except Exception:
                    if annotation.startswith(("Final", "torch.jit.Final", "typing.Final")):
                        annotation = typing.Final
            found[name] = annotation
    return found
