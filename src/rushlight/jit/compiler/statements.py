"""Statements: assignments, branches, loops, returns, errors; and the text of a whole function.

What a name stands for is followed along every path: after a branch it has what both sides gave it,
and inside a loop it keeps the type that it had before.  Level: jit (12).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from rushlight.jit.compiler.expressions import Refinements, Undefined
from rushlight.jit.compiler.frontend import Source
from rushlight.jit.compiler.loops import Loops
from rushlight.jit.compiler.signatures import Signature, as_type
from rushlight.jit.compiler.types import (
    NONE,
    STR,
    Type,
    is_subtype,
    unify,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    ModuleValue,
    PythonObject,
    Text,
    literal,
    quoted,
)

_RETURNED = "@returned@"


class FunctionCompiler(Loops):
    """One function or method.

    owner: `self` for methods.  After `compile`, `lines` are those of the body.
    """

    def __init__(
        self, unit: Any, source: Source, signature: Signature, owner: ModuleValue | None
    ) -> None:
        self.unit, self.source, self.signature, self.owner = unit, source, signature, owner
        self.env: dict[str, Any] = {}
        self.lines: list[str] = []
        self.depth = 0
        self.outer: list[dict[str, Any]] = []
        self.result: Type | None = signature.result
        self.loops: list[str] = []
        self.temporaries = 0

    def compile(self) -> None:
        """Compile the body.  Raises: RuntimeError for what TorchScript does not have."""
        tree = self.source.tree
        names = [a.arg for a in (*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs)]
        if self.owner is not None:
            self.env[names[0]] = self.owner
        for parameter in self.signature.parameters:
            self.env[parameter.name] = Text(parameter.name, parameter.type, name=parameter.name)
        exits = self.block(tree.body)
        if not exits:
            if self.result is None:
                self.result = NONE
            if self.result != NONE:
                if not is_subtype(NONE, self.result):
                    raise self.refuse(
                        tree, f"Function was not annotated as having type None, but does not "
                        f"return along all paths; it returns {self.result}"
                    )  # fmt: skip
                self.line("return None")
        if self.result is None:
            self.result = NONE
        kind = self.result
        value = "None" if kind == NONE else f"uninitialized({kind})"
        self.lines = [line.replace(_RETURNED, value) for line in self.lines] or ["pass"]
        self.signature.result = kind

    def block(self, body: list[ast.stmt]) -> bool:
        """Write statements; returns whether none of what follows is reached."""
        for statement in body:
            method = getattr(self, f"_write_{type(statement).__name__}", None)
            if method is None:
                raise self.unsupported(
                    statement, f"{type(statement).__name__} statements aren't supported in "
                    "TorchScript; mark the function @torch.jit.unused or write it without"
                )  # fmt: skip
            if method(statement):
                return True
        return False

    def branch(self, body: Callable[[], bool], refinements: Refinements) -> tuple[bool, dict]:
        """Write an indented block in a scope of its own: (whether it exits, its names)."""
        before = self.env
        self.outer.append(before)
        self.env = {**before, **self._narrowed(refinements)}
        with self._indented():
            exits = body()
        self.outer.pop()
        after, self.env = self.env, before
        return exits, after

    # ---- branches ------------------------------------------------------------------------------

    def _write_If(self, node: ast.If) -> bool:
        test, yes, no = self.condition(node.test)
        if isinstance(test.static, bool):
            self.env.update(self._narrowed(yes if test.static else no))
            return self.block(node.body if test.static else node.orelse)
        self.line(f"if {test.text}:")
        one = self.branch(lambda: self.block(node.body), yes)
        self.line("else:")
        other = self.branch(lambda: self.block(node.orelse), no)
        return self._join(one, other)

    def _join(self, one: tuple[bool, dict], other: tuple[bool, dict]) -> bool:
        if one[0] and other[0]:
            return True
        if one[0] or other[0]:
            self.env = other[1] if one[0] else one[1]
            return False
        joined: dict[str, Any] = {}
        for name in {**one[1], **other[1]}:
            left, right = one[1].get(name), other[1].get(name)
            joined[name] = self._joined(name, left, right)
        self.env = joined
        return False

    @staticmethod
    def _joined(name: str, left: Any, right: Any) -> Any:
        if left is right or isinstance(left, Undefined):
            return left
        if isinstance(right, Undefined):
            return right
        if left is None or right is None:
            side = "true" if left is None else "false"
            return Undefined(f"it has no value on the {side} side of an if")
        if isinstance(left, Text) and isinstance(right, Text):
            kind = unify(left.type, right.type)
            if kind is None:
                return Undefined(
                    f"Type mismatch: {name} is set to type {left.type} in the true branch and "
                    f"type {right.type} in the false branch"
                )
            return Text(left.text, kind, name=left.name)
        return left if left == right else Undefined("it is another module on each side of an if")

    def _write_Assert(self, node: ast.Assert) -> None:
        test, yes, _ = self.condition(node.test)
        message = "" if node.msg is None else f", {self.text(node.msg).text}"
        if test.static is not True:
            self.line(f"assert {test.text}{message}")
        self.env.update(self._narrowed(yes))

    def _write_Raise(self, node: ast.Raise) -> bool:
        if node.exc is None:
            raise self.unsupported(node, "raise without an exception isn't supported")
        message, kind = '""', node.exc
        if isinstance(node.exc, ast.Call):
            kind = node.exc.func
            texts = [self.text(arg) for arg in node.exc.args]
            if texts:
                message = texts[0].text if texts[0].type == STR else f"torch.str({texts[0].text})"
        found = self.value(kind)
        if not (isinstance(found, PythonObject) and isinstance(found.value, type) and issubclass(
            found.value, BaseException)):  # fmt: skip
            raise self.refuse(node, "exceptions must derive from BaseException")
        name = found.value.__name__
        module = "builtins" if found.value.__module__ == "builtins" else found.value.__module__
        self.raised(message, f"{module}.{name}")
        self.line(f"return {_RETURNED}")
        return True

    def raised(self, message: str, kind: str) -> None:
        """Write a raise."""
        kind = kind if "." in kind else f"builtins.{kind}"
        self.line(f"ops.prim.RaiseException({message}, {quoted(kind)})")

    # ---- others --------------------------------------------------------------------------------

    def _write_Return(self, node: ast.Return) -> bool:
        value = Text("None", NONE, None) if node.value is None else self.text(node.value)
        if self.result is None:
            self.result = value.type
        text = as_type(value, self.result)
        if text is None and self.signature.result is None:
            wider = unify(self.result, value.type)
            if wider is not None:
                self.result, text = wider, value.text
        if text is None:
            raise self.refuse(
                node, f"Return value was annotated as having type {self.result} but is actually of "
                f"type {value.type}"
            )  # fmt: skip
        self.line(f"return {text}")
        return True

    def _write_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        value = self.value(node.value)
        if not isinstance(value, Text) or value.static is not UNKNOWN:
            return
        if value.text in ("None",) or value.text.startswith("uninitialized("):
            return
        if value.type != NONE:
            self.line(f"_{self.temporaries} = {value.text}")
            self.temporaries += 1
        else:
            self.line(value.text)

    def _write_Pass(self, node: ast.Pass) -> None:
        return None

    def _write_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.env[target.id] = Undefined("it was deleted")
                continue
            if not isinstance(target, ast.Subscript):
                raise self.unsupported(node, "del of this isn't supported")
            owner, key = self.text(target.value), self.text(target.slice)
            self.line(f"torch.Delete({owner.text}, {key.text})")

    def _write_With(self, node: ast.With) -> bool:
        return self._entered(node, list(node.items))

    def _entered(self, node: ast.With, items: list[ast.withitem]) -> bool:
        if not items:
            return self.block(node.body)
        call = items[0].context_expr
        found = self.value(call.func) if isinstance(call, ast.Call) else None
        python = found.value if isinstance(found, PythonObject) else None
        entered = self.unit.context_class(python)
        if entered is None:
            raise self.unsupported(
                node, "with of this object isn't supported in TorchScript here; torch.no_grad() "
                "and torch.enable_grad() are"
            )  # fmt: skip
        made = self.temporary(Text(f"{entered}.__new__({entered})", Type(entered)))
        self.temporary(Text(f"({made.text}).__init__()", NONE))
        self.line(f"with {made.text}:")
        before = len(self.lines)
        self.depth += 1
        exits = self._entered(node, items[1:])
        if len(self.lines) == before:
            self.line("pass")
        self.depth -= 1
        return exits


def definition(name: str, owner: str, signature: Signature, lines: list[str], indent: int) -> str:
    """The text of a function or method.  owner: the class's name for methods."""
    pad = " " * indent
    given = [f"self: {owner}"] if owner else []
    for parameter in signature.parameters:
        default = ""
        if parameter.default is not UNKNOWN:
            text = literal(parameter.default)
            if text is None:
                raise RuntimeError(
                    f"jit.save: the default of {parameter.name} in {name} has no form in "
                    f"TorchScript: {parameter.default!r}; give None and choose it inside"
                )
            default = f"={text}"
        given.append(f"{parameter.name}: {parameter.type}{default}")
    head = f",\n{pad}    ".join(given)
    body = "".join(f"{pad}  {line}\n" for line in lines)
    return f"{pad}def {name}({head}) -> {signature.result}:\n{body}"
