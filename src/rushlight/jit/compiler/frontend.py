"""Functions as syntax trees with their places, and the errors that point at them.

Level: jit (12).
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from typing import Any

from rushlight.jit.frontend import NotSupportedError, UnsupportedNodeError
from rushlight.overrides.interception import python_form


class Source:
    """The syntax tree of one function, its file, and what its names stand for."""

    def __init__(self, function: Any) -> None:
        found = inspect.unwrap(python_form(function) or function)
        self.function = found
        try:
            lines, self.first = inspect.getsourcelines(found)
            self.file = inspect.getsourcefile(found) or "<unknown>"
        except (OSError, TypeError) as error:
            raise OSError(
                f"Can't get source for {function}. TorchScript requires source access in order to "
                "carry out compilation, make sure original .py files are available."
            ) from error
        text = textwrap.dedent("".join(lines))
        try:
            body = ast.parse(text, type_comments=True).body
        except SyntaxError:
            body = []
        if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
            raise NotSupportedError(
                f"jit.save: {getattr(found, '__qualname__', found)} at {self.file}:{self.first} is "
                "no function written with def; write it as one"
            )
        self.tree: ast.FunctionDef = body[0]
        self.lines = text.splitlines()
        code = found.__code__
        self.scope = {**vars(builtins), **found.__globals__}
        for name, cell in zip(code.co_freevars, found.__closure__ or ()):
            try:
                self.scope[name] = cell.cell_contents
            except ValueError:
                continue

    def type_comment(self) -> str | None:
        """The text of `# type: (...) -> ...` under the function's head."""
        for line in self.lines:
            _, mark, comment = line.partition("# type:")
            if mark and "->" in comment:
                return comment.strip()
        return None

    def where(self, node: ast.AST) -> str:
        """File, line, and the line's text."""
        number = getattr(node, "lineno", 1)
        text = self.lines[number - 1].strip() if number <= len(self.lines) else ""
        return f'  File "{self.file}", line {self.first + number - 1}\n    {text}'


def refuse(source: Source, node: ast.AST, rule: str) -> RuntimeError:
    """The error of PyTorch's compiler for what has wrong types or names."""
    return RuntimeError(f"jit.save: {rule}\n{source.where(node)}")


def unsupported(source: Source, node: ast.AST, rule: str) -> RuntimeError:
    """The error for constructs that TorchScript does not have."""
    return UnsupportedNodeError(f"jit.save: {rule}\n{source.where(node)}")
