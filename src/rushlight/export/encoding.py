"""Graphs as plain values, for files: numbers, text, lists and dictionaries, and no code.

In: nodes and structures of them.  Out: what `torch.save` writes under `weights_only`; and back,
where functions are looked up by PyTorch's names and nothing else is called.  Level: export (12).
"""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from typing import Any

from rushlight.base.device import device
from rushlight.base.dtypes import DType
from rushlight.export.dynamic_shapes import Symbol, Term, ValueRange
from rushlight.export.generalizing import Sizes
from rushlight.fx.graph import Graph
from rushlight.fx.node import Node
from rushlight.fx.recording import recurrent_layers
from rushlight.overrides.interception import overridable, python_form

_FURTHER: dict[str, Callable] = {
    "operator.getitem": operator.getitem, "recurrent_layers": recurrent_layers,
    "operator.add": operator.add, "operator.mul": operator.mul,
    "operator.floordiv": operator.floordiv,
}  # fmt: skip


# What reaches beyond its operands: no graph needs it, and none from a file may call it.
_REFUSED = (
    "from_file", "frombuffer", "storage", "data_ptr", "share_memory", "hook", "pickle", "reduce_ex",
    "numpy", "dlpack", "setstate", "deepcopy", "apply_", "map_", "backward",
)  # fmt: skip


def _named() -> dict[str, Any]:
    found = {
        name: seen
        for name, _, seen in overridable()
        if not any(part in name for part in _REFUSED)
    }  # fmt: skip
    return {**found, **_FURTHER}


def encoded_sizes(sizes: Sizes | None) -> Any:
    """What is known of dynamic sizes, as plain values."""
    if sizes is None:
        return None
    symbols = list(sizes.ranges)
    return {
        "symbols": [
            [symbol.name, symbol.label, bounds.lower, bounds.upper]
            for symbol, bounds in sizes.ranges.items()
        ],
        "axes": [
            [[axis, symbols.index(t.symbol), t.factor, t.offset] for axis, t in axes.items()]
            for axes in sizes.axes
        ],
    }


def decoded_sizes(content: Any) -> Sizes | None:
    """The inverse of `encoded_sizes`."""
    if content is None:
        return None
    rows = content["symbols"]
    symbols = [Symbol(name, label) for name, label, _, _ in rows]
    ranges = {s: ValueRange(low, high) for s, (_, _, low, high) in zip(symbols, rows)}
    axes = [
        {axis: Term(symbols[number], factor, offset) for axis, number, factor, offset in a}
        for a in content["axes"]
    ]
    return Sizes(axes, ranges)


def encoded(value: Any) -> Any:
    """A value with nodes in it, as plain values.  Raises: RuntimeError for others."""
    if isinstance(value, Node):
        return {"node": value.name}
    if isinstance(value, DType):
        return {"dtype": value}
    if isinstance(value, device):
        return {"device": str(value)}
    if value is Ellipsis:
        return {"ellipsis": None}
    if isinstance(value, slice):
        return {"slice": [encoded(x) for x in (value.start, value.stop, value.step)]}
    if isinstance(value, tuple):
        return {"tuple": [encoded(part) for part in value]}
    if isinstance(value, list):
        return {"list": [encoded(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[encoded(k), encoded(v)] for k, v in value.items()]}
    if value is None or isinstance(value, (bool, int, float, complex, str)):
        return {"value": value}
    raise RuntimeError(f"export.save: a {type(value).__name__} is not written: {value!r}")


def decoded(value: Any, nodes: dict[str, Node]) -> Any:
    """The inverse of `encoded`.  Raises: pickle.UnpicklingError for what it never gives."""
    if type(value) is not dict or len(value) != 1:
        raise pickle.UnpicklingError("export.load: the graph in the file is damaged")
    ((kind, content),) = value.items()
    if kind == "node" and content in nodes:
        return nodes[content]
    if kind == "dtype" and isinstance(content, DType):
        return content
    if kind == "device" and type(content) is str:
        return device(content)
    if kind == "ellipsis":
        return Ellipsis
    if kind == "value":
        return content
    if type(content) is list:
        if kind == "dict":
            return {decoded(k, nodes): decoded(v, nodes) for k, v in content}
        parts = [decoded(part, nodes) for part in content]
        if kind in ("tuple", "list"):
            return tuple(parts) if kind == "tuple" else parts
        if kind == "slice" and len(parts) == 3:
            return slice(*parts)
    raise pickle.UnpicklingError(f"export.load: the graph in the file is damaged at {kind!r}")


def encoded_graph(graph: Graph) -> list[dict[str, Any]]:
    """Each node as a dictionary.  Raises: RuntimeError for functions without a name."""
    names = {id(python_form(seen) or seen): name for name, seen in _named().items()}
    rows = []
    for node in graph.nodes:
        target = node.target
        if node.op == "call_function":
            target = (
                "getattr" if target is getattr else names.get(id(python_form(target) or target))
            )
            if target is None:
                raise RuntimeError(
                    f"export.save: {node.target} has no name in PyTorch's namespaces"
                )
        rows.append(
            {
                "op": node.op, "name": node.name, "target": target, "args": encoded(node.args),
                "kwargs": encoded(dict(node.kwargs)), "shape": list(node.meta.get("shape", ())),
            }
        )  # fmt: skip
    return rows


def decoded_graph(rows: Any) -> tuple[Graph, dict[str, Node]]:
    """The graph, and its nodes by name.

    Raises: pickle.UnpicklingError for damaged graphs and functions that are not PyTorch's.
    """
    named = _named()
    graph = Graph()
    nodes: dict[str, Node] = {}
    for row in rows:
        op, target = row["op"], row["target"]
        args, kwargs = decoded(row["args"], nodes), decoded(row["kwargs"], nodes)
        if op == "call_function" and target == "getattr":
            if args[1] not in ("T", "mT", "H", "mH", "data", "real", "imag"):
                raise pickle.UnpicklingError(f"export.load: property {args[1]!r} is not allowed")
            target = getattr
        elif op == "call_function":
            if target not in named:
                raise pickle.UnpicklingError(f"export.load: function {target!r} is not allowed")
            target = named[target]
        elif op not in ("placeholder", "get_attr", "output"):
            raise pickle.UnpicklingError(f"export.load: a node of kind {op!r} is not allowed")
        made = graph.create_node(op, target, args, kwargs, row["name"])
        made.meta["shape"] = tuple(row["shape"])
        nodes[row["name"]] = made
    return graph, nodes
