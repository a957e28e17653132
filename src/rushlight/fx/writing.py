"""The code of a graph: one line for each node, in the words of Python.

In: a graph.  Out: the text of its `forward` and what the text's global names stand for.  Level 12.
"""

from __future__ import annotations

import builtins
import importlib
import keyword
import math
import re
from typing import Any, NamedTuple

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.fx.node import Node, nodes_in, qualified_name, type_text
from rushlight.tensor.tensor import Size

BINARY = {
    "eq": "{} == {}", "ne": "{} != {}", "lt": "{} < {}", "gt": "{} > {}", "le": "{} <= {}",
    "ge": "{} >= {}", "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "floordiv": "{} // {}",
    "truediv": "{} / {}", "mod": "{} % {}", "lshift": "{} << {}", "rshift": "{} >> {}",
    "and_": "{} & {}", "or_": "{} | {}", "xor": "{} ^ {}", "getitem": "{}[{}]", "matmul": "{} @ {}",
    "pow": "{} ** {}", "pos": "+{}", "neg": "-{}", "invert": "~{}",
}  # fmt: skip
INPLACE = {
    "iadd": "{} += {}", "isub": "{} -= {}", "imul": "{} *= {}", "itruediv": "{} /= {}",
    "ifloordiv": "{} //= {}", "imod": "{} %= {}", "iand": "{} &= {}", "ior": "{} |= {}",
    "ixor": "{} ^= {}", "ilshift": "{} <<= {}", "irshift": "{} >>= {}", "ipow": "{} **= {}",
    "imatmul": "{} @= {}",
}  # fmt: skip
_RESERVED = {"inf", "nan", "NoneType", "torch", "device", "fx_pytree", "pytree"}


class PythonCode(NamedTuple):
    """src: the text of `forward`.  globals: what its names stand for."""

    src: str
    globals: dict[str, Any]
    lineno_map: dict[int, int | None] = {}


class Namespace:
    """Names that are taken."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._next: dict[str, int] = {}

    def create_name(self, candidate: str) -> str:
        """A name like `candidate` that is free."""
        candidate = re.sub(r"[^0-9a-zA-Z_]+", "_", candidate) or "_unnamed"
        if candidate[0].isdigit():
            candidate = f"_{candidate}"
        match = re.match(r"^(.*)_(\d+)$", candidate)
        base, number = (match[1], int(match[2])) if match and match[1] else (candidate, None)
        name = candidate
        if name in self._used or self._is_illegal(name):
            count = max(number or 0, self._next.get(base, 0))
            while True:
                count += 1
                name = f"{base}_{count}"
                if name not in self._used and not self._is_illegal(name):
                    break
            self._next[base] = count
        self._used.add(name)
        return name

    @staticmethod
    def _is_illegal(name: str) -> bool:
        return keyword.iskeyword(name) or name in vars(builtins) or name in _RESERVED


def _path_text(base: str, target: str) -> str:
    """Access to an attribute by its dotted path."""
    for part in target.split("."):
        base = f"{base}.{part}" if part.isidentifier() else f'getattr({base}, "{part}")'
    return base


class Writer:
    """Writes one graph as code."""

    def __init__(self, graph: Any, root: str) -> None:
        self.graph, self.root = graph, root
        self.names = Namespace()
        self.globals: dict[str, Any] = {"torch": importlib.import_module("rushlight")}
        self.wrapped: dict[str, None] = {}
        self.arguments: list[str] = []
        self.body: list[str] = []
        self.returned = ""
        self.last_used: dict[Node, list[Node]] = {}

    def write(self) -> PythonCode:
        self._find_last_uses()
        for node in self.graph.nodes:
            self._node(node)
            self._release(node)
        if not self.body:
            self.body.append("pass\n")
        first = [self.root, *self.arguments]
        code = "".join(self.body).lstrip("\n")
        code = "\n".join("    " + line for line in code.split("\n"))
        wraps = "".join(f'torch.fx._symbolic_trace.wrap("{name}")\n' for name in self.wrapped)
        wraps = wraps.rstrip("\n")
        head = f"def forward({', '.join(first)}){self.returned}:"
        return PythonCode(f"\n{wraps}\n\n{head}\n{code}", self.globals)

    def _find_last_uses(self) -> None:
        seen: set[Node] = set()
        for node in reversed(self.graph.nodes):
            for operand in (*nodes_in(node.args), *nodes_in(node.kwargs)):
                if operand not in seen:
                    seen.add(operand)
                    self.last_used.setdefault(node, []).append(operand)

    def _release(self, node: Node) -> None:
        if node.op == "placeholder":
            return
        if node.op == "output":
            self.body.append("\n")
            return
        dead = list(self.last_used.get(node, []))
        if not node.users:
            dead.append(node)
        if dead:
            names = " = ".join([*(one.name for one in dead), "None"])
            self.body.append(f";  {names}\n")
        else:
            self.body.append("\n")

    def _global(self, hint: str, value: Any) -> str:
        """A global name that stands for a value."""
        name = hint.replace(".", "_")
        if self.globals.get(name, value) is value:
            self.globals[name] = value
            return name
        count = 1
        while self.globals.get(f"{name}_{count}", value) is not value:
            count += 1
        self.globals[f"{name}_{count}"] = value
        return f"{name}_{count}"

    def _function(self, function: Any) -> str:
        """Code that names a function."""
        name = qualified_name(function)
        short: str = getattr(function, "__name__", "")
        if name.startswith("torch.") and self._reaches(name, function):
            return name
        if short and vars(builtins).get(short) is function:
            return short
        if getattr(function, "__module__", None) in ("_operator", "math"):
            module = function.__module__.lstrip("_")
            self.globals[module] = importlib.import_module(module)
            return f"{module}.{function.__name__}"
        return self._global(name, function)

    def _reaches(self, name: str, function: Any) -> bool:
        found: Any = self.globals["torch"]
        for part in name.split(".")[1:]:
            found = getattr(found, part, None)
        return found is function or getattr(found, "__wrapped__", None) is function

    def _value(self, value: Any) -> str:
        """Code of an argument."""
        if isinstance(value, Node):
            return value.name
        if isinstance(value, tuple):
            if hasattr(value, "_fields"):
                kind = self._global(type(value).__name__, type(value))
                return f"{kind}({', '.join(self._value(x) for x in value)})"
            if isinstance(value, Size):
                return f"torch.Size([{', '.join(self._value(x) for x in value)}])"
            inner = ", ".join(self._value(x) for x in value)
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, list):
            return f"[{', '.join(self._value(x) for x in value)}]"
        if isinstance(value, dict):
            pairs = (f"{self._value(k)}: {self._value(v)}" for k, v in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, slice):
            parts = (self._value(x) for x in (value.start, value.stop, value.step))
            return f"slice({', '.join(parts)})"
        if isinstance(value, DType):
            return repr(value)
        if isinstance(value, device):
            self.globals["device"] = device
            return repr(value)
        if isinstance(value, float) and not math.isfinite(value):
            self.globals.update(inf=math.inf, nan=math.nan)
            return repr(value)
        if isinstance(value, type):
            if value.__module__ == "builtins":
                return value.__qualname__
            return self._global(f"{value.__module__}.{value.__qualname__}", value)
        if callable(value) and hasattr(value, "__name__"):
            return self._function(value)
        return repr(value)

    def _call(self, args: Any, kwargs: Any) -> str:
        words = [self._value(x) for x in args]
        words += [f"{key} = {self._value(x)}" for key, x in kwargs.items()]
        return ", ".join(words)

    def _annotation(self, node: Node) -> str:
        if node.type is None:
            return ""
        kind = node.type
        if (
            isinstance(kind, type)
            and kind.__module__ not in ("builtins",)
            and "[" not in repr(kind)
        ):
            text = type_text(kind)
            return f" : {text if text == 'torch.Tensor' else self._global(text, kind)}"
        text = type_text(kind)
        return f" : {text}" if text.isidentifier() or text == "torch.Tensor" else f" : {text!r}"

    def _node(self, node: Node) -> None:
        getattr(self, f"_write_{node.op}")(node)

    def _write_placeholder(self, node: Node) -> None:
        default = f" = {self._value(node.args[0])}" if node.args else ""
        target = node.target
        word = f"{target}{self._annotation(node)}{default}"
        stars = len(target) - len(target.lstrip("*"))
        if not stars:
            word = (
                f"{node.name if target == node.name else target}{self._annotation(node)}{default}"
            )
        self.arguments.append(word)
        if stars or target != node.name:
            self.body.append(f"{node.name} = {target.lstrip('*')}\n")

    def _write_call_method(self, node: Node) -> None:
        access = _path_text(self._value(node.args[0]), node.target)
        call = self._call(node.args[1:], node.kwargs)
        self.body.append(f"{node.name}{self._annotation(node)} = {access}({call})")

    def _write_call_function(self, node: Node) -> None:
        target = node.target
        name = getattr(target, "__name__", "")
        left = f"{node.name}{self._annotation(node)}"
        if getattr(target, "__module__", None) == "_operator":
            values = [self._value(x) for x in node.args]
            if name in BINARY:
                self.body.append(f"{left} = {BINARY[name].format(*values)}")
                return
            if name in INPLACE:
                self.body.append(f"{INPLACE[name].format(*values)};  {left} = {values[0]}")
                return
        if target is getattr and isinstance(node.args[1], str) and node.args[1].isidentifier():
            if len(node.args) == 2:
                self.body.append(f"{left} = {self._value(node.args[0])}.{node.args[1]}")
                return
        code = self._function(target)
        if self._is_wrapped(target):
            self.wrapped[code] = None
        self.body.append(f"{left} = {code}({self._call(node.args, node.kwargs)})")

    def _is_wrapped(self, target: Any) -> bool:
        tracing = importlib.import_module("rushlight.fx._symbolic_trace")
        return tracing.is_wrapped(target)

    def _write_call_module(self, node: Node) -> None:
        access = _path_text(self.root, node.target)
        call = self._call(node.args, node.kwargs)
        self.body.append(f"{node.name}{self._annotation(node)} = {access}({call})")

    def _write_get_attr(self, node: Node) -> None:
        access = _path_text(self.root, node.target)
        self.body.append(f"{node.name}{self._annotation(node)} = {access}")

    def _write_output(self, node: Node) -> None:
        if node.type is not None:
            self.returned = f" -> {self._annotation(node)[3:]}"
        self.body.append(f"return {self._value(node.args[0])}")
