"""FxGraphDrawer: a graph in the language of Graphviz.  Level 12."""

from __future__ import annotations

from typing import Any

__all__ = ["FxGraphDrawer"]

_COLORS = {"placeholder": "AliceBlue", "call_module": "LemonChiffon1", "output": "PowderBlue",
           "get_attr": "LightGrey"}  # fmt: skip


class FxGraphDrawer:
    """Text for `dot`; `get_dot_graph()` gives it."""

    def __init__(self, graph_module: Any, name: str, **options: Any) -> None:
        lines = [f"digraph {name} {{", "rankdir=TB;"]
        for node in graph_module.graph.nodes:
            label = f"{node.op}\\n{node.name}\\n{node._pretty_print_target(node.target)}"
            color = _COLORS.get(node.op, "White")
            lines.append(f'{node.name} [label="{label}", shape=record, fillcolor={color}];')
            lines.extend(f"{operand.name} -> {node.name};" for operand in node.all_input_nodes)
        self._text = "\n".join([*lines, "}"])

    def get_dot_graph(self, submod_name: str | None = None) -> str:
        """The text."""
        return self._text
