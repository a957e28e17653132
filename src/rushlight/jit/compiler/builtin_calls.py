"""Calls of Python's builtins, of `torch.jit`'s questions, and of what has a form of its own.

Level: jit (12).
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Callable
from typing import Any

from rushlight.base.device import device as Device
from rushlight.jit import annotations as marks
from rushlight.jit.compiler.signatures import as_type
from rushlight.jit.compiler.subscripts import Subscripts
from rushlight.jit.compiler.types import (
    BOOL,
    COMPLEX,
    DEVICE,
    FLOAT,
    INT,
    NONE,
    NUMBERS,
    STR,
    TENSOR,
    Type,
    list_of,
    unify,
    without,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    Iterated,
    Method,
    ModuleMethod,
    ModuleValue,
    PythonObject,
    Sequence,
    Text,
)

_CASTS: dict[Any, Type] = {int: INT, float: FLOAT, bool: BOOL, complex: COMPLEX}
# Builtins that take what operators of the same name take: (operator, result by the first type).
_SAME: dict[Any, tuple[str, Callable[[Type], Type]]] = {
    ord: ("torch.ord", lambda t: INT), chr: ("torch.chr", lambda t: STR),
    hex: ("torch.hex", lambda t: STR), round: ("torch.round", lambda t: FLOAT),
    sorted: ("torch.sorted", lambda t: t), any: ("torch.any", lambda t: BOOL),
    all: ("torch.all", lambda t: BOOL),
}  # fmt: skip


class BuiltinCalls(Subscripts):
    """Calls of what Python itself has."""

    def special_form(self, node: ast.Call) -> Any:
        """The value of a call whose arguments are no values; None for other calls."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in self.env or not name:
            return None
        found = self.source.scope.get(name)
        if found is builtins.isinstance:
            return self.condition(node)[0]
        if found is builtins.super:
            return self._super(node)
        if found is builtins.hasattr:
            return self._has_attribute(node)
        if found is builtins.getattr and len(node.args) in (2, 3):
            key = self.text(node.args[1])
            if not isinstance(key.static, str):
                raise self.refuse(node, "getattr's second argument must be a string literal")
            if len(node.args) == 3 and self._has_attribute(node).static is False:
                return self.value(node.args[2])
            return self.attribute(self.value(node.args[0]), key.static, node)
        return None

    def _super(self, node: ast.Call) -> Any:
        owner = self.source.scope.get("__class__")
        if node.args:
            first = self.value(node.args[0])
            owner = first.value if isinstance(first, PythonObject) else owner
        self_value = next(iter(self.env.values()), None)
        if owner is None or not isinstance(self_value, ModuleValue):
            raise self.refuse(node, "super() is known in methods of modules only")
        return PythonObject(_Super(owner, self_value))

    def _has_attribute(self, node: ast.Call) -> Text:
        owner, key = self.value(node.args[0]), self.text(node.args[1])
        if not isinstance(key.static, str):
            raise self.refuse(node, "hasattr's second argument must be a string literal")
        try:
            self.attribute(owner, key.static, node)
            found = True
        except RuntimeError:
            found = False
        return Text(str(found), BOOL, found)

    def builtin_call(
        self, called: Any, args: list[Any], kwargs: dict[str, Any], node: ast.AST
    ) -> Any:
        """The value of a call of a builtin; None if it is none."""
        for known, method in self._BUILTINS:
            if called is known:
                return method(self, args, kwargs, node)
        try:
            cast, same = _CASTS.get(called), _SAME.get(called)
        except TypeError:
            return None
        if cast is not None:
            return self._cast(called, cast, args, node)
        if same is not None:
            if any(isinstance(arg, Text) and arg.type == TENSOR for arg in args[:1]):
                return self.call(Method(args[0], called.__name__), args[1:], kwargs, node)
            texts = [self.as_text(arg, node) for arg in args]
            given = ", ".join(text.text for text in texts)
            return Text(f"{same[0]}({given})", same[1](texts[0].type))
        return None

    def call(self, called: Any, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        """See `Calls`."""
        raise NotImplementedError

    def _cast(self, called: Any, kind: Type, args: list[Any], node: ast.AST) -> Any:
        if not args:
            return self.static(called(), node)
        value = self.as_text(args[0], node)
        if isinstance(value.static, (int, float, str)) and len(args) == 1:
            return self.static(called(value.static), node)
        if kind == BOOL:
            return self.as_bool(value, node)
        if value.type == kind:
            return value
        if value.type not in (TENSOR, STR, BOOL, *NUMBERS):
            raise self.refuse(node, f"{called.__name__} of a {value.type}")
        return Text(f"{called.__name__}({value.text})", kind)

    # ---- one by one ----------------------------------------------------------------------------

    def _len(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        (value,) = args
        if isinstance(value, (ModuleValue, Sequence)):
            return self.static(len(self.parts_of(value, node)), node)
        if isinstance(value, PythonObject):
            raise self.refuse(node, f"len of a {type(value.value).__name__}")
        if value.type.is_tuple:
            return self.static(len(value.type.args), node)
        if value.type not in (TENSOR, STR) and value.type.name not in ("List", "Dict"):
            raise self.refuse(node, f"object of type {value.type} has no len()")
        return Text(f"torch.len({value.text})", INT)

    def _print(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if kwargs:
            raise self.refuse(node, "print doesn't accept any keyword arguments")
        given = ", ".join(self.as_text(arg, node).text for arg in args)
        return Text(f"print({given})", NONE)

    def _range(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        texts = [self.as_text(arg, node) for arg in args]
        for text in texts:
            if text.type not in (INT, TENSOR):
                raise self.refuse(node, f"range expected int arguments, got {text.type}")
        given = ", ".join(f"int({t.text})" if t.type == TENSOR else t.text for t in texts)
        static = range(*[t.static for t in texts]) if all(
            type(t.static) is int for t in texts) else UNKNOWN  # fmt: skip
        return Text(f"range({given})", list_of(INT), static)

    def _enumerate(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        start = kwargs.get("start", args[1] if len(args) > 1 else None)
        first = 0 if start is None else self.as_text(start, node).static
        if self.has_known_length(args[0]):
            parts = self.parts_of(args[0], node)
            return Sequence(
                [Sequence([self.static(first + i, node), part]) for i, part in enumerate(parts)]
            )
        return Iterated("enumerate", [args[0]], self.static(first, node))

    def _zip(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if any(self.has_known_length(arg) for arg in args):
            count = min(len(self.parts_of(arg, node)) for arg in args if self.has_known_length(arg))
            columns = [self._first_parts(arg, count, node) for arg in args]
            return Sequence([Sequence(list(row)) for row in zip(*columns)])
        return Iterated("zip", args, None)

    @staticmethod
    def has_known_length(value: Any) -> bool:
        """Whether loops over a value are unrolled."""
        if isinstance(value, Text):
            return value.type.is_tuple
        return isinstance(value, (ModuleValue, Sequence))

    def _first_parts(self, value: Any, count: int, node: ast.AST) -> list[Any]:
        if isinstance(value, Text) and not value.type.is_tuple:
            kind = self.element_of(value, node)
            form = "torch.select({}, 0, {})" if value.type == TENSOR else "({})[{}]"
            value = self.once(value, node)
            return [Text(form.format(value.text, i), kind) for i in range(count)]
        return self.parts_of(value, node)[:count]

    def _reversed(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        return Sequence(self.parts_of(args[0], node)[::-1])

    def _min(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        return self._least("min", args, node)

    def _max(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        return self._least("max", args, node)

    def _least(self, name: str, args: list[Any], node: ast.AST) -> Any:
        texts = [self.as_text(arg, node) for arg in args]
        if texts[0].type == TENSOR:
            return self.call(Method(texts[0], name), texts[1:], {}, node)
        kind = texts[0].type.args[0] if len(texts) == 1 and texts[0].type.args else texts[0].type
        if any(text.type == FLOAT for text in texts):
            kind = FLOAT
        found = texts[0]
        for text in texts[1:]:
            found = Text(f"ops.prim.{name}({found.text}, {text.text})", kind)
        return found if len(texts) > 1 else Text(f"ops.prim.{name}({found.text})", kind)

    def _abs(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        value = self.as_text(args[0], node)
        space = "torch" if value.type == TENSOR else "ops.prim"
        return Text(f"{space}.abs({value.text})", value.type)

    def _sum(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        value = self.as_text(args[0], node)
        if value.type == TENSOR:
            return Text(f"torch.sum({value.text}, 0)", TENSOR)
        if value.type.name != "List" or value.type.args[0] not in NUMBERS:
            raise self.refuse(node, f"sum of a {value.type}; add in a loop")
        return Text(f"torch.sum({value.text})", value.type.args[0])

    def _pow(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        left, right = (self.as_text(arg, node) for arg in args)
        return self.binary("pow", left, right, node)

    def _str(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        value = self.as_text(args[0], node)
        return value if value.type == STR else Text(f"torch.str({value.text})", STR)

    def _list(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if not args:
            return Text("annotate(List[Tensor], [])", list_of(TENSOR), [])
        (value,) = args
        if isinstance(value, (ModuleValue, Sequence)):
            return Sequence(self.parts_of(value, node))
        text = self.as_text(value, node)
        if text.text.startswith("range("):
            return Text(f"[i for i in {text.text}]", text.type)
        if text.type.name == "List":
            return Text(f"torch.list({text.text})", text.type)
        if text.type.is_tuple and len(set(text.type.args)) == 1:
            text = self.once(text, node)
            inside = ", ".join(f"({text.text})[{i}]" for i in range(len(text.type.args)))
            return Text(f"[{inside}]", list_of(text.type.args[0]))
        if text.type.name == "Dict":
            return Text(f"torch.keys({text.text})", list_of(text.type.args[0]))
        if text.type == TENSOR:
            return Text(f"torch.unbind({text.text}, 0)", list_of(TENSOR))
        raise self.refuse(node, f"list of a {text.type}")

    def _tuple(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if not args:
            return self.tuple_text([])
        if isinstance(args[0], Text) and not args[0].type.is_tuple:
            raise self.refuse(node, "cannot convert a list to a tuple: its length isn't known")
        parts = self.parts_of(args[0], node)
        if all(isinstance(part, Text) for part in parts):
            return self.tuple_text(parts)
        return Sequence(parts)

    def _dict(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        if args and isinstance(args[0], Text) and args[0].type.name == "Dict":
            return Text(f"torch.copy({args[0].text})", args[0].type)
        if args:
            raise self.refuse(node, "dict of this; write the entries")
        texts = {name: self.as_text(value, node) for name, value in kwargs.items()}
        if not texts:
            return Text("annotate(Dict[str, Tensor], {})", Type("Dict", (STR, TENSOR)), {})
        kind: Type | None = None
        for text in texts.values():
            kind = text.type if kind is None else unify(kind, text.type)
        if kind is None:
            raise self.refuse(node, "the values of a dictionary must have one type")
        pairs = ", ".join(f'"{name}": {text.text}' for name, text in texts.items())
        return Text(f"{{{pairs}}}", Type("Dict", (STR, kind)))

    def _divmod(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        left, right = (self.once(self.as_text(arg, node), node) for arg in args)
        pair = [self.binary("floordiv", left, right, node),
                self.binary("remainder", left, right, node)]  # fmt: skip
        return self.tuple_text(pair)

    # ---- torch's own ---------------------------------------------------------------------------

    def _annotate(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        kind = self.annotated_type(args[0], node)
        value = self.as_text(args[1], node)
        return self.with_type(value, kind, node)

    def annotated_type(self, value: Any, node: ast.AST) -> Type:
        """The type that an expression names."""
        python = value.value if isinstance(value, PythonObject) else getattr(value, "static", None)
        kind = self.unit.annotated(python)
        if kind is None:
            raise self.unsupported(node, f"Unknown type annotation: {python!r}")
        return kind

    def with_type(self, value: Text, kind: Type, node: ast.AST) -> Text:
        """A value with a wider type that is written for it."""
        text = as_type(value, kind)
        if text is None:
            raise self.refuse(node, f"expected a value of type {kind}, found {value.type}")
        if not text.startswith("annotate(") and value.type != kind:
            text = f"annotate({kind}, {text})"
        return Text(text, kind, value.static if kind.name != "Optional" else UNKNOWN)

    def _scripting(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        return self.static(True, node)

    def _tracing(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        return self.static(False, node)

    def _typed_question(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        value, kinds = args[0], self.kinds_of(args[1], node)
        if not isinstance(value, Text):
            return self.static(False, node)
        found = any(self.unit.annotated(kind) == value.type for kind in kinds)
        return self.static(found, node)

    def _unwrap(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        value = self.as_text(args[0], node)
        kind = without(value.type, (NONE,))
        return Text(f"ops.prim.unchecked_unwrap_optional({value.text})", kind)

    def _warn(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        return Text(f"torch.warn({self.as_text(args[0], node).text}, 2)", NONE)

    def _device(self, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        texts = [self.as_text(arg, node) for arg in args]
        if len(texts) == 1 and isinstance(texts[0].static, str):
            return self.static(Device(texts[0].static), node)
        if texts[0].type == DEVICE:
            return texts[0]
        return Text(f"torch.device({', '.join(text.text for text in texts)})", DEVICE)

    _BUILTINS: list[tuple[Any, Callable[..., Any]]] = [
        (len, _len), (print, _print), (range, _range), (enumerate, _enumerate), (zip, _zip),
        (reversed, _reversed), (min, _min), (max, _max), (abs, _abs), (sum, _sum), (pow, _pow),
        (str, _str), (list, _list), (tuple, _tuple), (dict, _dict), (divmod, _divmod),
        (marks.annotate, _annotate), (marks.is_scripting, _scripting),
        (marks.is_tracing, _tracing), (marks.isinstance, _typed_question),
        (warnings.warn, _warn), (Device, _device),
    ]  # fmt: skip


class _Super:
    """`super()` in a method of a module."""

    def __init__(self, owner: type, self_value: ModuleValue) -> None:
        self.owner, self.self_value = owner, self_value

    def __getattr__(self, name: str) -> Any:
        classes = type(self.self_value.concrete.module).__mro__
        for one in classes[classes.index(self.owner) + 1 :]:
            if name in vars(one):
                return ModuleMethod(self.self_value, vars(one)[name], name)
        raise AttributeError(name)
