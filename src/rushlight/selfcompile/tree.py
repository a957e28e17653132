"""The source of a function, read again as a tree.  Level 9."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import FunctionType
from typing import Any

from rushlight.selfcompile.layout import Unsupported


def rebound_names(module_source: str) -> frozenset[str]:
    """Names that functions of a module give other values (`global`)."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module_source)):
        if isinstance(node, ast.Global):
            found.update(node.names)
    return frozenset(found)


class _OwnNames(ast.NodeTransformer):
    """Gives the variables of each comprehension names that no other variable has."""

    def __init__(self) -> None:
        self._count = 0

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        return self._renamed(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        return self._renamed(node)

    def _renamed(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        self._count += 1
        inner = names_stored([loop.target for loop in node.generators])
        outermost = node.generators[0].iter
        node.generators[0].iter = ast.Constant(None)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in inner:
                part.id = f"{part.id}.{self._count}"
        node.generators[0].iter = outermost
        return node


def tree_of(function: FunctionType) -> ast.FunctionDef:
    """The definition of a function.

    Raises: RuntimeError while its calls are watched, for its code is not its own then.
    """
    if "_intercept" in function.__code__.co_varnames:
        raise RuntimeError(f"{function.__qualname__} is watched and cannot be translated now")
    source = textwrap.dedent(inspect.getsource(function.__code__))
    (definition,) = ast.parse(source).body
    if not isinstance(definition, ast.FunctionDef):
        raise Unsupported(f"{function.__qualname__} is no plain function")
    definition.body = [_OwnNames().visit(statement) for statement in definition.body]
    return definition


def names_stored(nodes: list[ast.stmt] | list[ast.expr]) -> set[str]:
    """Names that statements assign to, or delete."""
    return {
        node.id
        for root in nodes
        for node in ast.walk(root)
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del))
    }


def names_deleted(nodes: list[ast.stmt]) -> set[str]:
    """Names that statements delete."""
    return {
        node.id
        for root in nodes
        for node in ast.walk(root)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del)
    }
