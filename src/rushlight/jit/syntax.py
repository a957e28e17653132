"""What `script` takes: functions and modules whose code has only what TorchScript has a form for.

In: a function, or a module with its submodules.  Out: an error as PyTorch's compiler raises it when
it parses, or nothing.  Names and types are not looked at: `save` compiles, and says what else
TorchScript lacks.  What is looked at follows PyTorch: `forward`, exported methods, and the methods
and functions that they call; none that is marked `ignore` or `unused`, and nothing of this package.
Level: jit (12).
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from rushlight.jit.annotations import _MARK
from rushlight.jit.compiler.frontend import Source
from rushlight.jit.frontend import NotSupportedError, UnsupportedNodeError
from rushlight.nn.modules.module import Module

_PACKAGES = (__name__.partition(".")[0], "torch", *sys.stdlib_module_names)
_LEFT_TO_PYTHON = ("ignore", "unused")
# Kinds of statements and expressions without a form, as PyTorch calls them.
_UNSUPPORTED = {
    "FunctionDef": "function definitions", "AsyncFunctionDef": "async function definitions",
    "ClassDef": "class definitions", "Try": "try blocks", "TryStar": "try blocks",
    "Global": "global variables", "Nonlocal": "nonlocal variables", "Import": "import statements",
    "ImportFrom": "import statements", "AsyncFor": "async for loops",
    "AsyncWith": "async with statements", "Match": "Match", "Lambda": "Lambda", "Yield": "Yield",
    "YieldFrom": "YieldFrom", "Await": "Await", "Set": "Set", "SetComp": "SetComp",
    "NamedExpr": "NamedExpr",
}  # fmt: skip
_UPDATES = (ast.FloorDiv, ast.MatMult)
_REPAIR = "move it into a function marked @torch.jit.ignore, or write it another way"


def check_scriptable(obj: Any) -> None:
    """Refuse what PyTorch's compiler refuses to parse.

    Raises: UnsupportedNodeError for statements and expressions that TorchScript does not have,
    NotSupportedError for forms of others.
    """
    done: set[Any] = set()
    if not isinstance(obj, Module):
        _check_function(obj, None, done)
        return
    for module in obj.modules():
        kind = type(module)
        if _is_ours(kind):
            continue
        for name in dir(kind):
            method = inspect.getattr_static(kind, name)
            if name == "forward" or getattr(method, _MARK, None) == "export":
                _check_function(method, module, done)


def _is_ours(one: Any) -> bool:
    return getattr(one, "__module__", "").partition(".")[0] in _PACKAGES


def _check_function(function: Any, module: Module | None, done: set[Any]) -> None:
    """One function, and those that it calls.  module: what its `self` is."""
    if not isinstance(function, FunctionType) or function in done or _is_ours(function):
        return
    done.add(function)
    if getattr(function, _MARK, None) in _LEFT_TO_PYTHON:
        return
    try:
        source = Source(function)
    except (OSError, NotSupportedError):
        return  # without source Python runs it as it is; `save` refuses
    _check_signature(source)
    for statement in source.tree.body:
        for node in ast.walk(statement):
            _check_node(source, node)
    for called, owner in _called(source, module):
        _check_function(called, owner, done)


def _called(source: Source, module: Module | None) -> Iterator[tuple[Any, Module | None]]:
    """The functions that a function calls by name, and the methods of its module."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        target = node.func
        if isinstance(target, ast.Name):
            yield source.scope.get(target.id), None
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            if module is not None and target.value.id == "self":
                yield inspect.getattr_static(type(module), target.attr, None), module


def _check_signature(source: Source) -> None:
    given = source.tree.args
    if given.vararg or given.kwarg or any(default is not None for default in given.kw_defaults):
        raise NotSupportedError(
            "jit.script: Compiled functions can't take variable number of arguments or use "
            f"keyword-only arguments with defaults; name them\n{source.where(source.tree)}"
        )


def _check_node(source: Source, node: ast.AST) -> None:
    kind = _UNSUPPORTED.get(type(node).__name__)
    if kind is not None:
        raise UnsupportedNodeError(
            f"jit.script: {kind} aren't supported; {_REPAIR}\n{source.where(node)}"
        )
    rule = _refused_form(node)
    if rule:
        raise NotSupportedError(f"jit.script: {rule}; {_REPAIR}\n{source.where(node)}")


def _refused_form(node: ast.AST) -> str:
    """What TorchScript has not of this statement or expression, or nothing."""
    if isinstance(node, (ast.For, ast.While)) and node.orelse:
        return f"else branches of {type(node).__name__.lower()} loops aren't supported"
    if isinstance(node, ast.comprehension) and node.ifs:
        return "Comprehension ifs are not supported yet"
    if isinstance(node, ast.AugAssign) and isinstance(node.op, _UPDATES):
        return f"unsupported kind of augmented assignment: {type(node.op).__name__}"
    if isinstance(node, ast.Dict) and None in node.keys:
        return "Dict expansion (e.g. `{**dict}`) is not supported"
    if isinstance(node, ast.Call) and any(given.arg is None for given in node.keywords):
        return "keyword-arg expansion is not supported"
    if isinstance(node, ast.FormattedValue) and (node.format_spec or node.conversion != -1):
        return "Don't support formatting in JoinedStr"
    return ""
