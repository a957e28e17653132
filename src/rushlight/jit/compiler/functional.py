"""Operators by the functions of rushlight that do the same, and the text of their calls.

In: a function that the program calls, with the texts of what it is given.  Out: the operator's
call.  `torch.nn.functional` differs from the operators by arguments; its functions are templates
(`jit/functional_forms.py`), or functions of `library_forms.py` that are compiled like the program's
own.  Level: jit (12).
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

from rushlight import fft, linalg, special
from rushlight.jit.compiler.types import INT, TENSOR, Type, list_of, tuple_of
from rushlight.jit.compiler.values import UNKNOWN, Text, literal
from rushlight.jit.functional_forms import (
    CONVOLUTIONS,
    COUNTS,
    REDUCTIONS,
    RENAMED,
    TEMPLATES,
    TRANSPOSED,
)
from rushlight.jit.operators import operator_named
from rushlight.nn import functional as F
from rushlight.ops.spelling import PUBLIC
from rushlight.overrides.interception import python_form

# Element types by the methods that convert to them.
CONVERSIONS = {
    "byte": 0, "char": 1, "short": 2, "int": 3, "long": 4, "half": 5, "float": 6, "double": 7,
    "bool": 11, "bfloat16": 15, "cfloat": 9, "cdouble": 10,
}  # fmt: skip
# Operators whose sizes or axes may come one by one, by how many operands come before them.
SPREAD = {
    "reshape": 1, "view": 1, "permute": 1, "expand": 1, "repeat": 1, "tile": 1, "flip": 1,
    "new_zeros": 1, "new_ones": 1, "new_empty": 1, "zeros": 0, "ones": 0, "empty": 0, "rand": 0,
    "randn": 0, "movedim": 9,
}  # fmt: skip
# Operators of a list of tensors, which Python's functions take one by one.
_GATHERED = frozenset("meshgrid broadcast_tensors block_diag cartesian_prod".split())
# Functions of `math` by the operators of numbers.
_MATH = {
    name: name
    for name in "sqrt exp log log2 log10 log1p sin cos tan atan2 tanh floor ceil isnan isinf "
    "isfinite fmod degrees radians gcd acos asin atan sinh cosh expm1 erf erfc gamma lgamma "
    "copysign factorial fabs".split()
}


class Operator:
    """An operator that is named by itself, as library code does (`library_forms.py`)."""

    def __init__(self, name: str, result: Type | None = None) -> None:
        self.__name__, self.result = name, result


class Operators:
    """The namespace of all operators: `operators.linear` is the operator of this name."""

    def __getattr__(self, name: str) -> Operator:
        if name.startswith("__"):
            raise AttributeError(name)
        return Operator(name)


@functools.cache
def _known() -> dict[int, tuple[str, str, Any]]:
    """From the id of a function to (kind, name, function): kinds "F", "operator" and "math"."""
    found: dict[int, tuple[str, str, Any]] = {}

    def add(kind: str, name: str, value: Any) -> None:
        for one in (value, python_form(value)):
            if one is not None and callable(one):
                found.setdefault(id(one), (kind, name, one))

    for name in (*TEMPLATES, *CONVOLUTIONS, *TRANSPOSED):
        add("F", name, getattr(F, name, None))
    for name, value in PUBLIC.items():
        add("operator", name, value)
    for name, value in vars(F).items():
        if not name.startswith("_") and not inspect.isclass(value):
            # Of the same name, but with other arguments: only a template knows its operator.
            add("operator" if PUBLIC.get(name) is value else "F", name, value)
    for prefix, space in (("linalg", linalg), ("fft", fft), ("special", special)):
        for name, value in vars(space).items():
            if not name.startswith("_") and not inspect.isclass(value):
                add("operator", name if name.startswith(prefix) else f"{prefix}_{name}", value)
    for name in _MATH:
        add("math", name, getattr(math, name))
    return found


def operator_of(function: Any) -> tuple[str, str] | None:
    """(kind, name) of the operator that a function calls; None for other functions."""
    for one in (function, python_form(function) if callable(function) else None):
        known = _known().get(id(one))
        if known is not None and known[2] is one:
            return known[0], RENAMED.get(known[1], known[1])
    return None


def is_operator(name: str) -> bool:
    """Whether archives may call an operator of this name."""
    try:
        operator_named(name)
    except RuntimeError:
        return False
    return True


def gathered(name: str, args: list[Text]) -> list[Text]:
    """Operands one by one as the list that the operator takes."""
    first = SPREAD.get(name)
    if first is not None and len(args) > first and args[first].type == INT:
        sizes = args[first:]
        text = f"[{', '.join(size.text for size in sizes)}]"
        return [*args[:first], Text(text, list_of(INT))]
    start = 1 if name == "einsum" else 0
    if name in (*_GATHERED, "einsum") and len(args) > start and args[start].type == TENSOR:
        text = f"[{', '.join(arg.text for arg in args[start:])}]"
        return [*args[:start], Text(text, list_of(TENSOR))]
    return args


# ---- templates -----------------------------------------------------------------------------------

_WITH_INDICES = tuple(f"max_pool{n}d" for n in (1, 2, 3))
# Operators that return places, too; the functions on request.
_ADAPTIVE = tuple(f"adaptive_max_pool{n}d" for n in (1, 2, 3))
Refusal = Callable[[str], Exception]


def functional_call(
    name: str, function: Any, args: list[Text], kwargs: dict[str, Text], refuse: Refusal
) -> Text | None:
    """The text of a call of `torch.nn.functional`; None if there is no template for it."""
    if name not in TEMPLATES and name not in CONVOLUTIONS and name not in TRANSPOSED:
        return None
    given = _bound(function, args, kwargs, refuse)
    inplace = given.pop("inplace", None)
    if given.get("max_norm", Text("", TENSOR, None)).static is not None:
        raise refuse("embedding with max_norm isn't written; renormalize the weight before")
    if given.get("out", Text("", TENSOR, None)).static is not None:
        raise refuse(f"{name} with out= isn't written; assign what it returns")
    kind = TENSOR
    if name in CONVOLUTIONS or name in TRANSPOSED:
        text = _convolution(name, given)
    else:
        template = TEMPLATES[name]
        if name in _WITH_INDICES and _static(given.get("return_indices")):
            template = template.replace(name, f"{name}_with_indices")
            kind = tuple_of(TENSOR, TENSOR)
        text = _filled(template, given, refuse)
        if name in _ADAPTIVE:
            found = tuple_of(TENSOR, TENSOR)
            kind = found if _static(given.get("return_indices")) else TENSOR
            text = text if kind is found else f"({text})[0]"
    if inplace is not None and inplace.static is not False:
        if inplace.static is UNKNOWN:
            raise refuse(f"{name} needs an `inplace` that is a constant")
        text = f"torch.copy_({given['input'].text}, {text})"
    return Text(text, kind)


def _bound(
    function: Any, args: list[Text], kwargs: dict[str, Text], refuse: Refusal
) -> dict[str, Text]:
    signature = inspect.signature(python_form(function) or function)
    extra: dict[str, Text] = {}
    names = list(signature.parameters)
    if "inplace" not in names:
        if "inplace" in kwargs:
            extra["inplace"] = kwargs["inplace"]
            kwargs = {key: value for key, value in kwargs.items() if key != "inplace"}
        elif len(args) > sum(p.kind is not p.KEYWORD_ONLY for p in signature.parameters.values()):
            *args, extra["inplace"] = args
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise refuse(f"{getattr(function, '__name__', function)}(): {error}") from error
    found: dict[str, Text] = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if name not in found and parameter.default is not inspect.Parameter.empty:
            text = literal(parameter.default)
            assert text is not None
            found[name] = Text(text, TENSOR, parameter.default)
    return {**found, **extra}


def _static(value: Text | None) -> Any:
    return None if value is None else value.static


def _filled(template: str, given: dict[str, Text], refuse: Refusal) -> str:
    pieces, rest = [], template
    while "{" in rest:
        before, _, after = rest.partition("{")
        name, _, rest = after.partition("}")
        name, _, form = name.partition("|")
        pieces.append(before + _in_form(given.get(name), form, name, refuse))
    return "".join(pieces) + rest


def _in_form(value: Text | None, form: str, name: str, refuse: Refusal) -> str:
    if value is None:
        value = Text("None", TENSOR, None)
    single = isinstance(value.static, int) or value.type == INT
    if form == "list":
        return "[]" if value.static is None else f"[{value.text}]" if single else _listed(value)
    if form in COUNTS:
        return f"[{', '.join([value.text] * COUNTS[form])}]" if single else _listed(value)
    if form == "minus":
        return "-1" if value.static is None else value.text
    if form == "float" and isinstance(value.static, (int, tuple, list)):
        if isinstance(value.static, int):
            return literal(float(value.static)) or value.text
        return literal([float(one) for one in value.static]) or value.text
    if form == "number":
        if value.static not in REDUCTIONS:
            raise refuse(f"{name} must be a constant, one of {', '.join(REDUCTIONS)}")
        return str(REDUCTIONS[value.static])
    return value.text


def _listed(value: Text) -> str:
    """A tuple of constants as a list, others as they are."""
    if isinstance(value.static, (tuple, list)):
        return literal(list(value.static)) or value.text
    return value.text


def _convolution(name: str, given: dict[str, Text]) -> str:
    axes = CONVOLUTIONS.get(name) or TRANSPOSED[name]

    def each(key: str) -> str:
        value = given[key]
        if value.type == INT or isinstance(value.static, int):
            return f"[{', '.join([value.text] * axes)}]"
        return _listed(value)

    start = ", ".join(given[key].text for key in ("input", "weight", "bias"))
    if name in TRANSPOSED:
        rest = [each("stride"), each("padding"), each("output_padding"), given["groups"].text,
                each("dilation")]  # fmt: skip
    else:
        rest = [each("stride"), each("padding"), each("dilation"), given["groups"].text]
    return f"torch.{name}({start}, {', '.join(rest)})"
