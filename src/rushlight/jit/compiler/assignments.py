"""Assignments: to names, attributes, parts of containers and of tensors; and the lines written.

Level: jit (12).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.jit.compiler.calls import Calls
from rushlight.jit.compiler.signatures import as_type
from rushlight.jit.compiler.types import (
    NUMBERS,
    TENSOR,
    Type,
    is_subtype,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    ModuleValue,
    PythonObject,
    Sequence,
    Text,
)

# Names that mean something else in serialized code.
RESERVED = frozenset(
    "torch ops CONSTANTS inf nan infj nanj annotate fork uninitialized unchecked_cast rangelist "
    "__torch__ getattr setattr isinstance range print int float bool complex Delete".split()
)
# As in PyTorch, bits are combined in a new tensor.
_IN_PLACE = frozenset("add sub mul div remainder pow floordiv".split())
_AUGMENTED: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv",
    ast.Mod: "remainder", ast.Pow: "pow", ast.BitAnd: "__and__", ast.BitOr: "__or__",
    ast.BitXor: "__xor__", ast.MatMult: "matmul",
}  # fmt: skip


class Assignments(Calls):
    """Statements that give something a value.

    lines: those of the body.  outer: the names of the blocks around.
    """

    lines: list[str]
    depth: int
    outer: list[dict[str, Any]]
    temporaries: int

    # ---- lines ---------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Write a line."""
        self.lines.append("  " * self.depth + text)

    @contextmanager
    def _indented(self) -> Iterator[None]:
        self.depth += 1
        start = len(self.lines)
        yield
        if len(self.lines) == start:
            self.line("pass")
        self.depth -= 1

    def temporary(self, value: Text) -> Text:
        """A value that is computed once."""
        name = f"_{self.temporaries}"
        self.temporaries += 1
        self.line(f"{name} = {value.text}")
        return Text(name, value.type, value.static)

    # ---- assignments ---------------------------------------------------------------------------

    def _write_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        if len(node.targets) > 1 and isinstance(value, Text):
            value = self.temporary(value)
        for target in node.targets:
            self.assign(target, value, node)

    def _write_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is None:
            return
        kind = self.unit.annotated(self.evaluated(node.annotation))
        if kind is None:
            raise self.unsupported(node, f"Unknown type annotation: {ast.unparse(node.annotation)}")
        listed = self._tolist(node.value, kind)
        value = listed or self.with_type(self.text(node.value), kind, node)
        self.assign(node.target, value, node)

    def _tolist(self, node: ast.expr, kind: Type) -> Text | None:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)) or (
            node.func.attr != "tolist"
        ):  # fmt: skip
            return None
        owner = self.text(node.func.value)
        element = kind
        while element.name == "List":
            element = element.args[0]
        if owner.type != TENSOR or element.name not in ("int", "float", "bool", "complex"):
            raise self.refuse(node, f"tolist() gives lists of numbers, not {kind}")
        return Text(f"annotate({kind}, ({owner.text}).tolist())", kind)

    def assign(self, target: ast.expr, value: Any, node: ast.stmt) -> None:
        """Write `target = value`."""
        if isinstance(target, ast.Name):
            self.assign_name(target.id, value, node)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value, node)
        elif isinstance(target, ast.Attribute):
            self._assign_attribute(target, value, node)
        elif isinstance(target, ast.Subscript):
            self._assign_subscript(target, self.as_text(value, node), node)
        else:
            raise self.unsupported(target, "assignment to this isn't supported in TorchScript")

    def assign_name(self, name: str, value: Any, node: ast.AST) -> None:
        """Give a name a value."""
        if not isinstance(value, Text):
            if isinstance(value, (ModuleValue, PythonObject, Sequence)):
                self.env[name] = value
                return
            raise self.refuse(node, "this value cannot be assigned in TorchScript; call it here")
        before = self.outer[-1].get(name) if self.outer else None
        if isinstance(before, Text) and not is_subtype(value.type, before.type):
            text = as_type(value, before.type)
            if text is None:
                raise self.refuse(
                    node, f"Variable '{name}' previously had type {before.type} but is now being "
                    f"assigned to a value of type {value.type}; annotate it where it is made"
                )  # fmt: skip
            value = Text(text, before.type)
        written = f"{name}_" if name in RESERVED else name
        if written != value.text:
            self.line(f"{written} = {value.text}")
        self.env[name] = Text(written, value.type, name=name)

    def _unpack(self, target: ast.Tuple | ast.List, value: Any, node: ast.stmt) -> None:
        stars = [i for i, one in enumerate(target.elts) if isinstance(one, ast.Starred)]
        if isinstance(value, Text) and value.type.name == "List":
            if stars:
                raise self.unsupported(node, "unpacking a list to a starred name isn't supported")
            parts = [Text(n.id if isinstance(n, ast.Name) else "", value.type.args[0])
                     for n in target.elts]  # fmt: skip
            if value.static is not UNKNOWN and value.text.startswith("["):
                value = self.temporary(value)
            self._unpack_written(target, parts, value, node)
            return
        if isinstance(value, Text) and value.type == TENSOR:
            raise self.refuse(node, "Provided Tensor cannot be used as a tuple; unbind it before")
        if isinstance(value, Text) and not value.type.is_tuple:
            raise self.refuse(node, f"{value.type} cannot be used as a tuple")
        count = len(value.type.args) if isinstance(value, Text) else len(
            self.parts_of(value, node))  # fmt: skip
        if not stars and count != len(target.elts):
            raise self.refuse(
                node, f"need {len(target.elts)} values to unpack, found a tuple of {count}"
            )
        if isinstance(value, Text) and not stars and value.static is UNKNOWN:
            parts = [Text("", kind) for kind in value.type.args]
            self._unpack_written(target, parts, value, node)
            return
        if isinstance(value, Text) and value.static is UNKNOWN:
            value = self.temporary(value)
        found = self.parts_of(value, node)
        if stars:
            after = len(target.elts) - stars[0] - 1
            middle = found[stars[0] : len(found) - after]
            found = [*found[: stars[0]], Sequence(middle), *found[len(found) - after :]]
            targets = [t.value if isinstance(t, ast.Starred) else t for t in target.elts]
        else:
            targets = list(target.elts)
        # Both sides of `a, b = b, a` are read before either is written.
        ready = [self.temporary(part) if isinstance(part, Text) and part.static is UNKNOWN else part
                 for part in found]  # fmt: skip
        for one, part in zip(targets, ready):
            self.assign(one, part, node)

    def _unpack_written(
        self, target: ast.Tuple | ast.List, parts: list[Text], value: Text, node: ast.stmt
    ) -> None:
        """Unpack what exists when the code runs, to names of its own first."""
        names = []
        for part in parts:
            name = f"_{self.temporaries}"
            self.temporaries += 1
            names.append(Text(name, part.type))
        comma = "," if len(names) == 1 else ""
        self.line(f"{', '.join(name.text for name in names)}{comma} = {value.text}")
        for one, made in zip(target.elts, names):
            self.assign(one, made, node)

    def _assign_attribute(self, target: ast.Attribute, value: Any, node: ast.stmt) -> None:
        owner = self.value(target.value)
        if not isinstance(owner, ModuleValue):
            raise self.refuse(node, "attributes can be set on self and its submodules only")
        kind = self.unit.set_attribute(self, owner, target.attr, node)
        text = self.with_type(self.as_text(value, node), kind, node)
        self.line(f"{owner.text}.{target.attr} = {text.text}")

    def _assign_subscript(self, target: ast.Subscript, value: Text, node: ast.stmt) -> None:
        owner = self.text(target.value)
        if owner.type == TENSOR:
            self._assign_part(owner, target.slice, value, node)
            return
        if owner.type.name not in ("List", "Dict") or isinstance(target.slice, ast.Slice):
            raise self.refuse(node, f"'{owner.type}' object does not support item assignment here")
        key = self.text(target.slice)
        text = as_type(value, owner.type.args[-1])
        if text is None:
            raise self.refuse(node, f"a part of {owner.type} cannot be a {value.type}")
        self.line(f"torch._set_item({owner.text}, {key.text}, {text})")

    def _assign_part(self, owner: Text, index: ast.expr, value: Text, node: ast.stmt) -> None:
        indexed = self.indexed(owner, index)
        if value.type not in (TENSOR, *NUMBERS) and value.type.name != "bool":
            raise self.refuse(node, f"a part of a tensor cannot be a {value.type}")
        if indexed.tensors:
            text = value.text
            if value.type != TENSOR:
                text = (f"torch.tensor({text}, dtype=ops.prim.dtype({owner.text}), "
                        f"device=ops.prim.device({owner.text}))")  # fmt: skip
            given = f"annotate(List[Optional[Tensor]], [{', '.join(indexed.tensors)}])"
            self.line(f"torch.index_put_({indexed.text}, {given}, {text})")
        elif value.type == TENSOR:
            self.line(f"torch.copy_({indexed.text}, {value.text})")
        else:
            self.line(f"torch.fill_({indexed.text}, {value.text})")

    def _write_AugAssign(self, node: ast.AugAssign) -> None:
        name = _AUGMENTED.get(type(node.op))
        if name is None:
            raise self.unsupported(node, "this augmented assignment isn't supported")
        right = self.text(node.value)
        target = node.target
        if isinstance(target, ast.Subscript):
            self._augment_part(target, name, right, node)
            return
        left = self.as_text(self.value(target), node)
        if left.type == TENSOR and name in _IN_PLACE:
            inplace = "floor_divide_" if name == "floordiv" else f"{name}_"
            if right.type not in (TENSOR, *NUMBERS) and right.type.name != "bool":
                raise self.refuse(node, f"{left.type} and {right.type} cannot be combined")
            made = Text(f"torch.{inplace}({left.text}, {right.text})", TENSOR)
        elif left.type.name == "List" and name == "add":
            self.line(f"torch.extend({left.text}, {right.text})")
            return
        else:
            made = self.binary(name, left, right, node)
        self.assign(target, made, node)

    def _augment_part(
        self, target: ast.Subscript, name: str, right: Text, node: ast.AugAssign
    ) -> None:
        owner = self.text(target.value)
        if owner.type == TENSOR:
            indexed = self.indexed(owner, target.slice)
            if indexed.tensors:
                given = f"annotate(List[Optional[Tensor]], [{', '.join(indexed.tensors)}])"
                read = Text(f"torch.index({indexed.text}, {given})", TENSOR)
                made = self.binary(name, read, right, node)
                self.line(f"torch.index_put_({indexed.text}, {given}, {made.text})")
            else:
                made = self.binary(name, Text(indexed.text, TENSOR), right, node)
                self.line(f"torch.copy_({indexed.text}, {made.text})")
            return
        key = self.temporary(self.text(target.slice))
        read = Text(f"({owner.text})[{key.text}]", owner.type.args[-1])
        made = self.binary(name, read, right, node)
        self.line(f"torch._set_item({owner.text}, {key.text}, {made.text})")
