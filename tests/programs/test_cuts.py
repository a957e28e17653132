"""Results do not depend on where the tape was cut: the same bits, whatever flushes when."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight import nn, optim
from rushlight.base.config import config
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape

CUTS = {
    "after each operation": {"eager": True},
    "after 7 operations": {"node_cap": 7},
    "after 100 operations": {"node_cap": 100},
    "after 33 operations": {"node_cap": 33},
}


def _mlp_with_adam():
    rl.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    x = rl.randn(20, 6)
    y = rl.randint(0, 3, (20,))
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [*losses, *model.parameters()]


def _convolutions_with_momentum():
    rl.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    x = rl.rand(7, 1, 8, 8)
    y = rl.arange(7) % 5
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return [*model.parameters(), *model.buffers()]


def _attention_with_adamw():
    rl.manual_seed(3)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    optimizer = optim.AdamW(layer.parameters(), lr=0.01)
    x = rl.randn(3, 5, 8)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()
    return list(layer.parameters())


def _views_and_writes():
    x = rl.arange(24, dtype=rl.float32).reshape(2, 3, 4).requires_grad_()
    y = x * 0.5
    y[0].t().mul_(2.0)
    y[:, 1:, ::2] += y[:, :2, ::2].detach()
    window = y.view(6, 4).unfold(0, 2, 2)
    total = (window.exp() * 0.01).sum() + y.diagonal(dim1=1, dim2=2).prod()
    total.backward()
    return [y, total, x.grad]


def _a_loop_by_hand():
    rl.manual_seed(4)
    w = rl.zeros(4, requires_grad=True)
    x = rl.randn(10, 4)
    target = x @ rl.tensor([1.0, -2.0, 0.5, 3.0])
    running = rl.tensor(0.0)
    for _ in range(12):
        loss = ((x @ w - target) ** 2).mean()
        loss.backward()
        with rl.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()
        running += loss.detach()
    return [w, running]


PROGRAMS = [
    _mlp_with_adam,
    _convolutions_with_momentum,
    _attention_with_adamw,
    _views_and_writes,
    _a_loop_by_hand,
]


def _bits(program) -> list[bytes]:
    memo.clear()
    current_tape().drop()
    return [np.ascontiguousarray(t.detach().numpy()).tobytes() for t in program()]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__.strip("_"))
@pytest.mark.parametrize("cut", CUTS)
def test_cuts_do_not_change_a_bit(program, cut, monkeypatch):
    expected = _bits(program)
    for name, value in CUTS[cut].items():
        monkeypatch.setattr(config, name, value)
    found = _bits(program)
    monkeypatch.undo()
    memo.clear()
    current_tape().drop()
    assert found == expected
