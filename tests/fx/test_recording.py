"""A recorded graph computes what the call did, and refuses what it did not see."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight
from rushlight import nn
from rushlight.fx import GraphModule
from rushlight.fx.recording import record
from rushlight.primitives import elementwise


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 4)
        self.activation = nn.functional.relu
        self.register_buffer("shift", rushlight.ones(4))
        self.rnn = nn.LSTM(4, 2)

    def forward(self, x: Any, scale: float) -> Any:
        y = self.activation(self.lin(x))
        if scale > 1:
            y = y * scale
        y = 1 - y
        y += self.shift
        out, (h, _) = self.rnn(y)
        return {"out": out[..., 0], "h": h, "T": y[0].T, "size": x.shape[0]}


def test_the_graph_computes_the_same_for_other_values() -> None:
    model = Model()
    first, second = rushlight.rand(5, 2, 3), rushlight.rand(5, 2, 3)
    recording = record(model, (first, 2.0))
    assert set(recording.parameters) == {name for name, _ in model.named_parameters()}
    made = GraphModule(dict(recording.values), recording.graph)(second)
    expected = model(second, 2.0)
    assert made["size"] == expected["size"] == 5
    for name in ("out", "h", "T"):
        assert rushlight.equal(made[name], expected[name])


def test_values_that_nobody_saw_are_no_constants() -> None:
    with pytest.raises(RuntimeError, match="none of PyTorch's functions"):
        record(lambda x: elementwise.add(x, x) * 2, (rushlight.ones(3),))
    constant = rushlight.ones(3)
    recording = record(lambda x: x * (constant + 1), (rushlight.ones(3),))
    assert [value.tolist() for value in recording.values.values()] == [[2.0, 2.0, 2.0]]
    with pytest.raises(RuntimeError, match="cannot be part"):
        record(lambda x: (x * 2, object()), (rushlight.ones(3),))
