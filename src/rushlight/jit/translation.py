"""From the text of an archive's code to Python functions that can do nothing else.

In: a function's syntax tree, as Python's parser gives it for TorchScript's serialized form.  Out: a
Python function made of a tree that is built here, piece by piece: of the file's text it holds
nothing but local names, given a prefix, and constants.  What it calls are operators of
`operators.py`, and functions and methods of the same archive; it has no builtins.  Anything else is
refused with its line.  Level: jit (12).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

from rushlight.jit.calls import Effects
from rushlight.jit.operators import operator_named, primitive_named
from rushlight.tensor.tensor import Tensor

_CASTS: dict[str, Callable[[Any], Any]] = {
    "int": int, "float": float, "bool": bool, "complex": complex,
}  # fmt: skip
_NUMBERS = {"inf": math.inf, "nan": math.nan, "infj": complex(0, math.inf)}
_KINDS = {
    "int": int, "float": float, "bool": bool, "str": str, "Tensor": Tensor, "complex": complex,
    "NoneType": type(None), "List": list, "Dict": dict, "Tuple": tuple, "number": (int, float),
}  # fmt: skip


def refusal(node: ast.AST, what: str) -> RuntimeError:
    """The error for text that is not understood."""
    line = getattr(node, "lineno", 0)
    return RuntimeError(f"TorchScript code, line {line}: {what} is not supported")


def path_of(node: ast.AST) -> list[str] | None:
    """The names of a dotted expression; None for other expressions."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    names.append(node.id)
    return names[::-1]


class Translator:
    """One function.

    unit: the archive: gives `named(path)` for functions and classes, `constant(name)`, and what
        members of its objects are (`member`, `set_member`, `method`).
    """

    def __init__(self, unit: Any) -> None:
        self.unit = unit
        self.scope: dict[str, Any] = {"__builtins__": {}}
        self.known: dict[int, str] = {}

    # ---- pieces of the new tree ----------------------------------------------------------------

    def _value(self, value: Any) -> ast.expr:
        """An expression for a Python object."""
        name = self.known.get(id(value))
        if name is None:
            name = f"k{len(self.scope)}"
            self.scope[name] = value
            self.known[id(value)] = name
        return ast.Name(name, ast.Load())

    def _call(self, function: Any, *args: ast.expr) -> ast.expr:
        return ast.Call(self._value(function), list(args), [])

    def _local(self, name: str, context: ast.expr_context) -> ast.expr:
        return ast.Name("v_" + name, context)

    # ---- functions -----------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef) -> Callable[..., Any]:
        """The function.  Raises: RuntimeError for what the serialized form does not have."""
        given = node.args
        if given.vararg or given.kwarg or given.posonlyargs or node.decorator_list:
            raise refusal(node, "this kind of function")
        arguments = [ast.arg("v_" + a.arg) for a in given.args]
        defaults = [self._expression(d) for d in given.defaults]
        extra = [ast.arg("v_" + a.arg) for a in given.kwonlyargs]
        extra_defaults = [None if d is None else self._expression(d) for d in given.kw_defaults]
        made = ast.FunctionDef(
            name="translated",
            args=ast.arguments([], arguments, None, extra, extra_defaults, None, defaults),
            body=self._block(node.body),
            decorator_list=[],
        )
        tree = ast.fix_missing_locations(ast.Module([made], []))
        exec(compile(tree, f"<TorchScript {node.name}>", "exec"), self.scope)
        function = self.scope["translated"]
        if _has_effects(node):
            function = _counted(function)
        return _named_arguments(function, [a.arg for a in [*given.args, *given.kwonlyargs]])

    def constant(self, node: ast.expr) -> Any:
        """The value of an expression in a class."""
        tree = ast.fix_missing_locations(ast.Expression(self._expression(node)))
        return eval(compile(tree, "<TorchScript constant>", "eval"), self.scope)

    # ---- statements ----------------------------------------------------------------------------

    def _block(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        return [self._statement(node) for node in nodes] or [ast.Pass()]

    def _statement(self, node: ast.stmt) -> ast.stmt:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return self._assignment(node.targets[0], node.value)
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return self._assignment(node.target, node.value)
        if isinstance(node, ast.Expr):
            return ast.Expr(self._expression(node.value))
        if isinstance(node, ast.If):
            test = self._expression(node.test)
            otherwise = self._block(node.orelse) if node.orelse else []
            return ast.If(test, self._block(node.body), otherwise)
        if isinstance(node, ast.While) and not node.orelse:
            return ast.While(self._expression(node.test), self._block(node.body), [])
        if isinstance(node, ast.For) and not node.orelse:
            target = self._target(node.target)
            return ast.For(target, self._expression(node.iter), self._block(node.body), [])
        if isinstance(node, ast.Return):
            return ast.Return(None if node.value is None else self._expression(node.value))
        if isinstance(node, ast.With):
            return self._with(node)
        if isinstance(node, (ast.Pass, ast.Break, ast.Continue)):
            return type(node)()
        if isinstance(node, ast.Assert):
            message = None if node.msg is None else self._expression(node.msg)
            return ast.Assert(self._expression(node.test), message)
        raise refusal(node, f"a statement of kind {type(node).__name__}")

    def _assignment(self, target: ast.expr, value: ast.expr) -> ast.stmt:
        made = self._expression(value)
        if isinstance(target, ast.Attribute):
            owner, name = self._expression(target.value), ast.Constant(target.attr)
            return ast.Expr(self._call(self.unit.set_member, owner, name, made))
        return ast.Assign([self._target(target)], made)

    def _target(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Name):
            return self._local(node.id, ast.Store())
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self._target(part) for part in node.elts], ast.Store())
        raise refusal(node, f"assignment to {type(node).__name__}")

    def _with(self, node: ast.With) -> ast.stmt:
        items = []
        for item in node.items:
            entered = self._call(_Entering, self._expression(item.context_expr))
            bound = None if item.optional_vars is None else self._target(item.optional_vars)
            items.append(ast.withitem(entered, bound))
        return ast.With(items, self._block(node.body))

    # ---- expressions ---------------------------------------------------------------------------

    def _expression(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Constant):
            if node.value is Ellipsis:
                raise refusal(node, "an ellipsis")
            return ast.Constant(node.value)
        if isinstance(node, ast.Name):
            if node.id in _NUMBERS:
                return self._value(_NUMBERS[node.id])
            return self._local(node.id, ast.Load())
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript):
            key = self._expression(node.slice)
            return self._call(operator_named("__getitem__"), self._expression(node.value), key)
        if isinstance(node, (ast.List, ast.Tuple)):
            return type(node)([self._expression(part) for part in node.elts], ast.Load())
        if isinstance(node, ast.Dict):
            keys: list[ast.expr | None] = [
                self._expression(key) for key in node.keys if key is not None
            ]
            if len(keys) != len(node.keys):
                raise refusal(node, "unpacking a dictionary")
            return ast.Dict(keys, [self._expression(value) for value in node.values])
        if isinstance(node, ast.IfExp):
            test, chosen = self._expression(node.test), self._expression(node.body)
            return ast.IfExp(test, chosen, self._expression(node.orelse))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            return ast.UnaryOp(type(node.op)(), self._expression(node.operand))
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(type(node.op)(), [self._expression(part) for part in node.values])
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            parts = [self._expression(part) for part in node.comparators]
            return ast.Compare(self._expression(node.left), [type(op)() for op in node.ops], parts)
        if isinstance(node, ast.ListComp):
            return ast.ListComp(self._expression(node.elt), self._generators(node))
        if isinstance(node, ast.DictComp):
            key, value = self._expression(node.key), self._expression(node.value)
            return ast.DictComp(key, value, self._generators(node))
        raise refusal(node, f"an expression of kind {type(node).__name__}")

    def _generators(self, node: ast.ListComp | ast.DictComp) -> list[ast.comprehension]:
        if any(one.ifs or one.is_async for one in node.generators):
            raise refusal(node, "a condition in a comprehension")
        return [ast.comprehension(self._target(one.target), self._expression(one.iter), [], 0)
                for one in node.generators]  # fmt: skip

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        path = path_of(node)
        if path is not None and path[0] == "CONSTANTS":
            return self._value(self.unit.constant(path[-1]))
        if path is not None and path[0] == "__torch__":
            return self._value(self.unit.named(".".join(path)))
        if path is not None and path[0] in ("torch", "ops"):
            return self._value(self._operator(node, path))
        return self._call(self.unit.member, self._expression(node.value), ast.Constant(node.attr))

    def _operator(self, node: ast.AST, path: list[str]) -> Callable[..., Any]:
        if len(path) == 2 and path[0] == "torch":
            return operator_named(path[1])
        if len(path) == 3 and path[:2] == ["ops", "prim"]:
            return primitive_named(path[2])
        if len(path) == 3 and path[:2] == ["ops", "aten"]:
            return operator_named(path[2])
        raise refusal(node, f"operator {'.'.join(path)}")

    def _called(self, node: ast.Call) -> ast.expr:
        function = node.func
        if isinstance(function, ast.Name) and function.id in self._FORMS:
            return self._FORMS[function.id](self, node)
        arguments = [self._expression(a) for a in node.args]
        keywords = []
        for keyword in node.keywords:
            if keyword.arg is None:
                raise refusal(node, "unpacking keywords")
            keywords.append(ast.keyword(keyword.arg, self._expression(keyword.value)))
        if isinstance(function, ast.Name):
            return ast.Call(self._local(function.id, ast.Load()), arguments, keywords)
        if isinstance(function, ast.Attribute):
            path = path_of(function)
            if path is not None and path[0] == "__torch__" and path[-1] == "__new__":
                return self._call(self.unit.named(".".join(path[:-1])).new)
            if path is not None and path[0] in ("torch", "ops", "__torch__"):
                return ast.Call(self._attribute(function), arguments, keywords)
            owner = self._expression(function.value)
            found = self._call(self.unit.method, owner, ast.Constant(function.attr))
            return ast.Call(found, arguments, keywords)
        raise refusal(node, "this call")

    # ---- calls of a form of their own ----------------------------------------------------------

    def _cast(self, node: ast.Call) -> ast.expr:
        assert isinstance(node.func, ast.Name)
        (value,) = node.args
        return self._call(_CASTS[node.func.id], self._expression(value))

    def _annotated(self, node: ast.Call) -> ast.expr:
        kind, value = node.args
        made = self._expression(value)
        if isinstance(kind, ast.Name) and kind.id in _CASTS:
            return self._call(_NUMBER_OF[kind.id], made)
        return made

    def _unchecked(self, node: ast.Call) -> ast.expr:
        return self._expression(node.args[1])

    def _uninitialized(self, node: ast.Call) -> ast.expr:
        return ast.Constant(None)

    def _getattr(self, node: ast.Call) -> ast.expr:
        owner, name = node.args
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            raise refusal(node, "an attribute whose name is computed")
        return self._call(self.unit.member, self._expression(owner), ast.Constant(name.value))

    def _setattr(self, node: ast.Call) -> ast.expr:
        owner, name, value = node.args
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            raise refusal(node, "an attribute whose name is computed")
        parts = (self._expression(owner), ast.Constant(name.value), self._expression(value))
        return self._call(self.unit.set_member, *parts)

    def _isinstance(self, node: ast.Call) -> ast.expr:
        value, kinds = node.args
        listed = kinds.elts if isinstance(kinds, (ast.Tuple, ast.List)) else [kinds]
        found: list[Any] = []
        for kind in listed:
            base = kind.value if isinstance(kind, ast.Subscript) else kind
            if isinstance(base, ast.Name) and base.id in _KINDS:
                known: Any = _KINDS[base.id]
                found.extend(known if isinstance(known, tuple) else (known,))
            elif isinstance(base, ast.Name) and base.id == "Optional":
                raise refusal(node, "isinstance of an optional type")
            else:
                path = path_of(base)
                if path is None or path[0] != "__torch__":
                    raise refusal(node, "isinstance of this type")
                found.append(self.unit.named(".".join(path)))
        return self._call(self.unit.is_instance, self._expression(value), self._value(tuple(found)))

    def _range(self, node: ast.Call) -> ast.expr:
        return self._call(range, *[self._expression(a) for a in node.args])

    def _print(self, node: ast.Call) -> ast.expr:
        return self._call(print, *[self._expression(a) for a in node.args])

    def _fork(self, node: ast.Call) -> ast.expr:
        raise refusal(node, "fork")

    _FORMS: dict[str, Callable[[Translator, ast.Call], ast.expr]] = {
        "int": _cast, "float": _cast, "bool": _cast, "complex": _cast, "annotate": _annotated,
        "unchecked_cast": _unchecked, "uninitialized": _uninitialized, "getattr": _getattr,
        "setattr": _setattr, "print": _print, "isinstance": _isinstance, "range": _range,
        "fork": _fork,
    }  # fmt: skip


def _number(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        return kind(value) if isinstance(value, Tensor) else value

    return convert


_NUMBER_OF = {name: _number(kind) for name, kind in _CASTS.items()}


class _Entering:
    """An object of the archive as a context: its own `__enter__` and `__exit__`."""

    def __init__(self, entered: Any) -> None:
        self.entered = entered

    def __enter__(self) -> Any:
        enter = getattr(self.entered, "call_method", None)
        return None if enter is None else enter("__enter__")

    def __exit__(self, *exception: Any) -> None:
        leave = getattr(self.entered, "call_method", None)
        if leave is not None:
            leave("__exit__", None, None, None)


# Operators that change a list or a dictionary, write a text, or choose how all later ones work.
_CHANGING = frozenset(
    "append extend insert remove reverse clear pop popitem update setdefault sort _set_item Delete"
    " Print warn set_grad_enabled manual_seed seed".split()
)


def _has_effects(node: ast.FunctionDef) -> bool:
    """Whether a function may do more than compute its result; what it calls is not looked at."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute):
            if isinstance(part.ctx, ast.Store) or part.attr in _CHANGING:
                return True
        elif isinstance(part, ast.With) or (
            isinstance(part, ast.Name) and part.id in ("setattr", "print")
        ):
            return True
    return False


def _counted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which says when it ran."""

    def call(*args: Any, **kwargs: Any) -> Any:
        Effects.count += 1
        return function(*args, **kwargs)

    return call


def _named_arguments(function: Callable[..., Any], names: list[str]) -> Callable[..., Any]:
    """The function, which takes keywords under the names without the prefix."""
    known = frozenset(names)

    def call(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            return function(*args)
        for name in kwargs:
            if name not in known:
                raise TypeError(f"got an unexpected keyword argument '{name}'")
        return function(*args, **{"v_" + name: value for name, value in kwargs.items()})

    return call
