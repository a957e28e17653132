"""Expressions: constants, names, attributes, operators, containers and texts.

Each method returns a value of `values.py`.  Level: jit (12).
"""

from __future__ import annotations

import ast
import enum
import operator
import re
from collections.abc import Callable
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.jit.compiler.frontend import Source, refuse, unsupported
from rushlight.jit.compiler.results import (
    DEVICE_PROPERTIES,
    PROPERTIES,
    of_arithmetic,
)
from rushlight.jit.compiler.types import (
    BOOL,
    NUMBERS,
    STR,
    TENSOR,
    Type,
    members,
    of_value,
    tuple_of,
    unify,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    Method,
    ModuleMethod,
    ModuleValue,
    PythonObject,
    Sequence,
    Text,
    literal,
)

_BINARY: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv",
    ast.Mod: "remainder", ast.Pow: "pow", ast.MatMult: "matmul", ast.BitAnd: "__and__",
    ast.BitOr: "__or__", ast.BitXor: "__xor__", ast.LShift: "__lshift__", ast.RShift: "__rshift__",
}  # fmt: skip
_FOLDED: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "remainder": operator.mod,
}  # fmt: skip
_STATIC = (bool, int, float, str, complex, type(None), DType, device, layout, memory_format)
Refinements = dict[str, Type]


class Undefined:
    """A name that has no value on some path, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Expressions:
    """Values of expressions in one function."""

    unit: Any
    source: Source
    env: dict[str, Any]

    # In the classes that follow: `conditions.py` and `containers.py`.
    condition: Callable[[ast.expr], tuple[Text, Refinements, Refinements]]
    parts_of: Callable[[Any, ast.AST], list[Any]]
    temporary: Callable[[Text], Text]
    # Above zero in expressions that run never, later, or several times: nothing goes before them.
    inline = 0

    # ---- errors --------------------------------------------------------------------------------

    def refuse(self, node: ast.AST, rule: str) -> RuntimeError:
        """An error of types or names."""
        return refuse(self.source, node, rule)

    def unsupported(self, node: ast.AST, rule: str) -> RuntimeError:
        """An error for a construct that TorchScript does not have."""
        return unsupported(self.source, node, rule)

    # ---- values --------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """What an expression stands for."""
        method = getattr(self, f"_value_{type(node).__name__}", None)
        if method is None:
            raise self.unsupported(
                node, f"{type(node).__name__} expressions aren't supported in TorchScript; write "
                "the same with statements"
            )  # fmt: skip
        return method(node)

    def text(self, node: ast.expr) -> Text:
        """The value of an expression that exists when the code runs."""
        return self.as_text(self.value(node), node)

    def as_text(self, value: Any, node: ast.AST) -> Text:
        """A value as text.  Raises: RuntimeError if it exists in the compiler alone."""
        if isinstance(value, Text):
            return value
        if isinstance(value, Sequence):
            parts = [self.as_text(part, node) for part in value.parts]
            return self.tuple_text(parts)
        if isinstance(value, (ModuleValue, ModuleMethod)):
            raise self.refuse(
                node, "a submodule or its method cannot be a value in TorchScript; call it here"
            )
        if isinstance(value, PythonObject):
            raise self.refuse(
                node, f"python value of type '{type(value.value).__name__}' cannot be used as a "
                "value. Perhaps it is a closed over global variable? If so, please consider "
                "passing it in as an argument or use a local variable instead"
            )  # fmt: skip
        raise self.refuse(node, f"{type(value).__name__} cannot be used as a value")

    def tuple_text(self, parts: list[Text]) -> Text:
        """A tuple of values."""
        inside = ", ".join(part.text for part in parts) + ("," if len(parts) == 1 else "")
        static: Any = tuple(part.static for part in parts)
        if any(one is UNKNOWN for one in static):
            static = UNKNOWN
        text = f"({inside})" if parts else "annotate(Tuple[()], ())"
        return Text(text, tuple_of(*[part.type for part in parts]), static)

    def static(self, value: Any, node: ast.AST) -> Any:
        """A Python value as what the code can name."""
        if isinstance(value, ModuleMethod):  # of `super()`
            return value
        if isinstance(value, enum.Enum):
            kind = self.unit.class_type(type(value))
            return Text(f"{kind}.{value.name}", kind, value)
        if type(value) in _STATIC or isinstance(value, (DType, device, layout, memory_format)):
            kind = of_value(value, self.unit.class_type)
            text = literal(value)
            if kind is not None and text is not None:
                return Text(text, kind, value)
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            parts = [self.static(part, node) for part in value]
            if all(isinstance(part, Text) for part in parts):
                return self.tuple_text(parts)
            return Sequence(parts)
        return PythonObject(value)

    def _value_Constant(self, node: ast.Constant) -> Any:
        if node.value is Ellipsis or isinstance(node.value, bytes):
            raise self.unsupported(node, "this constant isn't supported in TorchScript")
        return self.static(node.value, node)

    def _value_Name(self, node: ast.Name) -> Any:
        if node.id in self.env:
            found = self.env[node.id]
            if isinstance(found, Undefined):
                raise self.refuse(node, f"{node.id} is not defined in all paths: {found.reason}")
            return found
        if node.id in self.source.scope:
            return self.static(self.source.scope[node.id], node)
        raise self.refuse(node, f"undefined value {node.id}; define it before on every path")

    # ---- attributes ----------------------------------------------------------------------------

    def _value_Attribute(self, node: ast.Attribute) -> Any:
        return self.attribute(self.value(node.value), node.attr, node)

    def attribute(self, owner: Any, name: str, node: ast.AST) -> Any:
        """An attribute of a value."""
        if isinstance(owner, ModuleValue):
            return self.unit.attribute(self, owner, name, node)
        if isinstance(owner, PythonObject):
            if not hasattr(owner.value, name):
                shown = getattr(owner.value, "__name__", type(owner.value).__name__)
                raise self.refuse(node, f"{shown} has no attribute {name!r}")
            return self.static(getattr(owner.value, name), node)
        if not isinstance(owner, Text):
            return Method(owner, name)
        kind = owner.type
        if kind == TENSOR and name in PROPERTIES:
            form, found = PROPERTIES[name]
            return Text(form.format(owner.text), found)
        if name in kind.fields:
            place = kind.fields.index(name)
            text = f"({owner.text}).{name}" if kind.kind else f"({owner.text})[{place}]"
            return Text(text, kind.args[place])
        if kind.name == "Device" and name in DEVICE_PROPERTIES:
            form, found = DEVICE_PROPERTIES[name]
            return Text(form.format(owner.text), found)
        if kind.kind == "enum" and name in ("name", "value"):
            return Text(f"({owner.text}).{name}", STR if name == "name" else kind.args[0])
        if len(members(kind)) > 1:
            raise self.refuse(
                node, f"'{kind}' object has no attribute or method '{name}'; check before whether "
                "it is None (`if x is not None:`, of a local variable)"
            )  # fmt: skip
        return Method(owner, name)

    # ---- operators -----------------------------------------------------------------------------

    def _value_BinOp(self, node: ast.BinOp) -> Any:
        name = _BINARY.get(type(node.op))
        if name is None:
            raise self.unsupported(node, "this operator isn't supported in TorchScript")
        return self.binary(name, self.text(node.left), self.text(node.right), node)

    def binary(self, name: str, left: Text, right: Text, node: ast.AST) -> Text:
        """An operation on two values."""
        both = (left.static, right.static)
        if name in _FOLDED and all(type(s) in (int, float) for s in both) and not (
            name in ("div", "floordiv", "remainder") and right.static == 0
        ):  # fmt: skip
            folded = self.static(_FOLDED[name](*both), node)
            assert isinstance(folded, Text)
            return folded
        if TENSOR in (left.type, right.type):
            for side in (left, right):
                if side.type != TENSOR and side.type not in (*NUMBERS, BOOL):
                    raise self.refuse(
                        node, f"Arguments for call are not valid: {name}({left.type}, "
                        f"{right.type}); both must be tensors or numbers"
                    )  # fmt: skip
            if name == "floordiv":
                name = "floor_divide"
            if left.type != TENSOR:
                return self._reflected(name, left, right)
            return Text(f"torch.{name}({left.text}, {right.text})", TENSOR)
        if name == "remainder" and left.type == STR:
            return Text(f"torch.percentFormat({left.text}, {right.text})", STR)
        found = of_arithmetic(name, left.type, right.type)
        if found is None:
            raise self.refuse(
                node, f"Arguments for call are not valid: {name}({left.type}, {right.type}); "
                "convert one of them"
            )  # fmt: skip
        if name == "add" and found.name == "Tuple":
            parts = [
                Text(f"({side.text})[{i}]", part)
                for side in (self.once(left, node), self.once(right, node))
                for i, part in enumerate(side.type.args)
            ]  # fmt: skip
            return self.tuple_text(parts)
        return Text(f"torch.{name}({left.text}, {right.text})", found)

    def _reflected(self, name: str, left: Text, right: Text) -> Text:
        """A number and a tensor."""
        if name in ("add", "mul", "__and__", "__or__", "__xor__"):
            text = f"torch.{name}({right.text}, {left.text})"
        elif name == "sub":
            text = f"torch.rsub({right.text}, {left.text})"
        elif name == "div":
            text = f"torch.mul(torch.reciprocal({right.text}), {left.text})"
        elif name == "pow":
            text = f"torch.pow({left.text}, {right.text})"
        else:
            wrapped = f"torch.tensor({left.text}, dtype=ops.prim.dtype({right.text}))"
            text = f"torch.{name}({wrapped}, {right.text})"
        return Text(text, TENSOR)

    def _value_UnaryOp(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return self.condition(node)[0]
        value = self.text(node.operand)
        if isinstance(node.op, ast.UAdd):
            return value
        if isinstance(node.op, ast.Invert):
            return Text(f"torch.bitwise_not({value.text})", value.type)
        if type(value.static) in (int, float):
            return self.static(-value.static, node)
        if value.type not in (TENSOR, *NUMBERS):
            raise self.refuse(node, f"bad operand of unary -: {value.type}")
        return Text(f"torch.neg({value.text})", value.type)

    def _value_BoolOp(self, node: ast.BoolOp) -> Any:
        return self.condition(node)[0]

    def _value_Compare(self, node: ast.Compare) -> Any:
        return self.condition(node)[0]

    def _value_IfExp(self, node: ast.IfExp) -> Any:
        test, yes, no = self.condition(node.test)
        if isinstance(test.static, bool):
            with_ = yes if test.static else no
            return self.refined(
                with_, lambda: self.value(node.body if test.static else node.orelse)
            )
        self.inline += 1
        chosen = self.refined(yes, lambda: self.text(node.body))
        other = self.refined(no, lambda: self.text(node.orelse))
        self.inline -= 1
        kind = unify(chosen.type, other.type)
        if kind is None:
            raise self.refuse(
                node, f"the two values of a conditional expression have types {chosen.type} and "
                f"{other.type}; give them one type"
            )  # fmt: skip
        return Text(f"({chosen.text} if {test.text} else {other.text})", kind)

    def once(self, value: Text, node: ast.AST) -> Text:
        """A value that is used several times: computed before, unless reading it is all it takes.

        Raises: RuntimeError where nothing can be computed before.
        """
        if value.static is not UNKNOWN or re.fullmatch(r"[A-Za-z_][\w.]*", value.text):
            return value
        if self.inline:
            raise self.refuse(
                node, "the parts of this value are used one by one in a condition or comprehension;"
                " give the value a name in a statement before"
            )  # fmt: skip
        return self.temporary(value)

    def refined(self, refinements: Refinements, made: Callable[[], Any]) -> Any:
        """What a function gives while names have narrower types."""
        before = self.env
        self.env = {**before, **self._narrowed(refinements)}
        try:
            return made()
        finally:
            self.env = before

    def _narrowed(self, refinements: Refinements) -> dict[str, Text]:
        return {name: Text(self.env[name].text, kind, name=name)
                for name, kind in refinements.items()}  # fmt: skip
