"""Node: one step of a graph; and how functions are named in code.

op: "placeholder", "get_attr", "call_function", "call_method", "call_module" or "output".
target: the name or function it concerns.  args, kwargs: nodes and plain values.  Level 12.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.base.formats import layout, memory_format
from rushlight.fx.immutable_collections import immutable_dict, immutable_list
from rushlight.overrides.interception import overridable, python_form
from rushlight.tensor.tensor import Tensor

__all__ = [
    "Argument",
    "BaseArgumentTypes",
    "Node",
    "Target",
    "has_side_effect",
    "map_aggregate",
    "map_arg",
]

Argument = Any
Target = Any
BaseArgumentTypes = (str, int, float, bool, complex, DType, Tensor, device, memory_format, layout)
OPERATIONS = (
    "placeholder", "get_attr", "call_function", "call_method", "call_module", "output", "root",
)  # fmt: skip
_side_effects: set[Callable] = set()


def has_side_effect(fn: Any) -> Any:
    """Mark a function whose calls stay although nobody uses the result."""
    _side_effects.add(fn)
    return fn


@functools.lru_cache(maxsize=8)
def _public_names(version: int) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for name, function, _ in overridable():
        if not name.startswith("torch.Tensor."):
            names.setdefault(function, name)
    return names


def qualified_name(function: Any) -> str:
    """How code names a function: `torch.relu`, `operator.add`, `module.name`."""
    found = _public_names(0).get(python_form(function) or function)
    if found is not None:
        return found
    name = getattr(function, "__name__", None) or type(function).__name__
    module = getattr(function, "__module__", None) or ""
    if module == "_operator":
        return f"operator.{name}"
    if module.split(".")[0] == "rushlight":
        module = "torch" + module[len("rushlight") :]
    if module == "torch.ops" or module.startswith("torch.ops."):
        return f"{module}.{name}"
    return f"{module}.{name}"


def map_aggregate(a: Any, fn: Callable[[Any], Any]) -> Any:
    """The value with `fn` of each leaf; lists and dictionaries become immutable."""
    if isinstance(a, tuple):
        mapped = [map_aggregate(x, fn) for x in a]
        return type(a)(*mapped) if hasattr(a, "_fields") else tuple(mapped)
    if isinstance(a, list):
        return immutable_list([map_aggregate(x, fn) for x in a])
    if isinstance(a, dict):
        return immutable_dict({k: map_aggregate(v, fn) for k, v in a.items()})
    if isinstance(a, slice):
        return slice(*(map_aggregate(x, fn) for x in (a.start, a.stop, a.step)))
    return fn(a)


def map_arg(a: Any, fn: Callable[[Node], Any]) -> Any:
    """The value with `fn` of each node in it."""
    return map_aggregate(a, lambda x: fn(x) if isinstance(x, Node) else x)


class Node:
    """See the module docstring; nodes of a graph form a list through `prev` and `next`.

    users: the nodes that use this one, in order.  meta: what passes note.  type: its annotation.
    """

    def __init__(
        self,
        graph: Any,
        name: str,
        op: str,
        target: Target,
        args: tuple,
        kwargs: dict[str, Any],
        return_type: Any = None,
    ) -> None:
        if op not in OPERATIONS:
            raise AssertionError(f"unknown operation of a node: {op}")
        if op == "call_function" and not callable(target):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)}"
                " but a Callable is expected"
            )
        if op not in ("call_function", "root") and not isinstance(target, str):
            raise ValueError(
                f"Node [graph = {graph}, name = '{name}'] target {target} has type {type(target)}"
                " but a str is expected"
            )
        self.graph, self.name, self.op, self.target = graph, name, op, target
        self.type = return_type
        self.users: dict[Node, None] = {}
        self.meta: dict[str, Any] = {}
        self._inputs: dict[Node, None] = {}
        self._erased = False
        self._prev: Node = self
        self._next: Node = self
        self._args: tuple = ()
        self._kwargs: dict[str, Any] = {}
        self._update(args, kwargs)

    # ---- place in the graph ------------------------------------------------------------------

    @property
    def next(self) -> Node:
        """The node after this one."""
        return self._next

    @property
    def prev(self) -> Node:
        """The node before this one."""
        return self._prev

    def prepend(self, x: Node) -> None:
        """Move `x` before this node.  Raises: AssertionError for a node of another graph."""
        if x.graph is not self.graph:
            raise AssertionError("Attempting to move a Node into a different Graph")
        if x is self:
            return
        x._unlink()
        before = self._prev
        before._next, x._prev = x, before
        x._next, self._prev = self, x

    def append(self, x: Node) -> None:
        """Move `x` after this node."""
        self._next.prepend(x)

    def _unlink(self) -> None:
        before, after = self._prev, self._next
        before._next, after._prev = after, before
        self._prev = self._next = self

    def __gt__(self, other: Node) -> bool:
        nodes = list(self.graph.nodes)
        return nodes.index(self) > nodes.index(other)

    def __lt__(self, other: Node) -> bool:
        return self is not other and not self > other

    # ---- operands -----------------------------------------------------------------------------

    @property
    def args(self) -> tuple:
        """Positional arguments."""
        return self._args

    @args.setter
    def args(self, args: tuple) -> None:
        self._update(args, self._kwargs)

    @property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Any]) -> None:
        self._update(self._args, kwargs)

    @property
    def all_input_nodes(self) -> list[Node]:
        """The nodes that this one uses, each once."""
        return list(self._inputs)

    def _update(self, args: Any, kwargs: Any) -> None:
        for old in self._inputs:
            old.users.pop(self, None)
        self._args = map_aggregate(tuple(args), lambda x: x)
        self._kwargs = map_aggregate(dict(kwargs), lambda x: x)
        self._inputs = {}

        def note(node: Node) -> Node:
            self._inputs.setdefault(node)
            node.users.setdefault(self)
            return node

        map_arg(self._args, note)
        map_arg(self._kwargs, note)

    def update_arg(self, idx: int, arg: Any) -> None:
        """Replace one positional argument."""
        args = list(self._args)
        args[idx] = arg
        self.args = tuple(args)

    def insert_arg(self, idx: int, arg: Any) -> None:
        """Put a positional argument before another."""
        args = list(self._args)
        args.insert(idx, arg)
        self.args = tuple(args)

    def update_kwarg(self, key: str, arg: Any) -> None:
        """Set one keyword argument."""
        self.kwargs = {**self._kwargs, key: arg}

    def replace_all_uses_with(
        self,
        replace_with: Node,
        delete_user_cb: Callable[[Node], bool] = lambda user: True,
        *,
        propagate_meta: bool = False,
    ) -> list[Node]:
        """Let every user use another node; returns those users."""
        if propagate_meta:
            replace_with.meta.update(self.meta)
        changed = [user for user in self.users if delete_user_cb(user)]
        for user in changed:
            user.replace_input_with(self, replace_with)
        return changed

    def replace_input_with(self, old_input: Node, new_input: Node) -> None:
        """Use one node in the place of another."""

        def swap(node: Node) -> Node:
            return new_input if node is old_input else node

        self._update(map_arg(self._args, swap), map_arg(self._kwargs, swap))

    # ---- questions ----------------------------------------------------------------------------

    def is_impure(self, impure_random: bool = True) -> bool:
        """Whether it must stay although nobody uses it."""
        if self.op in ("placeholder", "output"):
            return True
        if self.op == "call_function":
            name = getattr(self.target, "__name__", "")
            writes = name.endswith("_") and not name.endswith("__")
            return self.target in _side_effects or writes
        if self.op == "call_method":
            return self.target.endswith("_") and not self.target.endswith("__")
        if self.op == "call_module":
            owner = self.graph.owning_module
            module = None if owner is None else owner.get_submodule(self.target)
            return getattr(module, "_is_impure", False)
        return False

    @property
    def stack_trace(self) -> str | None:
        """Where it was traced, if that was noted."""
        return self.meta.get("stack_trace")

    @stack_trace.setter
    def stack_trace(self, trace: str | None) -> None:
        self.meta["stack_trace"] = trace

    def normalized_arguments(self, root: Any, *args: Any, **kwargs: Any) -> None:
        """Arguments by name: None, as operators here have Python signatures only."""
        return None

    def _pretty_print_target(self, target: Any) -> str:
        if isinstance(target, str):
            return target
        module = getattr(target, "__module__", None)
        if module == "builtins":
            return f"builtins.{target.__name__}"
        return qualified_name(target)

    def format_node(
        self,
        placeholder_names: list[str] | None = None,
        maybe_return_typename: Any = None,
        **more: Any,
    ) -> str | None:
        """The node as a line of text."""
        if self.op == "placeholder":
            if placeholder_names is not None:
                kind = f" : {type_text(self.type)}" if self.type else ""
                placeholder_names.append(f"{self.target}{kind}")
                return None
            default = f"(default={self.args[0]})" if self.args else ""
            head = f"%{self.name} : {self._typed()}[num_users={len(self.users)}]"
            return f"{head} = placeholder[target={self.target}]{default}"
        if self.op == "output":
            if self.type and maybe_return_typename:
                maybe_return_typename[0] = f" -> {type_text(self.type)}"
            return f"return {_shown(self.args[0])}"
        head = f"%{self.name} : {self._typed()}[num_users={len(self.users)}] = {self.op}"
        head += f"[target={self._pretty_print_target(self.target)}]"
        if self.op == "get_attr":
            return head
        return f"{head}(args = {_percent(self.args)}, kwargs = {_percent(self.kwargs)})"

    def _typed(self) -> str:
        return f"{type_text(self.type)} " if self.type else ""

    def __repr__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def _shown(value: Any) -> str:
    return str(value)


def _percent(value: Any) -> str:
    """Arguments as text, nodes with a percent sign."""
    if isinstance(value, Node):
        return f"%{value.name}"
    if isinstance(value, tuple):
        inner = ", ".join(_percent(x) for x in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(_percent(x) for x in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_percent(v)}" for k, v in value.items()) + "}"
    if isinstance(value, slice):
        return f"slice({_percent(value.start)}, {_percent(value.stop)}, {_percent(value.step)})"
    return str(value)


def type_text(kind: Any) -> str:
    """An annotation as code writes it."""
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias):
        module = kind.__module__
        if module == "builtins":
            return kind.__qualname__
        if kind is Tensor:
            return "torch.Tensor"
        return f"{module}.{kind.__qualname__}"
    if isinstance(kind, str):
        return kind
    return repr(kind).replace("rushlight.tensor.tensor.Tensor", "torch.Tensor")


def nodes_in(value: Any) -> Iterable[Node]:
    """The nodes in an argument, in order."""
    found: list[Node] = []

    def note(node: Node) -> Node:
        found.append(node)
        return node

    map_arg(value, note)
    return found
