"""Conditions: what decides a branch, and what it says of the names that it asks about.

A condition that the compiler can answer has a static value, and only the branch that is taken is
compiled.  Level: jit (12).
"""

from __future__ import annotations

import ast
import operator
import types
from collections.abc import Callable
from typing import Any

from rushlight.base.dtypes import DType
from rushlight.jit.compiler.expressions import Expressions, Refinements
from rushlight.jit.compiler.types import (
    BOOL,
    COMPLEX,
    FLOAT,
    INT,
    NONE,
    NUMBERS,
    STR,
    TENSOR,
    Type,
    is_subtype,
    members,
    without,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    ModuleValue,
    PythonObject,
    Sequence,
    Text,
)

_COMPARISONS: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("eq", operator.eq), ast.NotEq: ("ne", operator.ne), ast.Lt: ("lt", operator.lt),
    ast.LtE: ("le", operator.le), ast.Gt: ("gt", operator.gt), ast.GtE: ("ge", operator.ge),
}  # fmt: skip


class Conditions(Expressions):
    """Values of comparisons and of `and`, `or` and `not`."""

    def condition(self, node: ast.expr) -> tuple[Text, Refinements, Refinements]:
        """A condition as bool, and what it says of names when it holds and when it does not."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner, yes, no = self.condition(node.operand)
            static = UNKNOWN if inner.static is UNKNOWN else not inner.static
            text = f"torch.__not__({inner.text})" if static is UNKNOWN else str(static)
            return Text(text, BOOL, static), no, yes
        if isinstance(node, ast.BoolOp):
            return self._junction(node)
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and (
            node.func.id == "isinstance"
        ):  # fmt: skip
            return self._asked_type(node)
        return self.as_bool(self.text(node), node), {}, {}

    def as_bool(self, value: Text, node: ast.AST) -> Text:
        """A value as bool, as `if` sees it."""
        if value.static is None or isinstance(value.static, (bool, int, float, str)):
            return Text(str(bool(value.static)), BOOL, bool(value.static))
        if value.type == BOOL:
            return value
        if value.type in (TENSOR, *NUMBERS):
            return Text(f"bool({value.text})", BOOL)
        raise self.refuse(
            node, f"Could not cast value of type {value.type} to bool; compare it, or its length"
        )

    def _junction(self, node: ast.BoolOp) -> tuple[Text, Refinements, Refinements]:
        is_and = isinstance(node.op, ast.And)
        known: Refinements = {}
        other: Refinements | None = None
        texts: list[str] = []
        for part in node.values:
            self.inline += bool(texts)
            test, yes, no = self.refined(known, lambda part=part: self.condition(part))  # type: ignore[misc]
            self.inline -= bool(texts)
            if test.static is (not is_and):
                # Decides the whole, whatever the questions before it say.
                return Text(str(test.static), BOOL, test.static), {}, {}
            known = {**known, **(yes if is_and else no)}
            if test.static is UNKNOWN:
                texts.append(test.text)
                other = (no if is_and else yes) if other is None else {}
        if not texts:
            return Text(str(is_and), BOOL, is_and), known, {}
        text = texts[0] if len(texts) == 1 else f"({(' and ' if is_and else ' or ').join(texts)})"
        found = Text(text, BOOL)
        rest = other or {}
        return (found, known, rest) if is_and else (found, rest, known)

    def _comparison(self, node: ast.Compare) -> tuple[Text, Refinements, Refinements]:
        if len(node.ops) > 1:
            parts: list[ast.expr] = []
            left = node.left
            for op, right in zip(node.ops, node.comparators):
                parts.append(ast.copy_location(ast.Compare(left, [op], [right]), node))
                left = right
            return self._junction(ast.copy_location(ast.BoolOp(ast.And(), parts), node))
        (op,), (right_node,) = node.ops, node.comparators
        if isinstance(op, (ast.Is, ast.IsNot)):
            return self._identity(node.left, right_node, isinstance(op, ast.Is), node)
        left, right = self.text(node.left), self.text(right_node)  # type: ignore[assignment]
        if isinstance(op, (ast.In, ast.NotIn)):
            text = f"torch.__contains__({right.text}, {left.text})"  # type: ignore[attr-defined]
            if isinstance(op, ast.NotIn):
                text = f"torch.__not__({text})"
            return Text(text, BOOL), {}, {}
        return self._ordered(op, left, right, node), {}, {}  # type: ignore[arg-type]

    def _ordered(self, op: ast.cmpop, left: Text, right: Text, node: ast.AST) -> Text:
        name, function = _COMPARISONS[type(op)]
        if TENSOR in (left.type, right.type):
            if left.type != TENSOR:
                name = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(name, name)
                left, right = right, left
            return Text(f"torch.{name}({left.text}, {right.text})", TENSOR)
        if UNKNOWN not in (left.static, right.static):
            if type(left.static) is tuple or type(right.static) is tuple or isinstance(
                left.static, (int, float, str, DType)
            ):  # fmt: skip
                found = bool(function(left.static, right.static))
                return Text(str(found), BOOL, found)
        comparable = left.type == right.type or (
            left.type in NUMBERS and right.type in NUMBERS
        ) or (name in ("eq", "ne") and BOOL in (left.type, right.type))  # fmt: skip
        if not comparable:
            raise self.refuse(
                node, f"Arguments for call are not valid: {name}({left.type}, {right.type}); only "
                "values of one type are compared"
            )  # fmt: skip
        return Text(f"torch.{name}({left.text}, {right.text})", BOOL)

    def _identity(
        self, left_node: ast.expr, right_node: ast.expr, same: bool, node: ast.AST
    ) -> tuple[Text, Refinements, Refinements]:
        left, right = self.value(left_node), self.value(right_node)
        word = "is" if same else "is not"
        if not isinstance(left, Text) or not isinstance(right, Text):
            objects = [v.value if isinstance(v, PythonObject) else
                       v.static if isinstance(v, Text) else v for v in (left, right)]  # fmt: skip
            found = (objects[0] is objects[1]) is same
            return Text(str(found), BOOL, found), {}, {}
        if right.type != NONE and left.type == NONE:
            left, right = right, left
        if right.type != NONE:
            return Text(f"{left.text} {word} {right.text}", BOOL), {}, {}
        if NONE not in members(left.type):
            if left.type.name != "Any":
                return Text(str(not same), BOOL, not same), {}, {}
            return Text(f"({left.text}) {word} None", BOOL), {}, {}
        if left.type == NONE:
            return Text(str(same), BOOL, same), {}, {}
        present: Refinements = {}
        absent: Refinements = {}
        if left.name:
            present[left.name] = without(left.type, (NONE,))
            absent[left.name] = NONE
        test = Text(f"{left.text} {word} None" if left.name else f"({left.text}) {word} None", BOOL)
        return (test, absent, present) if same else (test, present, absent)

    def _asked_type(self, node: ast.Call) -> tuple[Text, Refinements, Refinements]:
        if len(node.args) != 2:
            raise self.refuse(node, "isinstance takes a value and types")
        value = self.value(node.args[0])
        asked = self.value(node.args[1])
        kinds = self.kinds_of(asked, node)
        if not isinstance(value, Text):
            found = isinstance(value, ModuleValue) and any(
                isinstance(k, type) and isinstance(value.concrete.module, k) for k in kinds
            )
            return Text(str(found), BOOL, found), {}, {}
        parts = members(value.type)
        wanted = [(k, self.unit.class_type(k) if isinstance(k, type) else k) for k in kinds]
        of = {part: any(self._is_kind(part, *w) for w in wanted) for part in parts}
        if value.type.name != "Any" and len(set(of.values())) == 1:
            found = of[parts[0]]
            return Text(str(found), BOOL, found), {}, {}
        if value.type.name == "Any":
            raise self.refuse(node, "isinstance of a value of type Any; give it a type")
        names = ", ".join(str(part) for part, yes in of.items() if yes)
        several = sum(of.values()) > 1
        test = Text(f"isinstance({value.text}, {f'({names})' if several else names})", BOOL)
        if not value.name:
            return test, {}, {}
        inside = tuple(part for part, yes in of.items() if yes)
        outside = tuple(part for part, yes in of.items() if not yes)
        return (test, {value.name: without(value.type, outside)},
                {value.name: without(value.type, inside)})  # fmt: skip

    def kinds_of(self, asked: Any, node: ast.AST) -> list[Any]:
        """The Python types that isinstance was asked for."""
        if isinstance(asked, Sequence):
            return [kind for part in asked.parts for kind in self.kinds_of(part, node)]
        if isinstance(asked, PythonObject):
            if isinstance(asked.value, types.UnionType):
                return list(asked.value.__args__)
            return [asked.value]
        raise self.refuse(node, "isinstance takes types that are written here")

    def _is_kind(self, part: Type, python: Any, written: Any) -> bool:
        plain = {int: INT, float: FLOAT, bool: BOOL, str: STR, complex: COMPLEX, type(None): NONE}
        if python in plain:
            return part == plain[python]
        if python in (list, tuple, dict):
            return part.is_tuple if python is tuple else part.name == python.__name__.capitalize()
        annotated = self.unit.annotated(python)
        return annotated is not None and is_subtype(part, annotated)
