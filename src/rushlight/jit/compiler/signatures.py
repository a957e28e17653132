"""Signatures of compiled functions, and how a call's arguments meet them.  Level: jit (12)."""

from __future__ import annotations

import ast
import inspect
import typing
from dataclasses import dataclass
from typing import Any

from rushlight.jit.compiler.frontend import Source, refuse, unsupported
from rushlight.jit.compiler.types import (
    TENSOR,
    ClassTypes,
    Type,
    annotations_of,
    is_subtype,
    of_annotation,
)
from rushlight.jit.compiler.values import UNKNOWN, Text
from rushlight.jit.frontend import NotSupportedError


@dataclass
class Parameter:
    """A parameter.  default: the Python value, or UNKNOWN if there is none."""

    name: str
    type: Type
    default: Any = UNKNOWN


@dataclass
class Signature:
    """What a call needs to know.  result: None while it is not known."""

    parameters: list[Parameter]
    result: Type | None


def signature_of(source: Source, class_type: ClassTypes, is_method: bool) -> Signature:
    """The signature of a function as its annotations and comments say.

    Raises: NotSupportedError for *args and **kwargs; RuntimeError for types that TorchScript has
    not.
    """
    function, given = source.function, source.tree.args
    if given.vararg or given.kwarg:
        star = given.vararg or given.kwarg
        raise NotSupportedError(
            f"jit.save: Compiled functions can't take variable number of arguments or use "
            f"keyword-only arguments with defaults; name the arguments of {function.__qualname__}\n"
            f"{source.where(typing.cast(ast.AST, star))}"
        )
    names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    nodes = {a.arg: a for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)}
    annotations = annotations_of(function, source.scope)
    comment = source.type_comment()
    if comment is not None and not annotations:
        annotations = _of_comment(source, comment, names[1:] if is_method else names)
    if is_method:
        names = names[1:]
    defaults = {
        name: one.default for name, one in inspect.signature(function).parameters.items()
        if one.default is not inspect.Parameter.empty
    }  # fmt: skip
    parameters = []
    for name in names:
        kind: Type | None = TENSOR
        if name in annotations:
            kind = of_annotation(annotations[name], class_type)
            if kind is None:
                raise unsupported(
                    source, nodes[name],
                    f"Unknown type annotation {annotations[name]!r} of {name}; TorchScript has "
                    "Tensor, int, float, bool, str, List, Dict, Tuple, Optional, Union and classes",
                )  # fmt: skip
        assert kind is not None
        parameters.append(Parameter(name, kind, defaults.get(name, UNKNOWN)))
    result = None
    if "return" in annotations:
        result = of_annotation(annotations["return"], class_type)
        if result is None:
            raise unsupported(
                source, source.tree, f"Unknown type annotation {annotations['return']!r} of what "
                "is returned"
            )  # fmt: skip
    return Signature(parameters, result)


def _of_comment(source: Source, comment: str, names: list[str]) -> dict[str, Any]:
    left, _, right = comment.partition("->")
    scope = {**vars(typing), **source.scope}
    try:
        given = eval(f"[{left.strip()[1:-1]}]", scope)
        found = dict(zip(names, given))
        found["return"] = eval(right.strip(), scope)
    except Exception as error:
        raise refuse(source, source.tree, f"the type comment is not understood: {error}") from error
    return found


def bind(
    source: Source, node: ast.AST, called: str, signature: Signature, args: list[Text],
    kwargs: dict[str, Text],
) -> str:  # fmt: skip
    """The text of a call's arguments.  Raises: RuntimeError if they do not fit."""
    parameters = signature.parameters
    names = [p.name for p in parameters]
    if len(args) > len(parameters):
        raise refuse(
            source, node, f"{called}() expected at most {len(parameters)} argument(s) but received "
            f"{len(args)} argument(s)"
        )  # fmt: skip
    for name in kwargs:
        if name not in names:
            raise refuse(source, node, f"Unknown keyword argument '{name}' for {called}")
        if name in names[: len(args)]:
            raise refuse(source, node, f"{called}() got '{name}' twice")
    pieces = []
    for place, parameter in enumerate(parameters):
        value = args[place] if place < len(args) else kwargs.get(parameter.name)
        if value is None:
            if parameter.default is UNKNOWN:
                raise refuse(
                    source, node, f"{called}() is missing value for argument '{parameter.name}'"
                )
            continue
        text = fitted(source, node, called, parameter, value)
        pieces.append(text if place < len(args) else f"{parameter.name}={text}")
    return ", ".join(pieces)


def fitted(
    source: Source, node: ast.AST, called: str, parameter: Parameter, value: Text
) -> str:  # fmt: skip
    """A value where a parameter's type is wanted."""
    text = as_type(value, parameter.type)
    if text is None:
        raise refuse(
            source, node, f"{called}() Expected a value of type '{parameter.type}' for argument "
            f"'{parameter.name}' but instead found type '{value.type}'; annotate the parameter "
            "or convert the value"
        )  # fmt: skip
    return text


def as_type(value: Text, kind: Type) -> str | None:
    """The text of a value where a type is wanted; None if it is no such value."""
    if value.static in ([], {}) and value.type.name == kind.name and value.type != kind:
        return f"annotate({kind}, {'[]' if kind.name == 'List' else '{}'})"
    if is_subtype(value.type, kind):
        return value.text
    if kind.name == "Optional":
        return as_type(value, kind.args[0])
    if kind.name == "List" and value.type.name == "Tuple":
        if all(is_subtype(part, kind.args[0]) for part in value.type.args):
            if value.text.startswith("("):
                return value.text
    if kind.name == value.type.name == "List" and isinstance(value.static, list):
        element = kind.args[0]
        if is_subtype(value.type.args[0], element):
            return f"annotate({kind}, {value.text})"
    return None
