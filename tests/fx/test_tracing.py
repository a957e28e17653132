"""fx traces, prints, edits and regenerates programs as PyTorch's does."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import fx, nn


def helper(x, y):
    return (x + y) if float(y) > 0 else x


fx.wrap("helper")


def _module(library: Any) -> Any:
    class Residual(library.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = library.nn.Linear(3, 3)
            self.scale = library.nn.Parameter(library.ones(3))
            self.register_buffer("shift", library.ones(3))
            self.body = library.nn.Sequential(library.nn.Linear(3, 3), library.nn.ReLU())

        def forward(self, x, factor=2.0, *rest, flag=None, **named):
            y = library.relu(self.linear(x)) + x * self.scale - 1
            z = self.body(y)
            a, b = library.cat([z, y], dim=-1).chunk(2, -1)
            size = x.shape[0]
            return {
                "out": y.sum(dim=-1) * factor,
                "all": [y[:, 0], y[1:, ..., None], 3 / y, -y > 0, y.to(library.float64), a - b],
                "size": size + 1,
            }

    return Residual()


def test_graph_and_code_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    traced = [library.fx.symbolic_trace(_module(library)) for library in (rushlight, torch)]
    for text in ("graph", "code"):
        mine, theirs = (str(getattr(one, text)) for one in traced)
        assert mine == theirs
    nodes = [[(n.op, n.name, [str(x) for x in n.all_input_nodes]) for n in g.graph.nodes]
             for g in traced]  # fmt: skip
    assert nodes[0] == nodes[1]
    assert list(traced[0].state_dict()) == list(traced[1].state_dict())


def test_the_traced_module_computes_and_trains_the_same() -> None:
    module = _module(rushlight)
    traced = fx.symbolic_trace(module)
    x = rushlight.randn(4, 3)
    np.testing.assert_array_equal(traced(x)["out"].detach(), module(x)["out"].detach())
    np.testing.assert_array_equal(traced(x, 3.0)["out"].detach(), module(x, 3.0)["out"].detach())
    traced(x)["out"].sum().backward()
    assert module.linear.weight.grad is not None
    for again in (copy.deepcopy(traced), fx.symbolic_trace(traced)):
        np.testing.assert_array_equal(again(x)["out"].detach(), module(x)["out"].detach())


def test_what_needs_a_value_cannot_be_traced() -> None:
    def branch(x):
        return x if x.sum() > 0 else -x

    def loop(x):
        return [y * 2 for y in x]

    for function in (branch, loop):
        with pytest.raises(fx.proxy.TraceError):
            fx.symbolic_trace(function)
    with pytest.raises(RuntimeError, match="len"):
        fx.symbolic_trace(lambda x: len(x))
    assert not fx._symbolic_trace.is_fx_tracing()


def test_unpacking_into_names_is_traced() -> None:
    def f(x):
        b, c = x.shape
        (
            first,
            second,
        ) = x.chunk(2)
        return first * b + second * c

    traced = fx.symbolic_trace(f)
    x = rushlight.randn(4, 3)
    np.testing.assert_array_equal(traced(x), f(x))


def test_wrapped_functions_are_one_node() -> None:
    traced = fx.symbolic_trace(lambda x: helper(x, x.sum()) * 2)
    assert [n.name for n in traced.graph.nodes] == ["x", "sum_1", "helper", "mul", "output"]
    assert traced(rushlight.ones(2)).tolist() == [6.0, 6.0]


def test_graphs_are_edited() -> None:
    traced = fx.symbolic_trace(_module(rushlight))
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target is rushlight.relu:
            with traced.graph.inserting_after(node):
                new = traced.graph.call_function(rushlight.sigmoid, (node.args[0],))
            node.replace_all_uses_with(new)
            traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.graph.lint()
    traced.recompile()
    assert "torch.sigmoid" in traced.code and "torch.relu" not in traced.code
    x = rushlight.randn(2, 3)
    y = rushlight.sigmoid(traced.linear(x)) + x * traced.scale - 1
    np.testing.assert_allclose(traced(x)["out"].detach(), (y.sum(-1) * 2).detach(), rtol=1e-5)
    with pytest.raises(RuntimeError, match="users"):
        traced.graph.erase_node(next(iter(traced.graph.nodes)))


def test_graphs_are_built_by_hand_and_pickled() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    y = graph.call_method("mul", (x, 3))
    z = graph.call_function(operator.add, (y, x))
    graph.output((z, y))
    module = fx.GraphModule(nn.Module(), pickle.loads(pickle.dumps(graph)))
    assert [v.tolist() for v in module(rushlight.ones(1))] == [[4.0], [3.0]]
    assert list(map(str, x.users)) == ["mul", "add"]


def test_interpreters_and_transformers() -> None:
    module = _module(rushlight)
    traced = fx.symbolic_trace(module)
    x = rushlight.randn(2, 3)
    log = []

    class Logging(fx.Interpreter):
        def run_node(self, n):
            log.append(n.name)
            return super().run_node(n)

    np.testing.assert_array_equal(Logging(traced).run(x)["out"].detach(), module(x)["out"].detach())
    assert log == [n.name for n in traced.graph.nodes]

    class Negative(fx.Transformer):
        def call_function(self, target, args, kwargs):
            if target is operator.sub:
                return super().call_function(operator.add, args, kwargs)
            return super().call_function(target, args, kwargs)

    changed = Negative(traced).transform()
    difference = (changed(x)["out"] - module(x)["out"]).detach()
    np.testing.assert_allclose(difference, np.full(2, 12.0), rtol=1e-4)
    fx.passes.shape_prop.ShapeProp(traced).propagate(x)
    shapes = {n.name: tuple(n.meta["tensor_meta"].shape) for n in traced.graph.nodes
              if n.name in ("linear", "cat")}  # fmt: skip
    assert shapes == {"linear": (2, 3), "cat": (2, 6)}


def test_patterns_are_replaced() -> None:
    found = []
    libraries = [rushlight, pytest.importorskip("torch")]
    for library in libraries:
        traced = library.fx.symbolic_trace(_two_sums(library))
        matches = library.fx.replace_pattern(traced, _add_relu(library), _multiplied(library))
        found.append((len(matches), traced(library.ones(1) * 3, library.ones(1)).tolist()))
    assert found[0] == found[1] == (2, [10.0])


def _two_sums(library: Any) -> Any:
    def own(x, y):
        return library.add(x, y).relu() * 2 + library.add(y, x + 1).relu()

    return own


def _add_relu(library: Any) -> Any:
    def pattern(a, b):
        return library.add(a, b).relu()

    return pattern


def _multiplied(library: Any) -> Any:
    def replacement(a, b):
        return library.mul(a, b)

    return replacement


def test_leaves_can_be_chosen() -> None:
    class Leafless(fx.Tracer):
        def is_leaf_module(self, m, name):
            return False

    graph = Leafless().trace(nn.Sequential(nn.ReLU(), nn.Tanh()))
    assert [n.op for n in graph.nodes] == ["placeholder", *["call_function"] * 2, "output"]


def test_a_proxy_made_outside_of_tracing_records_what_functions_do_with_it() -> None:
    graph = fx.Graph()
    proxy = fx.Proxy(graph.placeholder("x"))
    graph.output(rushlight.cat([rushlight.relu(proxy), proxy.neg()], dim=1).node)
    made = fx.GraphModule(nn.Module(), graph)
    x = rushlight.randn(2, 3)
    assert rushlight.equal(made(x), rushlight.cat([x.relu(), -x], dim=1))
