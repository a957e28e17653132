"""L-BFGS makes few programs, however long its history grows."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.base.config import config
from rushlight.optim.lbfgs import _pieces


@pytest.mark.parametrize("count", range(70))
def test_pieces_cover_the_history_once_and_have_few_sizes(count):
    pieces = _pieces(count)
    assert [i for piece in pieces for i in piece] == list(range(count))
    assert {len(piece) for piece in pieces} <= {1, 2, 4, 8, 16}


def test_a_longer_history_compiles_nothing(monkeypatch):
    monkeypatch.setattr(config, "executor", "compiled")
    rl.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 1))
    x = rl.randn(64, 6)
    y = rl.sin(3 * x.sum(1, keepdim=True))
    optimizer = rl.optim.LBFGS(
        model.parameters(), max_iter=10, tolerance_grad=0.0, tolerance_change=0.0
    )

    def closure():
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        return loss

    lengths, plans = [], []
    for _ in range(9):
        made = rl.stats()["plans_made"]
        optimizer.step(closure)
        plans.append(rl.stats()["plans_made"] - made)
        lengths.append(len(optimizer.state[next(model.parameters())]["old_dirs"]))
    # All sizes of pieces occur up to 31 pairs, and two whole pieces in a row from 32 on.
    assert lengths[-1] > 60
    assert not any(made for length, made in zip(lengths, plans) if length >= 50)
