"""Loops: over what exists when the code runs, and unrolled ones over modules and tuples.

Inside a loop a name keeps the type that it had before.  Level: jit (12).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from rushlight.jit.compiler.assignments import RESERVED, Assignments
from rushlight.jit.compiler.expressions import Refinements, Undefined
from rushlight.jit.compiler.types import (
    INT,
    TENSOR,
    Type,
    list_of,
)
from rushlight.jit.compiler.values import (
    UNKNOWN,
    Iterated,
    ModuleValue,
    Sequence,
    Text,
)


class Loops(Assignments):
    """Statements that repeat others.  loops: the kinds of the loops around."""

    loops: list[str]
    block: Callable[[list[ast.stmt]], bool]
    branch: Callable[[Callable[[], bool], Refinements], tuple[bool, dict]]

    # ---- loops ---------------------------------------------------------------------------------

    def _write_While(self, node: ast.While) -> None:
        if node.orelse:
            raise self.unsupported(node, "else branches of while loops aren't supported")
        before = dict(self.env)
        self.inline += 1
        test, yes, no = self.condition(node.test)
        self.inline -= 1
        if test.static is False:
            return
        self.line(f"while {test.text}:")
        self._loop(lambda: self.block(node.body), yes)
        self.env = self._after_loop(before)
        self.env.update(self._narrowed(no) if not self._breaks(node) else {})

    @staticmethod
    def _breaks(node: ast.While) -> bool:
        return any(isinstance(part, ast.Break) for part in ast.walk(node))

    def _loop(self, body: Callable[[], bool], refinements: Refinements) -> None:
        self.loops.append("loop")
        for name, value in self.env.items():
            if isinstance(value, Text) and value.static is not UNKNOWN:
                self.env[name] = Text(value.text, value.type, name=value.name)
        _, after = self.branch(body, refinements)
        self.loops.pop()
        self._inside = after

    def _after_loop(self, before: dict[str, Any]) -> dict[str, Any]:
        """What names stand for behind a loop: what they stood for before."""
        after = dict(before)
        for name in self._inside:
            if name not in before:
                after[name] = Undefined("it has a value inside of a loop only")
        return after

    def _write_For(self, node: ast.For) -> bool:
        if node.orelse:
            raise self.unsupported(node, "else branches of for loops aren't supported")
        over = self.value(node.iter)
        if self.has_known_length(over):
            return self._unrolled(node, self.parts_of(over, node.iter))
        before = dict(self.env)
        if isinstance(over, Iterated):
            self._iterate(node, over)
        else:
            text = self.as_text(over, node.iter)
            element = self.element_of(text, node.iter)
            if text.type.name == "Dict":
                text = Text(f"torch.keys({text.text})", list_of(element))
            self._over(node, text, element)
        self.env = self._after_loop(before)
        return False

    def _unrolled(self, node: ast.For, parts: list[Any]) -> bool:
        self.loops.append("unrolled")
        for part in parts:
            self.assign(node.target, part, node)
            if self.block(node.body):
                self.loops.pop()
                return True
        self.loops.pop()
        return False

    def _over(self, node: ast.For, text: Text, element: Type) -> None:
        target = node.target
        if isinstance(target, ast.Name) and target.id not in RESERVED and not isinstance(
            self.env.get(target.id), ModuleValue
        ):  # fmt: skip
            name = target.id
            self.line(f"for {name} in {text.text}:")
            self.env[name] = Text(name, element, name=name)
            self._loop(lambda: self.block(node.body), {})
            return
        name = f"_{self.temporaries}"
        self.temporaries += 1
        self.line(f"for {name} in {text.text}:")

        def body() -> bool:
            self.assign(target, Text(name, element), node)
            return self.block(node.body)

        self._loop(body, {})

    def _iterate(self, node: ast.For, over: Iterated) -> None:
        """`enumerate` and `zip` as a loop over numbers."""
        lengths: list[str] = []
        ready = self._held(over, lengths, node)
        length = lengths[0]
        for one in lengths[1:]:
            length = f"ops.prim.min({length}, {one})"
        number = f"_{self.temporaries}"
        self.temporaries += 1
        self.line(f"for {number} in range({length}):")

        def body() -> bool:
            self.assign(node.target, self._turn(ready, number, node), node)
            return self.block(node.body)

        self._loop(body, {})

    def _held(self, over: Iterated, lengths: list[str], node: ast.AST) -> Iterated:
        """What a loop goes through, computed once: its body may give the names other values."""
        parts: list[Any] = []
        for part in over.parts:
            if isinstance(part, Iterated):
                parts.append(self._held(part, lengths, node))
                continue
            text = self.as_text(part, node)
            if text.type.name == "Dict":
                text = Text(f"torch.keys({text.text})", list_of(text.type.args[0]))
            elif text.text.startswith("range("):
                text = Text(f"[i for i in {text.text}]", text.type)
            parts.append(self.temporary(text))
            lengths.append(f"torch.len({parts[-1].text})")
        return Iterated(over.kind, parts, over.start)

    def _turn(self, over: Any, number: str, node: ast.AST) -> Any:
        """What a loop's variable is in one turn."""
        if isinstance(over, Text):
            form = "torch.select({}, 0, {})" if over.type == TENSOR else "({})[{}]"
            return Text(form.format(over.text, number), self.element_of(over, node))
        values = [self._turn(part, number, node) for part in over.parts]
        if over.kind == "enumerate":
            start = over.start.static if isinstance(over.start, Text) else 0
            counted = f"torch.add({number}, {start})" if start else number
            values.insert(0, Text(counted, INT))
        texts = [value for value in values if isinstance(value, Text)]
        return self.tuple_text(texts) if len(texts) == len(values) else Sequence(values)

    def _write_Break(self, node: ast.Break) -> bool:
        return self._leave(node, "break")

    def _write_Continue(self, node: ast.Continue) -> bool:
        return self._leave(node, "continue")

    def _leave(self, node: ast.stmt, word: str) -> bool:
        if self.loops and self.loops[-1] == "unrolled":
            raise self.refuse(
                node, "Because we emit iteration over Modulelists or Tuples as unrolled loops, we "
                "do not support break or continue inside the body of these loops"
            )  # fmt: skip
        self.line(word)
        return True
