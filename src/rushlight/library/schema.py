"""Schemas of operators: `name(Tensor x, int n=3, *, bool flag=False) -> Tensor`.

In: text, or a function's annotations.  Out: a Schema that puts a call's arguments in order.
Level 12.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.tensor.tensor import Tensor

REQUIRED = object()


class Parameter(NamedTuple):
    """One parameter; `kind` is TorchScript's word for its type."""

    name: str
    kind: str
    default: Any
    keyword_only: bool
    mutated: bool


class Schema(NamedTuple):
    """A name, parameters and the text they came from."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: str
    text: str

    def bind(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """All arguments, defaults filled in: positional ones and keywords.

        Raises: RuntimeError for missing, unknown or doubled arguments, as PyTorch.
        """
        positional = [p for p in self.parameters if not p.keyword_only]
        if len(args) > len(positional):
            raise RuntimeError(
                f"{self.name}() expected at most {len(positional)} argument(s) but received"
                f" {len(args)} argument(s). Declaration: {self.text}"
            )
        values = {p.name: value for p, value in zip(positional, args)}
        for name, value in kwargs.items():
            if name in values or all(p.name != name for p in self.parameters):
                raise RuntimeError(
                    f"{self.name}() got an unknown or doubled keyword argument '{name}'."
                    f" Declaration: {self.text}"
                )
            values[name] = value
        for p in self.parameters:
            if p.name not in values:
                if p.default is REQUIRED:
                    raise RuntimeError(
                        f"{self.name}() is missing value for argument '{p.name}'."
                        f" Declaration: {self.text}"
                    )
                values[p.name] = p.default
        self._check_tensors(values)
        return (
            tuple(values[p.name] for p in positional),
            {p.name: values[p.name] for p in self.parameters if p.keyword_only},
        )

    def _check_tensors(self, values: dict[str, Any]) -> None:
        for p in self.parameters:
            if p.kind == "Tensor" and not isinstance(values[p.name], Tensor):
                raise RuntimeError(
                    f"{self.name}() Expected a value of type 'Tensor' for argument '{p.name}' but"
                    f" instead found type '{type(values[p.name]).__name__}'."
                    f" Declaration: {self.text}"
                )


_HEAD = re.compile(r"^\s*([\w:.]*)\s*\((.*)\)\s*->\s*(.*?)\s*$", re.DOTALL)
_PARAMETER = re.compile(r"^(.*?)\s+(\w+)\s*(?:=\s*(.*))?$", re.DOTALL)
_CONSTANTS = {"None": None, "True": True, "False": False}


def parse_schema(text: str) -> Schema:
    """Raises: ValueError for a text that is no schema."""
    match = _HEAD.match(text)
    if match is None:
        raise ValueError(f"no schema: {text!r}; write 'name(Tensor x, int n=3) -> Tensor'")
    parameters = []
    keyword_only = False
    for part in _split(match[2]):
        if part == "*":
            keyword_only = True
            continue
        found = _PARAMETER.match(part)
        if found is None:
            raise ValueError(f"no parameter of a schema: {part!r}, in {text!r}")
        kind = re.sub(r"\([^)]*\)", "", found[1]).strip()
        default = REQUIRED if found[3] is None else _constant(found[3])
        parameters.append(Parameter(found[2], kind, default, keyword_only, "!" in found[1]))
    name = match[1].rpartition("::")[2].partition(".")[0]
    return Schema(name, tuple(parameters), match[3], text)


def _split(text: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [part for part in [*parts, current.strip()] if part]


def _constant(text: str) -> Any:
    text = text.strip()
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[:1] in "\"'":
        return text[1:-1]
    if text.startswith("["):
        return [_constant(part) for part in _split(text[1:-1])]
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


_WORDS: dict[Any, str] = {
    Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str", DType: "ScalarType",
    device: "Device", complex: "Scalar",
}  # fmt: skip
_NUMBERS = {frozenset({int, float, bool}), frozenset({int, float})}


def infer_schema(
    prototype_function: Callable[..., Any], /, *, mutates_args: Any, op_name: str | None = None
) -> str:
    """A schema from annotations.  Raises: ValueError for a parameter without a usable one."""
    try:
        hints = typing.get_type_hints(prototype_function)
    except Exception:
        hints = dict(getattr(prototype_function, "__annotations__", {}))
    words = []
    keyword_only = False
    signature = inspect.signature(prototype_function)
    for place, p in enumerate(signature.parameters.values()):
        if p.kind is p.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            words.append("*")
        if p.name not in hints:
            raise ValueError(
                f"infer_schema(func): Parameter {p.name} must have a type annotation. Got func"
                f" with signature {signature})"
            )
        kind = _word(hints[p.name], p.name)
        if mutates_args == "unknown" or p.name in mutates_args:
            if kind.startswith("Tensor"):
                kind = kind.replace("Tensor", f"Tensor(a{place}!)", 1)
        default = "" if p.default is p.empty else f"={_shown(p.default)}"
        words.append(f"{kind} {p.name}{default}")
    if isinstance(mutates_args, str) and mutates_args != "unknown":
        raise ValueError("mutates_args must be a sequence of names, or 'unknown'")
    if not isinstance(mutates_args, str):
        unknown = set(mutates_args) - set(signature.parameters)
        if unknown:
            raise ValueError(f"{sorted(unknown)} in mutates_args are not parameters of {signature}")
    result = hints.get("return", signature.return_annotation)
    return f"{op_name or ''}({', '.join(words)}) -> {_returned(result)}"


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _returned(hint: Any) -> str:
    if hint is None or hint is type(None):
        return "()"
    if typing.get_origin(hint) is tuple:
        return f"({', '.join(_returned(part) for part in typing.get_args(hint))})"
    return _word(hint, "return")


def _word(hint: Any, name: str) -> str:
    if hint in _WORDS:
        return _WORDS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        plain = [one for one in arguments if one is not type(None)]
        if len(plain) < len(arguments):
            inner = plain[0] if len(plain) == 1 else typing.Union[tuple(plain)]  # noqa: UP007
            return f"{_word(inner, name)}?"
        if frozenset(plain) in _NUMBERS:
            return "Scalar"
    if origin in (list, tuple, Sequence) or getattr(origin, "__name__", "") == "Sequence":
        return f"{_word(arguments[0], name)}[]"
    if getattr(hint, "__name__", "") == "Tensor":
        return "Tensor"
    raise ValueError(
        f"infer_schema(func): Parameter {name} has unsupported type {hint}; use Tensor, int, float,"
        " bool, str, dtype, device, and lists and optionals of them"
    )
