"""Containers and texts: tuples, lists, dictionaries, comprehensions and f-strings.

Level: jit (12).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from rushlight.jit.compiler.conditions import Conditions
from rushlight.jit.compiler.types import (
    STR,
    TENSOR,
    Type,
    dict_of,
    list_of,
    unify,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    Iterated,
    ModuleValue,
    Sequence,
    Text,
    quoted,
)


class Containers(Conditions):
    """Values of what holds other values."""

    def _value_Tuple(self, node: ast.Tuple) -> Any:
        parts = self.spread(node.elts)
        if all(isinstance(part, Text) for part in parts):
            return self.tuple_text(parts)
        return Sequence(parts)

    def spread(self, nodes: list[ast.expr]) -> list[Any]:
        """Values of expressions, those with a star one by one."""
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found += self.parts_of(self.value(node.value), node)
            else:
                found.append(self.value(node))
        return found

    def parts_of(self, value: Any, node: ast.AST) -> list[Any]:
        """The parts of a value whose length the compiler knows."""
        if isinstance(value, Sequence):
            return value.parts
        if isinstance(value, ModuleValue):
            return self.unit.children(value, node, self)
        if isinstance(value, Text) and value.type.is_tuple:
            if isinstance(value.static, tuple):
                return [self.static(part, node) for part in value.static]
            held = self.once(value, node)
            return [Text(f"({held.text})[{i}]", kind) for i, kind in enumerate(value.type.args)]
        raise self.refuse(
            node, "only tuples and containers of modules, whose length is known before the code "
            "runs, can be spread or unrolled"
        )  # fmt: skip

    def _value_List(self, node: ast.List) -> Any:
        values = self.spread(node.elts)
        if values and not all(isinstance(value, Text) for value in values):
            return Sequence(values)
        if not values:
            return Text("annotate(List[Tensor], [])", list_of(TENSOR), [])
        kind: Type | None = values[0].type
        for value in values[1:]:
            kind = None if kind is None else unify(kind, value.type)
        if kind is None:
            raise self.refuse(
                node, "Expected all values in list to have one type, found "
                f"{', '.join(str(v.type) for v in values)}; use a tuple"
            )  # fmt: skip
        static: Any = [value.static for value in values]
        inside = ", ".join(value.text for value in values)
        found = Text(f"[{inside}]", list_of(kind), UNKNOWN if UNKNOWN in static else static)
        if any(value.type != kind for value in values):
            found.text = f"annotate({found.type}, {found.text})"
        return found

    def _value_Dict(self, node: ast.Dict) -> Any:
        if any(key is None for key in node.keys):
            raise self.unsupported(node, "unpacking in a dictionary isn't supported in TorchScript")
        keys = [self.text(key) for key in node.keys if key is not None]
        values = [self.text(value) for value in node.values]
        if not keys:
            return Text("annotate(Dict[str, Tensor], {})", dict_of(STR, TENSOR), {})
        kinds: list[Type | None] = []
        for group in (keys, values):
            kind: Type | None = group[0].type
            for value in group[1:]:
                kind = None if kind is None else unify(kind, value.type)
            kinds.append(kind)
        if kinds[0] is None or kinds[1] is None:
            raise self.refuse(node, "Dict keys and values must each have one type")
        pairs = ", ".join(f"{key.text}: {value.text}" for key, value in zip(keys, values))
        made = Text(f"{{{pairs}}}", dict_of(kinds[0], kinds[1]))
        if any(value.type != kinds[1] for value in values):
            made.text = f"annotate({made.type}, {made.text})"
        return made

    def _value_ListComp(self, node: ast.ListComp) -> Any:
        source, bind = self._generator(node)
        if isinstance(source, (Sequence, ModuleValue)) or source.type.is_tuple:
            made = [self._bound(bind, part, node, lambda: self.value(node.elt), True)
                    for part in self.parts_of(source, node)]  # fmt: skip
            texts = [self.as_text(part, node) for part in made]
            kind = texts[0].type if texts else TENSOR
            return Text(f"[{', '.join(part.text for part in texts)}]", list_of(kind))
        over = self.as_text(source, node)
        element = self.element_of(over, node)
        item = Text(bind.id if isinstance(bind, ast.Name) else "_", element)
        found = self._bound(bind, item, node, lambda: self.text(node.elt))
        target = ast.unparse(bind)
        return Text(f"[{found.text} for {target} in {over.text}]", list_of(found.type))

    def _value_DictComp(self, node: ast.DictComp) -> Any:
        source, bind = self._generator(node)
        over = self.as_text(source, node)
        item = Text("_", self.element_of(over, node))
        key = self._bound(bind, item, node, lambda: self.text(node.key))
        value = self._bound(bind, item, node, lambda: self.text(node.value))
        text = f"{{{key.text}: {value.text} for {ast.unparse(bind)} in {over.text}}}"
        return Text(text, dict_of(key.type, value.type))

    def _generator(self, node: ast.ListComp | ast.DictComp) -> tuple[Any, ast.expr]:
        if len(node.generators) > 1:
            raise self.unsupported(
                node, "Only a single generator is currently supported; write two loops"
            )
        (one,) = node.generators
        if one.ifs:
            raise self.unsupported(
                node, "Comprehension ifs are not supported yet; append in a loop with if"
            )
        source = self.value(one.iter)
        if isinstance(source, Iterated):
            raise self.unsupported(
                node, "enumerate and zip in a comprehension isn't supported; write a loop"
            )
        return source, one.target

    def _bound(
        self, target: ast.expr, value: Any, node: ast.AST, made: Callable[[], Any],
        unrolled: bool = False,
    ) -> Any:  # fmt: skip
        before = self.env
        self.env = dict(before)
        self.inline += not unrolled
        try:
            if isinstance(target, ast.Name):
                if isinstance(value, Text) and not unrolled:
                    value = Text(target.id, value.type, name=target.id)
                self.env[target.id] = value
            elif isinstance(target, ast.Tuple):
                if isinstance(value, Text) and not unrolled:
                    parts = [Text("", kind) for kind in value.type.args]
                else:
                    parts = self.parts_of(value, node)
                for one, part in zip(target.elts, parts):
                    if not isinstance(one, ast.Name):
                        raise self.unsupported(node, "nested unpacking in a comprehension")
                    self.env[one.id] = part if unrolled else Text(one.id, part.type, name=one.id)
            return made()
        finally:
            self.env = before
            self.inline -= not unrolled

    def element_of(self, value: Text, node: ast.AST) -> Type:
        """The type of what a loop over a value gives."""
        kind = value.type
        if kind.name == "List":
            return kind.args[0]
        if kind.name == "Dict":
            return kind.args[0]
        if kind in (TENSOR, STR):
            return kind
        raise self.refuse(node, f"'{kind}' object is not iterable")

    # ---- text ----------------------------------------------------------------------------------

    def _value_JoinedStr(self, node: ast.JoinedStr) -> Any:
        template, values = "", []
        for part in node.values:
            if isinstance(part, ast.Constant):
                template += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            if part.conversion != -1 or part.format_spec is not None:
                raise self.unsupported(
                    node, "Conversions and formats in f-strings are not supported; use str.format "
                    "or plain {value}"
                )  # fmt: skip
            template += "{}"
            values.append(self.text(part.value))
        if not values:
            return self.static(template, node)
        given = "".join(f", {value.text}" for value in values)
        return Text(f"torch.format({quoted(template)}{given})", STR)
