"""`replace_pattern`: every place of a graph that looks like one function does what another does.

Level 12.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight.fx._symbolic_trace import symbolic_trace
from rushlight.fx.graph import Graph
from rushlight.fx.graph_module import GraphModule
from rushlight.fx.node import Node

__all__ = ["Match", "ReplacedPatterns", "replace_pattern", "replace_pattern_with_filters"]


class Match(NamedTuple):
    """anchor: the node that gives the pattern's result.  nodes_map: pattern's nodes to its own."""

    anchor: Node
    nodes_map: dict[Node, Node]


class ReplacedPatterns(NamedTuple):
    """A match, and the nodes that took its place."""

    anchor: Node
    nodes_map: dict[Node, Node]
    replacements: list[Node]


def _graph_of(pattern: Any) -> Graph:
    if isinstance(pattern, GraphModule):
        return pattern.graph
    if isinstance(pattern, Graph):
        return pattern
    return symbolic_trace(pattern).graph


def replace_pattern(
    gm: GraphModule, pattern: Callable[..., Any] | GraphModule, replacement: Any
) -> list[Match]:
    """Replace matches of `pattern` in a module's graph by `replacement`; returns the matches.

    Both are functions or modules of the same parameters.  Matches do not overlap, and what is
    inside one is used nowhere else.
    """
    found = replace_pattern_with_filters(gm, pattern, replacement)
    return [Match(one.anchor, one.nodes_map) for one in found]


def replace_pattern_with_filters(
    gm: GraphModule,
    pattern: Any,
    replacement: Any = None,
    match_filters: list[Callable[..., bool]] | None = None,
    ignore_literals: bool = False,
    *,
    replacement_callback: Callable[..., Graph] | None = None,
    node_name_match: str = "",
) -> list[ReplacedPatterns]:
    """The same with filters: each gets (match, graph, pattern's graph) and may refuse."""
    wanted, graph = _graph_of(pattern), gm.graph
    matches = _matches(graph, wanted, ignore_literals)
    done: list[ReplacedPatterns] = []
    renamed: dict[Node, Node] = {}
    for match in matches:
        if not all(keep(match, graph, wanted) for keep in match_filters or ()):
            continue
        new = replacement_callback(match, graph, wanted) if replacement_callback else replacement
        done.append(_replace(gm, graph, wanted, copy.deepcopy(_graph_of(new)), match, renamed))
    if done:
        gm.recompile()
    return done


def _anchors(pattern: Graph) -> list[Node]:
    output = pattern.output_node()
    return output.all_input_nodes


def _matches(graph: Graph, pattern: Graph, ignore_literals: bool) -> list[Match]:
    anchors = _anchors(pattern)
    taken: set[Node] = set()
    found = []
    for node in reversed(graph.nodes):
        mapping: dict[Node, Node] = {}
        if not anchors or not _fits(anchors[0], node, mapping, ignore_literals):
            continue
        if not _rest_fits(anchors[1:], graph, mapping, ignore_literals):
            continue
        inner = {n for p, n in mapping.items() if p.op not in ("placeholder", "get_attr")}
        ends = {mapping[anchor] for anchor in anchors}
        leaks = any(user not in inner for n in inner - ends for user in n.users)
        if leaks or inner & taken:
            continue
        taken |= inner
        found.append(Match(node, mapping))
    return found[::-1]


def _rest_fits(anchors: list[Node], graph: Graph, mapping: dict, ignore_literals: bool) -> bool:
    for anchor in anchors:
        if anchor in mapping:
            continue
        for candidate in graph.nodes:
            attempt = dict(mapping)
            if _fits(anchor, candidate, attempt, ignore_literals):
                mapping.update(attempt)
                break
        else:
            return False
    return True


def _fits(pattern: Node, node: Node, mapping: dict[Node, Node], ignore_literals: bool) -> bool:
    """Whether a node and all it needs look like the pattern; `mapping` notes how."""
    if pattern in mapping:
        return mapping[pattern] is node
    if node in mapping.values():  # one node stands for one of the pattern's
        return False
    if pattern.op == "placeholder":
        mapping[pattern] = node
        return True
    if pattern.op != node.op or not _same_target(pattern, node):
        return False
    mapping[pattern] = node
    both = ((pattern.args, node.args), (dict(pattern.kwargs), dict(node.kwargs)))
    return all(_values_fit(p, n, mapping, ignore_literals) for p, n in both)


def _same_target(pattern: Node, node: Node) -> bool:
    if pattern.op != "call_module":
        return pattern.target == node.target
    mine, other = pattern.graph.owning_module, node.graph.owning_module
    if mine is None or other is None:
        return pattern.target == node.target
    return type(mine.get_submodule(pattern.target)) is type(other.get_submodule(node.target))


def _values_fit(p: Any, n: Any, mapping: dict[Node, Node], ignore_literals: bool) -> bool:
    if isinstance(p, Node):
        return (isinstance(n, Node) and _fits(p, n, mapping, ignore_literals)) or (
            p.op == "placeholder" and not isinstance(n, Node) and mapping.setdefault(p, n) == n
        )
    if isinstance(p, (tuple, list)):
        same = isinstance(n, (tuple, list)) and len(p) == len(n)
        return same and all(_values_fit(a, b, mapping, ignore_literals) for a, b in zip(p, n))
    if isinstance(p, dict):
        same = isinstance(n, dict) and set(p) == set(n)
        return same and all(_values_fit(p[k], n[k], mapping, ignore_literals) for k in p)
    return not isinstance(n, Node) and (ignore_literals or (type(p) is type(n) and p == n))


def _replace(
    gm: GraphModule,
    graph: Graph,
    pattern: Graph,
    new: Graph,
    match: Match,
    renamed: dict[Node, Node],
) -> ReplacedPatterns:
    inputs = [n for n in pattern.nodes if n.op == "placeholder"]
    values: dict[Node, Any] = {}
    for mine, theirs in zip((n for n in new.nodes if n.op == "placeholder"), inputs):
        value = match.nodes_map[theirs]
        while isinstance(value, Node) and value in renamed:
            value = renamed[value]
        values[mine] = value
    inner = [n for p, n in match.nodes_map.items() if isinstance(n, Node) and p.op != "placeholder"]
    last = max(inner, key=list(graph.nodes).index)
    before = set(graph.nodes)
    with graph.inserting_before(last.next):
        result = graph.graph_copy(new, values)
    made = [n for n in graph.nodes if n not in before]
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    for anchor, value in zip(_anchors(pattern), results):
        old = match.nodes_map[anchor]
        if isinstance(value, Node):
            old.replace_all_uses_with(value, lambda user: user not in made)
            renamed[old] = value
    order = list(graph.nodes)
    for node in sorted(set(inner), key=order.index, reverse=True):
        if not node.users and node.op not in ("placeholder", "output"):
            graph.erase_node(node)
    return ReplacedPatterns(match.anchor, match.nodes_map, made)
