"""Calls: of modules, functions, operators, and methods of values.

What is called is found by the object that its name stands for, so that it makes no difference how
it was imported.  Level: jit (12).
"""

from __future__ import annotations

import ast
import enum
import inspect
import types
from typing import Any

from rushlight.jit.compiler.builtin_calls import BuiltinCalls
from rushlight.jit.compiler.functional import (
    CONVERSIONS,
    Operator,
    functional_call,
    gathered,
    is_operator,
    operator_of,
)
from rushlight.jit.compiler.library_forms import FUNCTIONS
from rushlight.jit.compiler.results import METHODS, of_number_function, result_of
from rushlight.jit.compiler.signatures import as_type, bind
from rushlight.jit.compiler.types import (
    NONE,
    STR,
    TENSOR,
    Type,
    list_of,
    optional,
)
from rushlight.jit.compiler.values import (
    Method,
    ModuleMethod,
    ModuleValue,
    PythonObject,
    Sequence,
    Text,
)
from rushlight.nn.modules.module import Module
from rushlight.tensor.tensor import Tensor

_MARK = "_torchscript_modifier"


class Calls(BuiltinCalls):
    """Values of calls."""

    def _value_Call(self, node: ast.Call) -> Any:
        special = self.special_form(node)
        if special is not None:
            return special
        called = self.value(node.func)
        args = self.spread(node.args)
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.unsupported(
                    node, "keyword-arg expansion is not supported; write the keywords"
                )
            kwargs[keyword.arg] = self.value(keyword.value)
        return self.call(called, args, kwargs, node)

    def call(self, called: Any, args: list[Any], kwargs: dict[str, Any], node: ast.AST) -> Any:
        """What a call returns."""
        if isinstance(called, ModuleValue):
            called = self.attribute(called, "forward", node)
        if isinstance(called, ModuleMethod):
            return self._module_call(called, args, kwargs, node)
        if isinstance(called, Method):
            return self._method_call(called, args, kwargs, node)
        if isinstance(called, PythonObject):
            return self._object_call(called.value, args, kwargs, node)
        raise self.refuse(node, f"'{getattr(called, 'type', called)}' object is not callable")

    def texts(
        self, args: list[Any], kwargs: dict[str, Any], node: ast.AST
    ) -> tuple[list[Text], dict[str, Text]]:
        """Arguments as text."""
        return ([self.as_text(arg, node) for arg in args],
                {name: self.as_text(value, node) for name, value in kwargs.items()})  # fmt: skip

    # ---- functions and methods of the program --------------------------------------------------

    def _module_call(
        self, called: ModuleMethod, args: list[Any], kwargs: dict[str, Any], node: ast.AST
    ) -> Any:
        owner = called.owner
        replaced = self._marked(called.function, called.name, node)
        if replaced is not None:
            return replaced
        method = self.unit.method(owner.concrete, called.function, called.name, self, node)
        given = bind(self.source, node, called.name, method.signature,
                     *self.texts(args, kwargs, node))  # fmt: skip
        result = self._result(method, node)
        return Text(f"({owner.text}).{method.name}({given})", result)

    def _result(self, compiled: Any, node: ast.AST) -> Type:
        result = compiled.signature.result
        if result is None:
            raise self.refuse(
                node, f"function '{compiled.name}' is called recursively. Recursive calls need a "
                "return annotation"
            )  # fmt: skip
        return result

    def _marked(self, function: Any, name: str, node: ast.AST) -> Text | None:
        """What a call of a function that is left out of TorchScript does."""
        mark = getattr(function, _MARK, None)
        if mark == "ignore":
            raise self.refuse(
                node, f"Could not export Python function call '{name}'. Remove calls to Python "
                "functions before export: mark it @torch.jit.unused, which raises when it is "
                "called, or let it be compiled"
            )  # fmt: skip
        if mark != "unused":
            return None
        result = self.unit.signature(function).result or TENSOR
        self.raised(f'"{name} is marked @torch.jit.unused"', "NotImplementedError")
        return Text(f"uninitialized({result})" if result != NONE else "None", result)

    def raised(self, message: str, kind: str) -> None:
        """Write a raise."""
        raise NotImplementedError

    def _object_call(
        self, called: Any, args: list[Any], kwargs: dict[str, Any], node: ast.AST
    ) -> Any:
        if isinstance(called, Operator):
            return self.operator(called.__name__, *self.texts(args, kwargs, node), node)
        builtin = self.builtin_call(called, args, kwargs, node)
        if builtin is not None:
            return builtin
        form = FUNCTIONS.get(called) if _is_hashable(called) else None
        if form is None:
            known = operator_of(called)
            if known is not None:
                return self._known_call(called, *known, args, kwargs, node)
        if isinstance(called, type):
            return self._class_call(called, args, kwargs, node)
        function = form or getattr(called, "_function", called)
        if isinstance(function, types.MethodType) and isinstance(function.__self__, Module):
            raise self.refuse(
                node, f"'{function.__name__}' is bound to another module; call it on a submodule"
            )
        if not isinstance(inspect.unwrap(function), types.FunctionType):
            raise self.refuse(
                node, f"Python builtin {called!r} is currently not supported in Torchscript"
            )
        replaced = self._marked(function, function.__name__, node)
        if replaced is not None:
            return replaced
        compiled = self.unit.function(function)
        given = bind(self.source, node, function.__name__, compiled.signature,
                     *self.texts(args, kwargs, node))  # fmt: skip
        return Text(f"{compiled.name}({given})", self._result(compiled, node))

    def _class_call(
        self, called: type, args: list[Any], kwargs: dict[str, Any], node: ast.AST
    ) -> Any:
        kind = self.unit.class_type(called)
        texts, named = self.texts(args, kwargs, node)
        if kind is not None and kind.kind == "tuple":
            given = dict(zip(kind.fields, texts)) | named
            pieces = []
            defaults = getattr(called, "_field_defaults", {})
            for field, wanted in zip(kind.fields, kind.args):
                value = given.get(field)
                if value is None and field in defaults:
                    value = self.static(defaults[field], node)
                text = None if value is None else as_type(value, wanted)
                if text is None:
                    raise self.refuse(node, f"{called.__name__}: field {field!r} must be {wanted}")
                pieces.append(text)
            return Text(f"{kind}({', '.join(pieces)})", kind)
        if issubclass(called, Tensor) or issubclass(called, Module):
            raise self.refuse(
                node, f"{called.__name__} cannot be made in TorchScript code; make it in __init__"
            )
        if issubclass(called, enum.Enum):
            raise self.refuse(node, f"{called.__name__}: members are written by name, not by value")
        raise self.refuse(
            node, f"class {called.__name__} isn't written to archives here; use a NamedTuple"
        )

    # ---- operators -----------------------------------------------------------------------------

    def _known_call(
        self, called: Any, kind: str, name: str, args: list[Any], kwargs: dict[str, Any],
        node: ast.AST,
    ) -> Text:  # fmt: skip
        if any(isinstance(arg, Sequence) for arg in args):
            args = [self.as_text(arg, node) for arg in args]
        texts, named = self.texts(args, kwargs, node)
        if kind == "math":
            return self._math(name, texts, node)
        if kind == "F":
            if "dtype" not in named and name in ("softmax", "log_softmax"):
                dim = named.get("dim", texts[1] if len(texts) > 1 else None)
                if dim is None or dim.static is None:
                    raise self.refuse(node, f"{name} needs dim; name the axis")
            found = functional_call(
                name, called, texts, named, lambda rule: self.refuse(node, rule)
            )
            if found is None:
                raise self.refuse(
                    node, f"torch.nn.functional.{name} has no form in TorchScript here; write it "
                    "by operators"
                )  # fmt: skip
            return found
        return self.operator(name, texts, named, node)

    def operator(self, name: str, args: list[Text], kwargs: dict[str, Text], node: ast.AST) -> Text:
        """The call of an operator."""
        if "out" in kwargs and kwargs.pop("out").static is not None:
            raise self.refuse(node, f"{name} with out= isn't written; assign what it returns")
        if name == "unique":
            return self._unique(args, kwargs, node)
        if not is_operator(name):
            raise self.refuse(
                node, f"Unknown builtin op: aten::{name}. rushlight has no operator of this name "
                "for TorchScript; write it by others"
            )  # fmt: skip
        args = gathered(name, args)
        if name == "where" and len(args) == 3:
            args = [args[0], *[Text(a.text, a.type) for a in args[1:]]]
        given = [arg.text for arg in args]
        given += [f"{key}={value.text}" for key, value in kwargs.items()]
        result = result_of(name, [arg.type for arg in args], set(kwargs))
        if name == "nonzero" and "as_tuple" in kwargs:
            if kwargs["as_tuple"].static is True:
                return Text(f"torch.nonzero_numpy({args[0].text})", list_of(TENSOR))
            return Text(f"torch.nonzero({args[0].text})", TENSOR)
        return Text(f"torch.{name}({', '.join(given)})", result)

    def _unique(self, args: list[Text], kwargs: dict[str, Text], node: ast.AST) -> Text:
        if len(args) != 1 or any(k != "sorted" for k in kwargs):
            raise self.refuse(node, "unique with inverses, counts or dim isn't written")
        return Text(f"(torch._unique2({args[0].text}, True, False, False))[0]", TENSOR)

    def _math(self, name: str, args: list[Text], node: ast.AST) -> Text:
        for arg in args:
            if arg.type == TENSOR:
                raise self.refuse(node, f"math.{name} of a tensor; use torch.{name}")
        name = "abs" if name == "fabs" else name
        if not is_operator(name):
            raise self.refuse(node, f"math.{name} isn't written; compute it before")
        kind = of_number_function(name, args[0].type)
        return Text(f"torch.{name}({', '.join(arg.text for arg in args)})", kind)

    # ---- methods of values ---------------------------------------------------------------------

    def _method_call(
        self, called: Method, args: list[Any], kwargs: dict[str, Any], node: ast.AST
    ) -> Any:
        owner, name = called.owner, called.name
        if isinstance(owner, ModuleValue):
            return self.unit.view(owner, name)
        if isinstance(owner, Sequence):
            raise self.refuse(node, f"modules in a sequence have no method {name!r}")
        texts, named = self.texts(args, kwargs, node)
        kind = owner.type
        if kind == TENSOR:
            return self._tensor_method(owner, name, texts, named, node)
        if kind == STR and name == "format":
            given = "".join(f", {text.text}" for text in texts)
            return Text(f"torch.format({owner.text}{given})", STR)
        if kind.name == "Dict" and name == "get":
            found = kind.args[1] if len(texts) > 1 else optional(kind.args[1])
            return self._plain_method(owner, name, texts, named, found)
        rule = METHODS.get(kind.name, {}).get(name)
        if rule is None:
            raise self.refuse(
                node, f"'{kind}' object has no attribute or method '{name}'. Did you forget to "
                "initialize an attribute in __init__()?"
            )  # fmt: skip
        if kind.name == "List" and name in ("append", "insert"):
            wanted = as_type(texts[-1], kind.args[0])
            if wanted is None:
                raise self.refuse(
                    node, f"Could not match type {texts[-1].type} to {kind.args[0]} in a call of "
                    f"{name}: annotate the list where it is made, e.g. "
                    f"`items: List[{texts[-1].type}] = []`"
                )  # fmt: skip
            texts[-1].text = wanted
        return self._plain_method(owner, name, texts, named, rule(kind))

    @staticmethod
    def _plain_method(
        owner: Text, name: str, args: list[Text], kwargs: dict[str, Text], kind: Type
    ) -> Text:
        given = [owner.text, *[arg.text for arg in args]]
        given += [f"{key}={value.text}" for key, value in kwargs.items()]
        return Text(f"torch.{name}({', '.join(given)})", kind)

    def _tensor_method(
        self, owner: Text, name: str, args: list[Text], kwargs: dict[str, Text], node: ast.AST
    ) -> Text:
        if name in CONVERSIONS:
            return Text(f"torch.to({owner.text}, {CONVERSIONS[name]})", TENSOR)
        if name == "type" and args:
            return Text(f"torch.to({owner.text}, {args[0].text})", TENSOR)
        if name == "tolist":
            raise self.refuse(
                node, "tolist() needs an annotated variable: `items: List[float] = x.tolist()`"
            )
        if name in ("__getitem__", "__setitem__") or (name.startswith("__") and not args):
            raise self.refuse(node, f"{name} isn't called by its name in TorchScript")
        if name == "split" and args and args[0].type.name in ("List", "Tuple"):
            name = "split_with_sizes"
        if name == "split":
            found = self.operator("split", [owner, *args], kwargs, node)
            return Text(found.text, list_of(TENSOR))
        return self.operator(name, [owner, *args], kwargs, node)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
