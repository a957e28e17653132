"""What attention in blocks takes is counted: the products of the scores that are seen."""

from __future__ import annotations

import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.base.observe import watching
from rushlight.engine.history import History


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(256, 256), (256, 200), (200, 300)])
def test_operations_of_attention_and_of_its_gradient(causal, rows, columns, monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    heads, width = 6, 32
    query = rl.randn(1, heads, rows, width, requires_grad=True)
    key, value = (rl.randn(1, heads, columns, width, requires_grad=True) for _ in range(2))
    rl.synchronize()
    history = History()
    with watching(history):
        F.scaled_dot_product_attention(query, key, value, is_causal=causal).sum().backward()
        rl.synchronize()
    found = [run.facts for run in history.of_kind("kernel")]
    works = [facts.flops for facts in found if "machine-specific" in facts.loops and facts.flops]
    seen = sum(min(row + 1, columns) if causal else columns for row in range(rows))
    assert works == [2 * heads * seen * 2 * width, 2 * heads * seen * 5 * width]
