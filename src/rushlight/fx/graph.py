"""Graph: nodes in the order in which they run, and the Python code that they are.

Level 12.
"""

from __future__ import annotations

import builtins
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rushlight.fx.node import Node, map_arg
from rushlight.fx.writing import Namespace, PythonCode, Writer

__all__ = ["CodeGen", "Graph", "PythonCode"]


class CodeGen:
    """How a graph's signature is written; the default is that of its placeholders."""


def _snake_case(text: str) -> str:
    """`MyName` as `my_name`."""
    pieces = []
    for before, character in zip(" " + text, text):
        if character.isupper() and before not in " _" and not before.isupper():
            pieces.append("_")
        pieces.append(character.lower())
    return "".join(pieces)


class _NodeList:
    """The nodes of a graph in order."""

    def __init__(self, graph: Graph, direction: str = "_next") -> None:
        self.graph, self.direction = graph, direction

    def __len__(self) -> int:
        return self.graph._length

    def __iter__(self) -> Iterator[Node]:
        root = self.graph._root
        node = getattr(root, self.direction)
        while node is not root:
            following = getattr(node, self.direction)
            if not node._erased:
                yield node
            node = following if not node._erased or following is not node else root

    def __reversed__(self) -> _NodeList:
        return _NodeList(self.graph, "_prev" if self.direction == "_next" else "_next")


class Graph:
    """A list of nodes that begins with placeholders and ends with one output."""

    def __init__(
        self, owning_module: Any = None, tracer_cls: Any = None, tracer_extras: Any = None
    ) -> None:
        self._root = Node(self, "", "root", "", (), {})
        self._length = 0
        self._insert: Callable[[Node], None] = self._root.prepend
        self._namespace = Namespace()
        self._owning_module = owning_module
        self._tracer_cls = tracer_cls
        self._tracer_extras = tracer_extras
        self._codegen = CodeGen()

    @property
    def owning_module(self) -> Any:
        """The module that runs the graph, or None."""
        return self._owning_module

    @owning_module.setter
    def owning_module(self, module: Any) -> None:
        self._owning_module = module

    @property
    def nodes(self) -> _NodeList:
        """All nodes, in order."""
        return _NodeList(self)

    def find_nodes(self, *, op: str, target: Any = None, sort: bool = True) -> list[Node]:
        """The nodes with an operation, and a target if given."""
        return [
            node for node in self.nodes
            if node.op == op and (target is None or node.target == target)
        ]  # fmt: skip

    def output_node(self) -> Node:
        """The output."""
        return next(node for node in reversed(self.nodes) if node.op == "output")

    # ---- making nodes -------------------------------------------------------------------------

    def create_node(
        self,
        op: str,
        target: Any,
        args: tuple | None = None,
        kwargs: dict[str, Any] | None = None,
        name: str | None = None,
        type_expr: Any = None,
    ) -> Node:
        """A node at the place of insertion."""
        candidate = name if name is not None else self._name_of(target)
        made = Node(
            self, self._namespace.create_name(candidate), op, target, args or (), kwargs or {},
            type_expr,
        )  # fmt: skip
        self._insert(made)
        self._length += 1
        return made

    @staticmethod
    def _name_of(target: Any) -> str:
        text = target if isinstance(target, str) else getattr(target, "__name__", "function")
        if text.startswith("__") and text.endswith("__"):
            text = text[2:-2]
        return _snake_case(text)

    def placeholder(self, name: str, type_expr: Any = None, default_value: Any = ...) -> Node:
        """An input."""
        args = () if default_value is ... else (default_value,)
        return self.create_node("placeholder", name, args, type_expr=type_expr)

    def get_attr(self, qualified_name: str, type_expr: Any = None) -> Node:
        """A parameter, buffer or other attribute of the module."""
        return self.create_node("get_attr", qualified_name, type_expr=type_expr)

    def call_module(
        self, module_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a submodule."""
        return self.create_node("call_module", module_name, args, kwargs, type_expr=type_expr)

    def call_method(
        self, method_name: str, args: Any = None, kwargs: Any = None, type_expr: Any = None
    ) -> Node:
        """A call of a method of the first argument."""
        return self.create_node("call_method", method_name, args, kwargs, type_expr=type_expr)

    def call_function(
        self, the_function: Any, args: Any = None, kwargs: Any = None, type_expr: Any = None,
        name: str | None = None,
    ) -> Node:  # fmt: skip
        """A call of a function."""
        return self.create_node("call_function", the_function, args, kwargs, name, type_expr)

    def output(self, result: Any, type_expr: Any = None) -> Node:
        """What the graph gives."""
        return self.create_node("output", "output", (result,), type_expr=type_expr)

    def node_copy(self, node: Node, arg_transform: Callable[[Node], Any] = lambda x: x) -> Node:
        """A copy of a node of another graph, whose operands `arg_transform` gives."""
        made = self.create_node(
            node.op, node.target, map_arg(node.args, arg_transform),
            map_arg(node.kwargs, arg_transform), node.name, node.type,
        )  # fmt: skip
        made.meta = dict(node.meta)
        return made

    def graph_copy(
        self, g: Graph, val_map: dict[Node, Node], return_output_node: bool = False
    ) -> Any:
        """Copies of another graph's nodes; returns what its output was, in this graph's nodes."""
        for node in g.nodes:
            if node in val_map:
                continue
            if node.op == "output":
                found = map_arg(node.args[0], lambda n: val_map[n])
                return (found, node) if return_output_node else found
            val_map[node] = self.node_copy(node, lambda n: val_map[n])
        return None

    def erase_node(self, to_erase: Node) -> None:
        """Remove a node.  Raises: RuntimeError if it is used."""
        if to_erase.users:
            raise RuntimeError(
                f"Tried to erase Node {to_erase} but it still had {len(to_erase.users)} users in"
                f" the graph: {to_erase.users}!"
            )
        if to_erase.graph is not self or to_erase._erased:
            raise RuntimeError(f"erase_node: {to_erase} is not in this graph")
        to_erase._unlink()
        to_erase._erased = True
        self._length -= 1
        to_erase._update((), {})

    @contextlib.contextmanager
    def _inserting(self, insert: Callable[[Node], None]) -> Iterator[None]:
        before, self._insert = self._insert, insert
        try:
            yield
        finally:
            self._insert = before

    def inserting_before(self, n: Node | None = None) -> Any:
        """Set, also as a context, where nodes are made: before a node, or at the start."""
        return self._inserting((self._root._next if n is None else n).prepend)

    def inserting_after(self, n: Node | None = None) -> Any:
        """Set, as a context, where nodes are made: after a node, each after the last."""
        last = [self._root._prev if n is None else n]

        def insert(node: Node) -> None:
            last[0].append(node)
            last[0] = node

        return self._inserting(insert)

    # ---- passes ---------------------------------------------------------------------------------

    def eliminate_dead_code(self, is_impure_node: Any = None) -> bool:
        """Remove what nobody uses; returns whether there was any."""
        impure = is_impure_node or (lambda node: node.is_impure())
        changed = False
        for node in reversed(self.nodes):
            if not node.users and not impure(node):
                self.erase_node(node)
                changed = True
        return changed

    def lint(self) -> None:
        """Check the order of nodes, their names and their targets.  Raises: RuntimeError."""
        seen: set[Node] = set()
        names: set[str] = set()
        for node in self.nodes:
            if node.graph is not self:
                raise RuntimeError(f"Node '{node}' does not belong to this Graph!")
            for operand in node.all_input_nodes:
                if operand not in seen:
                    raise RuntimeError(
                        f"Argument '{operand}' of Node '{node}' was used before it has been"
                        f" defined! Please check that Nodes in the graph are topologically"
                        f" ordered\n{self}"
                    )
            if node.name in names:
                raise RuntimeError(f"Node redefined name {node.name}!")
            seen.add(node)
            names.add(node.name)
            if self.owning_module is not None and node.op in ("call_module", "get_attr"):
                _attribute(self.owning_module, node.target, node)

    def on_generate_code(self, make_transformer: Any) -> Any:
        """Raises: NotImplementedError; change the nodes instead of the code."""
        raise NotImplementedError("Graph.on_generate_code: change the graph's nodes instead")

    def process_inputs(self, *args: Any) -> tuple:
        """The arguments of `forward` as the placeholders take them."""
        return args

    def process_outputs(self, out: Any) -> Any:
        """What the output gives as `forward` returns it."""
        return out

    # ---- text -----------------------------------------------------------------------------------

    def python_code(self, root_module: str, **options: Any) -> PythonCode:
        """The graph as the text of a `forward`."""
        return Writer(self, root_module).write()

    def __str__(self) -> str:
        placeholders: list[str] = []
        returned = [""]
        lines = [node.format_node() for node in self.nodes]
        body = "".join(f"\n    {line}" for line in lines if line)
        return f"graph({', '.join(placeholders)}){returned[0]}:{body}"

    def print_tabular(self) -> None:
        """Print a table of the nodes."""
        rows = [("opcode", "name", "target", "args", "kwargs")]
        rows += [
            (n.op, n.name, str(n.target), str(n.args), str(n.kwargs)) for n in self.nodes
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
        for row in rows:
            _emit("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def __deepcopy__(self, memo: Any = None) -> Graph:
        memo = memo or {}
        made = Graph(tracer_cls=self._tracer_cls)
        mapping: dict[Node, Node] = {}
        found = made.graph_copy(self, mapping, return_output_node=True)
        if isinstance(found, tuple):
            result, old = found
            output = made.output(result, old.type)
            output.meta = dict(old.meta)
        memo[id(self)] = made
        return made

    def __reduce__(self) -> Any:
        nodes = list(self.nodes)
        places = {node: place for place, node in enumerate(nodes)}
        rows = [
            (
                n.op, n.target, map_arg(n.args, lambda x: _Place(places[x])),
                map_arg(n.kwargs, lambda x: _Place(places[x])), n.name, n.type,
            )
            for n in nodes
        ]  # fmt: skip
        return _rebuilt, (rows,)


class _Place(NamedTuple):
    """A node in a pickled graph."""

    number: int


def _rebuilt(rows: list[tuple]) -> Graph:
    graph = Graph()
    made: list[Node] = []

    def node_at(value: Any) -> Any:
        if isinstance(value, _Place):
            return made[value.number]
        if isinstance(value, (tuple, list)):
            return type(value)(node_at(x) for x in value)
        if isinstance(value, dict):
            return {key: node_at(x) for key, x in value.items()}
        if isinstance(value, slice):
            return slice(node_at(value.start), node_at(value.stop), node_at(value.step))
        return value

    for op, target, args, kwargs, name, kind in rows:
        made.append(graph.create_node(op, target, node_at(args), node_at(kwargs), name, kind))
    return graph


def _emit(line: str) -> None:
    builtins.print(line)  # noqa: T201 - asked for by name: print_tabular, print_readable


def _attribute(module: Any, path: str, node: Node) -> Any:
    found = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise RuntimeError(f"Node {node} target {path} references nonexistent attribute {part}")
        found = getattr(found, part)
    return found
