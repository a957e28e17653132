"""Subscripts: of lists, tuples, dictionaries, text, containers of modules, and tensors.

An index of a tensor becomes one operator after another: select, slice, unsqueeze, index.
Level: jit (12).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from rushlight.jit.compiler.containers import Containers
from rushlight.jit.compiler.types import BOOL, INT, NONE, STR, TENSOR, union
from rushlight.jit.compiler.values import UNKNOWN, ModuleValue, PythonObject, Sequence, Text


@dataclass
class Indexed:
    """A tensor after its numbers and slices, and the tensors that index what is left."""

    text: str
    tensors: list[str]


class Subscripts(Containers):
    """Values of subscripts."""

    def _value_Subscript(self, node: ast.Subscript) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, PythonObject):
            if isinstance(owner.value, (list, dict)):
                self.as_text(owner, node)
            # A type such as List[int], as `annotate` and `isinstance` take it.
            return PythonObject(self.evaluated(node))
        if isinstance(owner, (ModuleValue, Sequence)):
            return self._part(owner, node)
        kind = owner.type
        if kind == TENSOR:
            indexed = self.indexed(owner, node.slice)
            if not indexed.tensors:
                return Text(indexed.text, TENSOR)
            return Text(f"torch.index({indexed.text}, [{', '.join(indexed.tensors)}])", TENSOR)
        if isinstance(node.slice, ast.Slice):
            return self._sliced(owner, node)
        if kind.is_tuple:
            return self._part_of_tuple(owner, node)
        key = self.text(node.slice)
        if kind.name == "Dict":
            if key.type != kind.args[0]:
                raise self.refuse(node, f"the keys of {kind} are no {key.type}")
            return Text(f"({owner.text})[{key.text}]", kind.args[1])
        if kind.name == "List" or kind == STR:
            if key.type != INT:
                raise self.refuse(node, f"an index of {kind} must be an int, not {key.type}")
            if isinstance(owner.static, (tuple, list, str)) and isinstance(key.static, int):
                return self.static(owner.static[key.static], node)
            return Text(f"({owner.text})[{key.text}]", kind.args[0] if kind.args else STR)
        raise self.refuse(
            node, f"'{kind}' object is not subscriptable; check before whether it is None, or "
            "convert it"
        )  # fmt: skip

    def evaluated(self, node: ast.expr) -> Any:
        """An expression of types, evaluated by Python."""
        try:
            code = compile(ast.Expression(node), self.source.file, "eval")
            return eval(code, self.source.scope)
        except Exception as error:
            raise self.refuse(node, f"this is no type: {error}") from error

    def _part(self, owner: Any, node: ast.Subscript) -> Any:
        if isinstance(node.slice, ast.Slice):
            parts = self.parts_of(owner, node)
            written = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [None if part is None else self.text(part).static for part in written]
            if UNKNOWN in bounds:
                raise self.refuse(node, "a slice of modules needs numbers that are constants")
            return Sequence(parts[slice(*bounds)])
        key = self.text(node.slice)
        if key.static is UNKNOWN:
            raise self.refuse(
                node, "Expected integer literal for index. ModuleList/Sequential indexing is only "
                "supported with integer literals. For example, 'i = 4; self.layers[i](x)' will "
                "fail because i is not a literal. Enumeration is supported, e.g. 'for index, v "
                "in enumerate(self): out = v(inp)'"
            )  # fmt: skip
        if isinstance(owner, ModuleValue) and isinstance(key.static, str):
            return self.attribute(owner, key.static, node)
        parts = self.parts_of(owner, node)
        if not -len(parts) <= key.static < len(parts):
            raise self.refuse(node, f"index {key.static} is out of range of {len(parts)} parts")
        return parts[key.static]

    def _part_of_tuple(self, owner: Text, node: ast.Subscript) -> Any:
        key = self.text(node.slice)
        args = owner.type.args
        if not isinstance(key.static, int):
            if len(set(args)) == 1 and key.type == INT:
                return Text(f"({owner.text})[{key.text}]", args[0])
            raise self.refuse(node, "tuple index must be a compile time integer")
        if not -len(args) <= key.static < len(args):
            raise self.refuse(node, f"Tuple index out of range: {key.static} of {len(args)}")
        if isinstance(owner.static, tuple):
            return self.static(owner.static[key.static], node)
        place = key.static % len(args)
        if owner.type.kind:
            return Text(f"({owner.text}).{owner.type.fields[place]}", args[place])
        return Text(f"({owner.text})[{place}]", args[place])

    def _sliced(self, owner: Text, node: ast.Subscript) -> Any:
        assert isinstance(node.slice, ast.Slice)
        bounds = [None if part is None else self.text(part)
                  for part in (node.slice.lower, node.slice.upper, node.slice.step)]  # fmt: skip
        known = [None if part is None else part.static for part in bounds]
        if owner.type.is_tuple:
            if UNKNOWN in known:
                raise self.refuse(node, "a slice of a tuple needs constants")
            if isinstance(owner.static, tuple):
                return self.static(owner.static[slice(*known)], node)
            places = range(len(owner.type.args))[slice(*known)]
            owner = self.once(owner, node)
            return self.tuple_text(
                [Text(f"({owner.text})[{i}]", owner.type.args[i]) for i in places]
            )
        if owner.type.name != "List" and owner.type != STR:
            raise self.refuse(node, f"'{owner.type}' object cannot be sliced")
        return Text(f"torch.slice({owner.text}, {self._bounds(bounds)})", owner.type)

    def _bounds(self, bounds: list[Text | None]) -> str:
        low, high, step = ("None" if part is None else part.text for part in bounds)
        return f"{low}, {high}, {'1' if bounds[2] is None else step}"

    # ---- tensors -------------------------------------------------------------------------------

    def indexed(self, owner: Text, index: ast.expr) -> Indexed:
        """A tensor after an index."""
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        places = [i for i, part in enumerate(parts) if _is_ellipsis(part)]
        if len(places) > 1:
            raise self.refuse(index, "an index can only have a single ellipsis ('...')")
        left = parts[: places[0]] if places else parts
        right = parts[places[0] + 1 :] if places else []
        text, tensors, axis = owner.text, [], 0
        for part in left:
            text, used, tensor = self._one(text, part, axis, False)
            tensors += [tensor] if used else []
            axis += used
        # Behind an ellipsis axes are counted from the end.
        kept = 0
        behind: list[str] = []
        for part in reversed(right):
            text, used, tensor = self._one(text, part, -1 - kept, True)
            behind += [tensor] if used else []
            kept += used
        if any(one != "None" for one in behind):
            raise self.refuse(index, "a tensor as index behind an ellipsis isn't supported")
        while tensors and tensors[-1] == "None":
            tensors.pop()
        return Indexed(text, tensors)

    def _one(self, text: str, part: ast.expr, axis: int, from_end: bool) -> tuple[str, int, str]:
        """(text after one part of an index, axes that are left of it, tensor or None)."""
        if isinstance(part, ast.Slice):
            bounds = [None if b is None else self._bound_of(b)
                      for b in (part.lower, part.upper, part.step)]  # fmt: skip
            if all(bound is None for bound in bounds):
                return text, 1, "None"
            return f"torch.slice({text}, {axis}, {self._bounds(bounds)})", 1, "None"
        value = self.text(part)
        if value.type == NONE:
            return f"torch.unsqueeze({text}, {axis})", 1, "None"
        if value.type == INT:
            return f"torch.select({text}, {axis}, {value.text})", 0, ""
        if value.type == TENSOR:
            return text, 1, value.text
        if value.type.name == "List" and value.type.args[0] in (INT, BOOL):
            return text, 1, f"torch.tensor({value.text})"
        raise self.refuse(
            part, f"Unsupported operation: indexing tensor with unsupported index type "
            f"'{value.type}'. Only ints, slices, lists and tensors are supported"
        )  # fmt: skip

    def _bound_of(self, node: ast.expr) -> Text:
        value = self.text(node)
        if value.type == TENSOR:
            return Text(f"int({value.text})", INT)
        if value.type not in (INT, NONE, union([INT, NONE])):
            raise self.refuse(node, f"bounds of a slice must be int, not {value.type}")
        return value


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis
