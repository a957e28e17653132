"""What is recorded of calls with conditions and with lists of operands."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.fx import symbolic_trace


def test_an_assertion_is_recorded_and_made_when_the_graph_runs():
    def halves(x):
        rl._assert(x.shape[-1] == 4, "expected 4 columns")
        return x[..., :2] + x[..., 2:]

    traced = symbolic_trace(halves)
    assert any(node.target is rl._assert for node in traced.graph.nodes)
    assert traced(rl.ones(3, 4)).tolist() == [[2, 2]] * 3
    with pytest.raises(AssertionError, match="4 columns"):
        traced(rl.ones(3, 6))


def test_a_list_of_operands_of_einsum_is_recorded_one_by_one():
    traced = symbolic_trace(lambda x, y: rl.einsum("ij,jk->ik", (x, y)))
    (node,) = [node for node in traced.graph.nodes if node.op == "call_function"]
    assert node.target is rl.einsum and len(node.args) == 3
    assert traced(rl.ones(2, 3), rl.ones(3, 1)).tolist() == [[3], [3]]
